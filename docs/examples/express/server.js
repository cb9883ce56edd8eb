// A FluxiQ service: who may send a PIX is asked, not known.
//   npm ci && FLUXIQ_AUTH_URL=http://127.0.0.1:8000 PORT=9000 node server.js

import express from 'express';
import { requirePermissions } from './fluxiq.js';

const app = express();
app.disable('x-powered-by');

app.post(
  '/api/v1/pix/charges',
  requirePermissions(process.env.FLUXIQ_AUTH_URL, 'pix:write'),
  (request, response) => {
    response.status(201).json({ data: { by: request.fluxiq.subject, at: request.fluxiq.merchants } });
  },
);

app.listen(Number(process.env.PORT ?? 9000), '127.0.0.1');
