"use strict";
const target = document.getElementById("swagger-ui");
SwaggerUIBundle({
  url: target.dataset.schema,
  domNode: target,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  persistAuthorization: false, // a secret typed here goes when the page goes
  validatorUrl: null, // nothing leaves this host
});
