"""The public signing keys, for whoever verifies tokens without asking us (RFC 7517)."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import conditional_page, require_safe

from authn import signing_keys

MAX_AGE = 300  # seconds; a new key is published this long before it signs


@require_safe
@conditional_page
def jwks(request: HttpRequest) -> JsonResponse:
    """The JWK set; empty where all keys are shared secrets. 304 to who has it, by its ETag."""
    headers = {"Cache-Control": f"public, max-age={MAX_AGE}"}
    return JsonResponse(signing_keys.jwks(), headers=headers)
