"""The staff console's pages of keys and sessions, and what of others concerns these."""

import secrets
from typing import Any, ClassVar

import rest_framework_simplejwt.token_blacklist.admin  # noqa: F401 - registers what goes below
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.forms import SetPasswordForm
from django.core.exceptions import PermissionDenied
from django.db.models import Case, CharField, Q, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts import admin as accounts_admin
from accounts.models import User
from authn import passwords, ratelimit
from authn.forms import IssueKeyForm
from authn.models import ApiKey, Session
from authn.ratelimit import Bucket
from fluxiq.admin_site import ConsoleAdmin, ObjectAction, ReadOnlyAdmin, adopt
from fluxiq.errors import Conflict
from fluxiq.scopes import DESCRIPTIONS
from merchants import admin as merchants_admin
from merchants.admin import MerchantColumn, MerchantFilter, list_of
from merchants.models import Merchant

# Its rows are ids of tokens, which say nothing that the sessions do not say better.
admin.site.unregister([BlacklistedToken, OutstandingToken])


class StateFilter(admin.SimpleListFilter):
    """Narrows a list to one of the states that its queryset is annotated with."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [(state, state) for state in model_admin.states]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        is_known = self.value() in dict(self.lookup_choices)
        return queryset.filter(state=self.value()) if is_known else queryset


def _with_state(queryset: QuerySet[Any], states: dict[str, Q], otherwise: str) -> QuerySet[Any]:
    """The rows, each with the first of these states that it is in."""
    cases = [When(condition, then=Value(state)) for state, condition in states.items()]
    default = Value(otherwise)
    state = Case(*cases, default=default, output_field=CharField())
    with_state: QuerySet[Any] = queryset.annotate(state=state)
    return with_state


class StateColumn:
    """A column `shown_state` for rows with a state."""

    @admin.display(description="state", ordering="state")
    def shown_state(self, obj: Any) -> str:
        """The state that the row is annotated with."""
        return str(obj.state)


# API keys

_OPEN_FORMS = "issue_key_forms"  # in the session: the one-time numbers of the forms shown
_MAX_OPEN_FORMS = 10
_ONE_HOUR = 60 * 60


def _open_form(request: HttpRequest) -> str:
    """A new number for a form, with which it can be sent once."""
    number = secrets.token_urlsafe(16)
    kept = request.session.get(_OPEN_FORMS, [])[1 - _MAX_OPEN_FORMS :]
    request.session[_OPEN_FORMS] = [*kept, number]
    return number


def _close_form(request: HttpRequest) -> bool:
    """Spend the number of the form sent. False where it is spent already, or not ours.

    Of two requests at the same moment both find it in the session; the counter admits one.
    """
    number = request.POST.get("form_number", "")
    open_forms = request.session.get(_OPEN_FORMS, [])
    if number not in open_forms:
        return False
    request.session[_OPEN_FORMS] = [n for n in open_forms if n != number]
    return not ratelimit.count(Bucket("issue-key-form", number, 1, _ONE_HOUR)).is_exceeded


class OwnerFilter(admin.SimpleListFilter):
    """Narrows the keys to merchants' or services'."""

    title = "owner"
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [("merchant", "merchants"), ("service", "services")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(merchant__isnull=self.value() == "service")


@admin.register(ApiKey)
class ApiKeyAdmin(MerchantColumn, StateColumn, ConsoleAdmin[ApiKey]):
    """API keys. Issuing shows the secret on the page that answers, and nowhere after."""

    states = ("live", "in grace", "expired", "revoked")
    editable = ("name", "rate_limit")
    list_display = (
        "name",
        "hint",
        "merchant_link",
        "shown_state",
        "last_used_at",
        "created_at",
        "listed_permissions",
    )
    list_display_links = ("name", "hint")
    list_filter = (StateFilter, MerchantFilter, OwnerFilter, "created_at", "last_used_at")
    list_select_related = ("merchant",)
    search_fields = ("name", "hint", "id__exact", "merchant__name", "merchant__id__exact")
    search_help_text = "Name, hint or id, of the key or (name, id) of its merchant."
    autocomplete_fields = ("merchant",)
    add_form_template = "admin/authn/apikey/issue.html"
    add_fieldsets = (
        (None, {"fields": ("merchant", "service_key", "name", "permissions")}),
        ("Limits", {"fields": ("expires_at", "allowed_ips", "rate_limit")}),
    )
    fieldsets = (
        (
            None,
            {"fields": ("id", "merchant", "name", "hint", "shown_state", "described_permissions")},
        ),
        ("Limits", {"fields": ("expires_at", "listed_addresses", "rate_limit")}),
        ("Use", {"fields": ("last_used_at", "last_used_address")}),
        (
            "Life",
            {
                "fields": (
                    "created_at",
                    "created_by",
                    "rotated_from",
                    "rotated_to",
                    "revoked_at",
                    "revoked_reason",
                )
            },
        ),
    )
    object_actions: ClassVar = (
        ObjectAction(
            name="revoke",
            label="Revoke",
            explanation="The key is refused from its next request on. This cannot be undone.",
            perform=ApiKey.revoke,
            applies_to=lambda api_key: api_key.is_live,
            asks_reason=True,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        now = timezone.now()
        states = {
            "revoked": Q(revoked_at__lte=now),
            "expired": Q(expires_at__lte=now),
            "in grace": Q(revoked_at__gt=now),
        }
        return _with_state(super().get_queryset(request), states, "live")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list, which tells how many live keys stand under each pepper."""
        counted = sorted(ApiKey.objects.live().per_pepper().items())
        told = ", ".join(f"{pepper_id}: {count}" for pepper_id, count in counted) or "none"
        context = {**(extra_context or {}), "subtitle": f"Live keys by pepper: {told}"}
        return super().changelist_view(request, context)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """A filter in the URL must not tell the digest byte by byte."""
        is_secret = lookup.startswith(("digest", "pepper_id"))
        return not is_secret and super().lookup_allowed(lookup, value, request)

    def get_form(
        self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any
    ) -> "type[forms.ModelForm[ApiKey]]":
        if obj is None:
            kwargs["form"] = IssueKeyForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return self.add_fieldsets if obj is None else super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        if obj is None:
            return ()
        shown = (field for _, options in self.fieldsets for field in options["fields"])
        return tuple(field for field in shown if field not in self.editable)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        api_key, fields = context["original"], context["adminform"].form.fields
        context["show_save_and_add_another"] = False
        if api_key is None:
            context |= {"title": "Issue API key", "form_number": _open_form(request)}
        elif "name" in fields and not api_key.is_live:
            for field in self.editable:
                fields[field].widget.attrs["readonly"] = True
            context |= {"show_save": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    @method_decorator(sensitive_variables("secret"))
    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            obj.change({field: form.cleaned_data[field] for field in self.editable})
            return
        if not _close_form(request):
            raise Conflict(
                "This form was sent before: see the list for the key that it may have issued,"
                " whose secret is not shown again. Send it now to issue another."
            )
        api_key, secret = form.issue(created_by=request.user)
        adopt(obj, api_key)
        request.issued_secret = secret  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The one page that ever shows the secret: the answer itself, kept by nobody."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Key issued",
            "opts": self.opts,
            "api_key": obj,
            "secret": request.issued_secret,  # type: ignore[attr-defined]
        }
        return TemplateResponse(
            request,
            "admin/authn/apikey/issued.html",
            context,
            headers={"Cache-Control": "no-store"},
        )

    @admin.display(description="permissions")
    def listed_permissions(self, api_key: ApiKey) -> str:
        """A list's column."""
        return ", ".join(api_key.permissions)

    @admin.display(description="permissions")
    def described_permissions(self, api_key: ApiKey) -> str:
        """Each with what it allows."""
        described = ((p, DESCRIPTIONS.get(p, "")) for p in api_key.permissions)
        return format_html_join("", "<div><code>{}</code> {}</div>", described)

    @admin.display(description="allowed addresses")
    def listed_addresses(self, api_key: ApiKey) -> str:
        """The CIDRs that it may be used from."""
        return ", ".join(api_key.allowed_ips) or "from anywhere"

    @admin.display(description="rotated to")
    def rotated_to(self, api_key: ApiKey) -> str:
        """The key that succeeds it."""
        return api_key.rotated_to_id or "-"


