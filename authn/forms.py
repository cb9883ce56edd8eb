"""The staff console's forms of sign-in and of issuing keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables
from unfold.widgets import (
    BASE_INPUT_CLASSES,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanWidget,
)

from accounts.forms import MAX_TYPED_DOCUMENT
from accounts.models import User
from accounts.passwords import MAX_LENGTH as MAX_PASSWORD
from authn import passwords, refusals, throttle
from authn.models import ApiKey
from authn.models.api_key import LATEST
from authn.serializers import MAX_NETWORKS
from fluxiq import metrics
from fluxiq.addresses import parse_networks
from fluxiq.admin_actions import ReasonForm
from fluxiq.errors import INVALID_LOGIN, RateLimited, ServiceUnavailable, Unauthorized
from fluxiq.metrics.families import SIGN_INS
from fluxiq.scopes import DESCRIPTIONS
from fluxiq.theme import ModelForm
from merchants.models import Membership, Merchant

MAX_RATE_LIMIT = 1_000_000  # requests a minute: far beyond what one caller can send


def try_again(error: RateLimited | ServiceUnavailable) -> str:
    """What to say of an attempt that was not even made."""
    if not isinstance(error, RateLimited):
        why = _(error.message)
    elif error.usage.bucket == throttle.CONSOLE:
        why = _("Too many sign-ins from your address")
    else:
        why = _("Too many failed attempts")
    return _("%(why)s. Retry after %(seconds)d seconds.") % {
        "why": why,
        "seconds": error.retry_after,
    }


@sensitive_variables("password")
def prove_staff(document: str, password: str) -> User:
    """The member of staff of this document and password, under the throttle of the API's sign-in.

    Each try counts to its address too. Raises RateLimited before any hashing, and Unauthorized. Who
    is no staff is refused as for a
    wrong password and counts as one, so that the console tells nobody that a password is right.
    """
    throttle.count_console_sign_in()
    user = passwords.prove(document, password)
    if not user.is_staff:
        with refusals.of_sign_in(document):
            throttle.Attempt(document).reserve()
            metrics.add(SIGN_INS, "not_staff")
            raise Unauthorized(INVALID_LOGIN)
    return user


class SignInForm(AuthenticationForm):
    """Document and password. `not_now` is what said to try again later: throttle or hasher."""

    username = forms.CharField(
        label=gettext_lazy("Document"),
        max_length=MAX_TYPED_DOCUMENT,
        widget=forms.TextInput(
            attrs={
                "autofocus": True,
                "autocapitalize": "none",
                "autocomplete": "username",
                "class": " ".join(BASE_INPUT_CLASSES),
            }
        ),
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        max_length=MAX_PASSWORD,
        strip=False,
        widget=forms.PasswordInput(
            attrs={"autocomplete": "current-password", "class": " ".join(BASE_INPUT_CLASSES)}
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Django has cut it to the column's length, which leaves no room for punctuation.
        self.fields["username"].widget.attrs["maxlength"] = MAX_TYPED_DOCUMENT
        self.not_now: RateLimited | ServiceUnavailable | None = None

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        if self.errors:
            return self.cleaned_data
        try:
            self.user_cache = prove_staff(
                self.cleaned_data["username"], self.cleaned_data["password"]
            )
        except Unauthorized as error:
            raise ValidationError(_(INVALID_LOGIN), code="invalid_login") from error
        except (RateLimited, ServiceUnavailable) as error:
            self.not_now = error
            raise ValidationError(try_again(error), code="not_now") from error
        return self.cleaned_data


def _permissions_by_resource() -> list[tuple[str, list[tuple[str, Any]]]]:
    """The catalogue as choices: of each resource, its permissions with what they allow."""
    described = [(str(scope), gettext_lazy(text)) for scope, text in DESCRIPTIONS.items()]
    by_resource = groupby(described, key=lambda choice: choice[0].partition(":")[0])
    return [(resource, list(choices)) for resource, choices in by_resource]


class PermissionsWidget(forms.CheckboxSelectMultiple):
    """Checkboxes by resource, each with what it allows."""

    template_name = "admin/authn/apikey/permissions.html"


class IssueKeyForm(ModelForm[ApiKey]):
    """What a new key is for: a merchant with listed permissions, or a FluxiQ service."""

    service_key = forms.BooleanField(
        label=gettext_lazy("Service key"),
        required=False,
        widget=UnfoldBooleanWidget(),
        help_text=gettext_lazy(
            "Of no merchant: a FluxiQ service asks with it about others' tokens"
            " (tokens:introspect, and nothing else)."
        ),
    )
    permissions = forms.MultipleChoiceField(
        label=gettext_lazy("Permissions"),
        choices=_permissions_by_resource(),
        required=False,
        widget=PermissionsWidget(),
    )
    allowed_ips = forms.CharField(
        label=gettext_lazy("Allowed addresses"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "cols": 40}),
        help_text=gettext_lazy(
            "One CIDR or address a line, such as 203.0.113.0/24. Empty: from anywhere."
        ),
    )
    rate_limit = forms.IntegerField(
        label=gettext_lazy("Limit of its own"),
        required=False,
        min_value=1,
        max_value=MAX_RATE_LIMIT,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text=gettext_lazy("Requests a minute. Empty: the default of all keys."),
    )

    def clean_permissions(self) -> list[str]:
        """In the order of the catalogue."""
        chosen = self.cleaned_data["permissions"]
        return [permission for permission in ApiKey.GRANTABLE if permission in chosen]

    def clean_expires_at(self) -> datetime | None:
        """In UTC. Raises ValidationError for what is no moment to come."""
        moment: datetime | None = self.cleaned_data["expires_at"]
        if moment is None:
            return None
        if moment <= timezone.now():
            raise ValidationError(_("Must be in the future."))
        if moment > LATEST:  # which the database may take, and could not give back
            raise ValidationError(_("Must be before the year 10000 (UTC)."))
        return moment

    def clean_allowed_ips(self) -> list[str]:
        """Canonical CIDRs. Raises ValidationError."""
        lines = self.cleaned_data["allowed_ips"].split()
        if len(lines) > MAX_NETWORKS:
            raise ValidationError(_("At most %(count)d.") % {"count": MAX_NETWORKS})
        try:
            return [str(network) for network in parse_networks(lines)]
        except ValueError as error:
            raise ValidationError(_("Not a CIDR: %(error)s.") % {"error": error}) from error

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        is_service = data.get("service_key")
        missing = {
            "merchant": _("Choose the merchant, or a service key."),
            "permissions": _("Choose at least one."),
        }
        for field, message in missing.items():
            if field in self.errors:
                continue
            if is_service and data.get(field):
                self.add_error(field, _("A service key has none."))
            elif not is_service and not data.get(field):
                self.add_error(field, message)
        return data

    def issue(self, created_by: User) -> tuple[ApiKey, str]:
        """Issue the key that the valid form describes: (the key, its secret)."""
        limits = ("expires_at", "allowed_ips", "rate_limit")
        fields = {name: self.cleaned_data[name] for name in ("name", *limits)}
        fields["created_by"] = created_by
        merchant: Merchant | None = self.cleaned_data["merchant"]
        if merchant is None:
            return ApiKey.objects.issue_service_key(**fields)
        permissions = self.cleaned_data["permissions"]
        return ApiKey.objects.issue(merchant, permissions=permissions, **fields)


class RotateKeyForm(forms.Form):
    """How long the old key goes on beside its successor."""

    grace = forms.TypedChoiceField(
        label=gettext_lazy("The old key goes on for"),
        choices=[
            ("0", gettext_lazy("no time: it is refused at once")),
            ("3600", gettext_lazy("an hour")),
            ("86400", gettext_lazy("a day")),
            ("604800", gettext_lazy("7 days")),
        ],
        initial="86400",
        coerce=lambda seconds: timedelta(seconds=int(seconds)),
        widget=UnfoldAdminSelectWidget(),
    )


class ReclaimForm(ReasonForm):
    """Why a document is given back, and which memberships are not its holder's."""

    memberships = forms.MultipleChoiceField(
        label=gettext_lazy("Memberships to end"),
        required=False,
        widget=forms.CheckboxSelectMultiple(),
        help_text=gettext_lazy(
            "Those that are not the holder's. The holder can leave others later."
        ),
    )

    def __init__(self, *args: Any, memberships: Sequence[Membership], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: Any = self.fields["memberships"]
        choices.choices = [
            (m.pk, f"{m.merchant.name}, {_(m.get_role_display())}") for m in memberships
        ]
