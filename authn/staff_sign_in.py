"""Signing in to the staff console: the password, then the second factor, enrolled the first time.

Between the two nobody is signed in: the session only notes whose password was proved, for as long
as a challenge of the API is good. Whatever was judged when the password was proved is judged again
under the lock of the user's row, where the session begins: that the password is the same, that all
sessions were not ended meanwhile, and that the user is active and staff and lacks no second factor.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth import login as auth_login
from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from accounts.models import User
from authn.forms import try_again
from authn.mfa import factors, policy, totp
from authn.mfa.serializers import MAX_CODE
from authn.models import SecondFactor
from authn.models.mfa import CHALLENGE_LIFETIME, ENROLMENT_LIFETIME
from fluxiq import metrics
from fluxiq.admin_site import dress
from fluxiq.audit import models as audit
from fluxiq.errors import (
    INVALID_LOGIN,
    ApiError,
    Conflict,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
)
from fluxiq.metrics.families import SIGN_INS

# In the session
_PENDING = "sign_in"  # whose password was proved
_PROVED = "second_factor"  # since when the user had the second factor that was proved
_SINCE = "signed_in_at"  # Unix time


class CodeForm(forms.Form):
    """A code of the authenticator app, or a recovery code."""

    code = forms.CharField(
        label=_("Code"),
        max_length=MAX_CODE,
        widget=forms.TextInput(
            attrs={"autofocus": True, "autocomplete": "one-time-code", "spellcheck": "false"}
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress(self)


# Who is signed in


def is_signed_in(request: HttpRequest) -> bool:
    """Whether the session's user proved all that is asked of them, and not too long ago."""
    session, user = request.session, request.user
    if not isinstance(user, User):
        return False
    since = session.get(_SINCE, 0)
    return (
        timezone.now().timestamp() - since < settings.STAFF_SESSION_MAX_AGE
        and session.get(_PROVED, "") == _mark(user)
        and not policy.staff_lacks_factor(user)
    )


def _mark(user: User) -> str:
    """What a session of this user holds once the second factor is proved: another for another."""
    return user.mfa_enrolled_at.isoformat() if user.mfa_enrolled_at is not None else ""


@receiver(user_logged_in)
def note_sign_in(sender: type[User], request: HttpRequest, **kwargs: Any) -> None:
    """Note when a session began: it is refreshed by use, and ends all the same."""
    request.session[_SINCE] = timezone.now().timestamp()


def _enter(request: HttpRequest, user: User, proved: SecondFactor | None) -> None:
    """Sign the user in."""
    request.session.pop(_PENDING, None)
    auth_login(request, user)
    request.session[_PROVED] = _mark(user)
    metrics.add(SIGN_INS, "succeeded")
    audit.record(
        audit.Kind.STAFF_SIGNED_IN,
        object_id=user.pk,
        after={"second_factor": proved or ""},
        actor=("staff", user.pk),
    )


# The first step


class PasswordView(LoginView):
    """Document and password. Signs in at once who needs no second factor."""

    def form_valid(self, form: Any) -> HttpResponse:
        user: User = form.get_user()
        if _password_suffices(user):
            if not _enter_by_password(self.request, user):
                form.add_error(None, _(INVALID_LOGIN))
                return self.form_invalid(form)
            return HttpResponseRedirect(self.get_success_url())
        metrics.add(SIGN_INS, "second_factor_asked")
        lifetime = CHALLENGE_LIFETIME if user.has_second_factor else ENROLMENT_LIFETIME
        _begin(self.request, user, lifetime, self.get_success_url())
        page = "admin:login_code" if user.has_second_factor else "admin:login_enrol"
        return HttpResponseRedirect(reverse(page))


def _password_suffices(user: User) -> bool:
    return not user.has_second_factor and not policy.staff_lacks_factor(user)


def _enter_by_password(request: HttpRequest, proved: User) -> bool:
    """Sign in the user as they were when the password was proved. False where they changed."""
    with transaction.atomic():
        user = User.objects.lock_as_proved(proved).filter(is_staff=True).first()
        if user is None or not _password_suffices(user):
            return False
        _enter(request, user, None)
    return True


def _begin(request: HttpRequest, user: User, lifetime: timedelta, following: str) -> None:
    """Note whose password was proved, in a fresh session with nothing else in it."""
    request.session.flush()
    request.session[_PENDING] = {
        "user": user.pk,
        "password_mark": user.get_session_auth_hash(),
        "until": (timezone.now() + lifetime).timestamp(),
        REDIRECT_FIELD_NAME: following,
    }


