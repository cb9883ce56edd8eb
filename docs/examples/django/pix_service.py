"""A FluxiQ service in one file: who may send a PIX is asked, not known.

pip install django djangorestframework httpx gunicorn
FLUXIQ_AUTH_URL=http://127.0.0.1:8000 gunicorn pix_service:application
"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="pix_service",
    SECRET_KEY=os.urandom(32).hex(),
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,  # django.contrib.auth is not installed
    },
    FLUXIQ_AUTH_URL=os.environ.get("FLUXIQ_AUTH_URL"),
    FLUXIQ_GATEWAYS=os.environ.get("FLUXIQ_GATEWAYS", "").split(),
)
application = get_wsgi_application()

from rest_framework.request import Request  # noqa: E402 - needs the settings
from rest_framework.response import Response  # noqa: E402 - as above
from rest_framework.views import APIView  # noqa: E402 - as above

from authn.client import drf  # noqa: E402 - as above


class ChargesView(APIView):
    """PIX charges. Behind a gateway that has asked already, its word is taken."""

    authentication_classes = [
        drf.GatewayAuthentication if settings.FLUXIQ_GATEWAYS else drf.VerifyAuthentication
    ]
    permission_classes = [drf.DeclaredPermissions]
    required_permissions = {"POST": ["pix:write"]}

    def post(self, request: Request) -> Response:
        return Response({"data": {"by": str(request.user), "at": request.auth.merchants}}, 201)


urlpatterns = [path("api/v1/pix/charges", ChargesView.as_view())]
