"""The staff console's site: signing in, and changing one's own password, under the throttle."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import PasswordChangeView
from django.forms import CharField, PasswordInput
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from accounts.passwords import MAX_LENGTH as MAX_PASSWORD
from authn import passwords
from authn.forms import SignInForm, try_again
from fluxiq.admin_site import dress
from fluxiq.audit import models as audit
from fluxiq.errors import ApiError, RateLimited, ServiceUnavailable, ValidationFailed


class OwnPasswordForm(SetPasswordForm):  # type: ignore[type-arg]
    """A new password, and the present one, which the view proves."""

    old_password = CharField(
        label=_("Old password"),
        max_length=MAX_PASSWORD,
        strip=False,
        widget=PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )
    field_order = ("old_password", "new_password1", "new_password2")
    required_css_class = "required"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress(self)


class OwnPasswordView(PasswordChangeView):
    """Change one's own password, which ends all other sessions, the API's too."""

    form_class = OwnPasswordForm  # type: ignore[assignment]

    def form_valid(self, form: Any) -> HttpResponse:
        data, user = form.cleaned_data, form.user
        try:
            passwords.change(
                user, current=data["old_password"], new=data["new_password1"], session_id=None
            )
        except ValidationFailed:  # of the present one; the form has judged the new one
            form.add_error("old_password", _("Wrong password."))
            return self.form_invalid(form)
        except RateLimited as error:
            form.add_error("old_password", try_again(error))
            return as_error(self.form_invalid(form), error)
        update_session_auth_hash(self.request, user)
        return HttpResponseRedirect(self.get_success_url())


class StaffSite(UnfoldAdminSite):  # type: ignore[misc] # the theme ships no types
    """Django's admin site in its theme, signed in to by document and password."""

    index_title = _("Home")
    login_form = SignInForm

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Of the theme's search over everything there is none: each list has its own, indexed."""
        raise Http404

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The sign-in page; 429 or 503 with `Retry-After` where throttle or hasher refuse."""
        # Django would show the document of somebody who is signed in and no longer staff.
        context = {"username": str(request.user), **(extra_context or {})}
        response: Any = super().login(request, context)
        if request.method != "POST":
            return response
        if isinstance(response, HttpResponseRedirect):
            audit.record(
                audit.Kind.STAFF_SIGNED_IN,
                object_id=str(request.user.pk),
                actor=("staff", str(request.user.pk)),
            )
            return response
        error: ApiError | None = response.context_data["form"].not_now
        return as_error(response, error) if error is not None else response

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """As Django's; a page whose work cannot be done just now says so, as a 503."""

        @wraps(view)
        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                return view(request, *args, **kwargs)
            except ServiceUnavailable as error:
                context = {
                    **self.each_context(request),
                    "title": _("Not now"),
                    "content": _("%(why)s Nothing was changed.") % {"why": try_again(error)},
                }
                return as_error(TemplateResponse(request, "admin/base_site.html", context), error)

        return super().admin_view(page, cacheable)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The page on which staff change their own password."""
        request.current_app = self.name
        view = OwnPasswordView.as_view(
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)


def as_error(response: HttpResponse, error: ApiError) -> HttpResponse:
    """The page with the status and the headers that the API would answer."""
    response.status_code = error.status_code
    for name, value in error.headers().items():
        response.headers[name] = value
    return response