def _pending(request: HttpRequest) -> User | None:
    """The user whose password was proved in this session, while that is good; else None."""
    noted = request.session.get(_PENDING)
    if noted is None or noted["until"] <= timezone.now().timestamp():
        return None
    user = User.objects.filter(pk=noted["user"]).first()
    return user if user is not None and _is_still(noted["password_mark"], user) else None


def _is_still(password_mark: str, user: User) -> bool:
    """Whether a password that was proved at that session auth hash still signs the user in here."""
    is_same = user.has_password_mark(password_mark)
    return user.is_active and user.is_staff and is_same


def _require_still(noted: dict[str, Any], user: User) -> None:
    """Raises Unauthorized where the pending sign-in no longer serves."""
    if not _is_still(noted["password_mark"], user):
        raise Unauthorized


# The second step


def code_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Ask for a code, and sign in with it."""
    user = _pending(request)
    if user is None:
        return _again()
    if not user.has_second_factor:  # they are to enrol, and came here by hand
        return HttpResponseRedirect(reverse("admin:login_enrol"))
    noted = request.session[_PENDING]

    def enter(found: User, proved: SecondFactor) -> None:
        _require_still(noted, found)
        _enter(request, found, proved)

    form, error = CodeForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        error = _refusal(form, lambda code: factors.prove(user.pk, code, enter))
        if not form.errors:
            return HttpResponseRedirect(noted[REDIRECT_FIELD_NAME])
    page = TemplateResponse(
        request,
        "authn/staff_code.html",
        {**context, "title": _("Second factor"), "form": form},
    )
    return as_error(page, error) if error is not None else page


@sensitive_variables("enrolment", "codes")
def enrol_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show a QR code for the app, and sign in with the app's first code.

    The answer to that code shows the recovery codes; no other page ever does.
    """
    user = _pending(request)
    if user is None:
        return _again()
    if user.has_second_factor:
        return HttpResponseRedirect(reverse("admin:login_code"))
    noted = request.session[_PENDING]
    codes: Sequence[str] = ()

    def confirm(code: str) -> None:
        nonlocal codes
        codes = factors.confirm(
            user.pk,
            code,
            factor_id=noted.get("enrolment", 0),
            first=partial(_require_still, noted),
            then=lambda found: _enter(request, found, SecondFactor.TOTP),
        )

    form, error = CodeForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        try:
            error = _refusal(form, confirm)
        except Conflict:  # its time is over, or it was begun anew elsewhere: here is another
            return HttpResponseRedirect(reverse("admin:login_enrol"))
        if not form.errors:
            shown = {"codes": codes, "following": noted[REDIRECT_FIELD_NAME]}
            title = _("Recovery codes")
            return TemplateResponse(
                request, "authn/staff_recovery_codes.html", {**context, **shown, "title": title}
            )
    enrolment = factors.pending_enrolment(user, noted.get("enrolment", 0))
    if enrolment is None:
        try:
            enrolment = factors.enrol_without_one(user.pk)
        except Conflict:  # enrolled at this moment
            return HttpResponseRedirect(reverse("admin:login_code"))
        request.session[_PENDING] = {**noted, "enrolment": enrolment.factor_id}
    shown = {"secret": enrolment.secret, "qr_code": totp.qr_data_uri(enrolment.uri), "form": form}
    title = _("Set up the second factor")
    page = TemplateResponse(request, "authn/staff_enrol.html", {**context, **shown, "title": title})
    return as_error(page, error) if error is not None else page


def _again() -> HttpResponse:
    """Back to the password: none was proved here, or too long ago."""
    return HttpResponseRedirect(reverse("admin:login"))


def _refusal(form: CodeForm, use: Callable[[str], object]) -> ApiError | None:
    """Use the form's code. What refuses it becomes the form's error, and is returned where the
    answer has a status of its own."""
    try:
        use(form.cleaned_data["code"])
    except Unauthorized:
        form.add_error("code", str(_("Invalid code.")))
    except (RateLimited, ServiceUnavailable) as error:
        form.add_error("code", try_again(error))
        return error
    return None


def as_error(response: HttpResponse, error: ApiError) -> HttpResponse:
    """The page with the status and the headers that the API would answer."""
    response.status_code = error.status_code
    for name, value in error.headers().items():
        response.headers[name] = value
    return response
