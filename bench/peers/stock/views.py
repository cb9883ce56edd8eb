"""Two views, each behind the stock ways of asking who calls and how often."""

from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle, UserRateThrottle
from rest_framework.views import APIView
from rest_framework_api_key.permissions import HasAPIKey, KeyParser
from rest_framework_simplejwt.authentication import JWTAuthentication

from stock.models import Account

STATIC = [
    {"id": 1, "name": "Checking", "currency": "BRL", "balance": "1520.75"},
    {"id": 2, "name": "Reserve", "currency": "BRL", "balance": "98000.00"},
]
FIELDS = ("id", "name", "branch", "number", "currency", "balance", "status")
ANYBODY = 1  # whose rows are shown where nobody is asked who they are


class KeyThrottle(SimpleRateThrottle):
    """Counts by the key's prefix: the permission that checks the key sets no user."""

    scope = "api_key"

    def get_cache_key(self, request, view):
        key = KeyParser().get(request) or ""
        prefix = key.partition(".")[0]
        return self.cache_format % {"scope": self.scope, "ident": prefix}


BY_TOKEN = {
    "authentication_classes": [JWTAuthentication],
    "permission_classes": [IsAuthenticated],
    "throttle_classes": [UserRateThrottle],
}
BY_KEY = {"permission_classes": [HasAPIKey], "throttle_classes": [KeyThrottle]}


class StaticView(APIView):
    """Two accounts from memory."""

    def get(self, request):
        return Response(STATIC)


class RowsView(APIView):
    """The caller's two accounts from PostgreSQL."""

    def get(self, request):
        owner = request.user.pk or ANYBODY
        rows = Account.objects.filter(owner_id=owner).order_by("-id").values(*FIELDS)
        return Response(list(rows))
