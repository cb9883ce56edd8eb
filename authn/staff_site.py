"""The staff console's site: signing in, and changing one's own password, under the throttle."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth import REDIRECT_FIELD_NAME, update_session_auth_hash
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import PermissionDenied
from django.forms import CharField, PasswordInput
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from accounts.passwords import MAX_LENGTH as MAX_PASSWORD
from authn import passwords, staff_sign_in
from authn.forms import SignInForm, try_again
from authn.staff_sign_in import as_error
from fluxiq.admin_site import dress
from fluxiq.audit import tallies
from fluxiq.audit.models import Kind
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
        index = reverse("admin:index", current_app=self.name)
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(index)
        names_following = REDIRECT_FIELD_NAME in request.GET or REDIRECT_FIELD_NAME in request.POST
        context = {
            **self.each_context(request),
            "title": _("Log in"),
            "subtitle": None,
            "app_path": request.get_full_path(),
            # Django would show the document of somebody who is signed in and no longer staff.
            "username": str(request.user),
            **({} if names_following else {REDIRECT_FIELD_NAME: index}),
            **(extra_context or {}),
        }
        request.current_app = self.name
        page = staff_sign_in.PasswordView.as_view(
            extra_context=context,
            authentication_form=self.login_form,
            template_name="admin/login.html",
            next_page=index,
        )
        response: Any = page(request)
        if request.method != "POST" or isinstance(response, HttpResponseRedirect):
            return response
        error: ApiError | None = response.context_data["form"].not_now
        return as_error(response, error) if error is not None else response

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether any page may be shown: staff, and with all that is asked for at the sign-in."""
        return super().has_permission(request) and staff_sign_in.is_signed_in(request)

    def get_urls(self) -> list[Any]:
        return [
            path("login/code/", self._second_step(staff_sign_in.code_page), name="login_code"),
            path("login/enrol/", self._second_step(staff_sign_in.enrol_page), name="login_enrol"),
            *super().get_urls(),
        ]

    def _second_step(self, page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """A page of the sign-in: nobody is signed in yet, and nothing of it is kept."""

        @never_cache
        def view(request: HttpRequest) -> HttpResponse:
            request.current_app = self.name
            return page(request, self.each_context(request))

        return view

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """As Django's; a page whose work cannot be done just now says so, as a 503, and what is
        refused to who is signed in is counted for the audit trail."""

        @wraps(view)
        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                return view(request, *args, **kwargs)
            except PermissionDenied:
                tallies.count(Kind.PERMISSION_REFUSED, actor=("staff", str(request.user.pk)))
                raise
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
