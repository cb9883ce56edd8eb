"""The staff console's pages of keys, sessions, and what of people and merchants concerns these."""

import rest_framework_simplejwt.token_blacklist.admin  # noqa: F401 - registers what goes below
from django.contrib import admin
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from authn.admin.keys import ApiKeyAdmin
from authn.admin.merchants import MerchantAdmin
from authn.admin.people import UserAdmin
from authn.admin.sessions import SessionAdmin

# Its rows are ids of tokens, which say nothing that the sessions do not say better.
admin.site.unregister([BlacklistedToken, OutstandingToken])

__all__ = ["ApiKeyAdmin", "MerchantAdmin", "SessionAdmin", "UserAdmin"]