@admin.register(Session)
class SessionAdmin(StateColumn, ReadOnlyAdmin[Session]):
    """Sessions of the API's users; the console's own are Django's."""

    states = ("live", "expired", "ended")
    list_display = (
        "created_at",
        "user_link",
        "shown_state",
        "address",
        "last_used_at",
        "expires_at",
        "shown_user_agent",
    )
    list_filter = (StateFilter, "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("id__exact", "user__id__exact", "user__name", "address__exact")
    search_help_text = "The session's id, its address, or the user's name or id."
    fields = (
        "id",
        "user",
        "shown_state",
        "address",
        "user_agent",
        "created_at",
        "last_used_at",
        "expires_at",
        "ended_at",
        "ended_reason",
    )
    object_actions: ClassVar = (
        ObjectAction(
            name="end",
            label="End sessions",
            explanation="Their tokens are refused from the next request on.",
            perform=lambda session, reason: Session.objects.filter(pk=session.pk).end(
                "ended by staff"
            ),
            applies_to=lambda session: session.ended_at is None,
        ),
    )

    def has_action_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Nothing of a session is edited; who may change one may end it."""
        return request.user.has_perm("authn.change_session")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        states = {
            "ended": Q(ended_at__isnull=False),
            "expired": Q(expires_at__lte=timezone.now()),
        }
        return _with_state(super().get_queryset(request), states, "live")

    @admin.display(description="user", ordering="user__name")
    def user_link(self, session: Session) -> str:
        """A list's column: the user, and a link that narrows the list to their sessions."""
        query = urlencode({"user__id__exact": session.user_id})
        return format_html('<a href="?{}">{}</a>', query, session.user)

    @admin.display(description="user agent", ordering="user_agent")
    def shown_user_agent(self, session: Session) -> str:
        """A list's column: the beginning of it."""
        return session.user_agent[:60]


# What of people and merchants concerns credentials

admin.site.unregister([User, Merchant])


@admin.register(Merchant)
class MerchantAdmin(merchants_admin.MerchantAdmin):
    """Merchants, with a way to their keys."""

    def get_object_tools(self, request: HttpRequest, obj: Merchant) -> list[tuple[str, str]]:
        return [*super().get_object_tools(request, obj), *list_of(ApiKey, request, obj)]


@admin.register(User)
class UserAdmin(accounts_admin.UserAdmin):
    """People, with a way to their sessions, and setting a password, which ends them all."""

    def get_object_tools(self, request: HttpRequest, obj: User) -> list[tuple[str, str]]:
        tools = super().get_object_tools(request, obj)
        if self.has_change_permission(request, obj):
            tools.append(("Set password", self._url("password", obj)))
        if request.user.has_perm("authn.view_session"):
            url = reverse("admin:authn_session_changelist")
            tools.append(("Sessions", f"{url}?{urlencode({'user__id__exact': obj.pk})}"))
        return tools

    def get_urls(self) -> list[URLPattern]:
        page = path(
            "<path:object_id>/password/",
            self.admin_site.admin_view(self.set_password),
            name="accounts_user_password",
        )
        return [page, *super().get_urls()]

    @method_decorator(sensitive_post_parameters())
    def set_password(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Set the password of another; one's own is changed by proving the present one."""
        user = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        if user is None:
            raise Http404
        if user.pk == request.user.pk:
            return HttpResponseRedirect(reverse("admin:password_change"))
        form = SetPasswordForm(user, request.POST or None)
        if form.is_valid():
            passwords.reset(user, form.cleaned_data["new_password1"])
            self.log_change(request, user, "Set password")
            message = f"Password set; every session ended: {user}"
            self.message_user(request, message, messages.SUCCESS)
            return HttpResponseRedirect(self._url("change", user))
        context = {
            **self.admin_site.each_context(request),
            "title": "Set password",
            "opts": self.opts,
            "original": user,
            "form": form,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/accounts/user/set_password.html", context)
