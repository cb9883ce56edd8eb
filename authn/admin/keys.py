"""API keys at the staff console: issuing and rotating show the secret once, on the answer."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from authn import figures
from authn.admin.key_lists import STATES, OwnerFilter, UseFilter, state_badge
from authn.admin.one_time import close_form, open_form
from authn.forms import IssueKeyForm, RotateKeyForm
from authn.models import ApiKey
from fluxiq import ids
from fluxiq.admin_actions import ObjectAction, Tool
from fluxiq.admin_lists import StateFilter, found_names, made_lately
from fluxiq.admin_site import ConsoleAdmin, adopt
from fluxiq.errors import Conflict
from fluxiq.panels import Chart
from fluxiq.scopes import DESCRIPTIONS
from merchants.admin import MerchantColumn, MerchantFilter
from merchants.models import Merchant


@admin.register(ApiKey)
class ApiKeyAdmin(MerchantColumn, ConsoleAdmin[ApiKey]):
    """API keys. A secret stands on the page that answers a form, and nowhere after."""

    states = STATES
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
    list_filter = (
        StateFilter,
        UseFilter,
        MerchantFilter,
        OwnerFilter,
        made_lately(ids.Prefix.API_KEY),
    )
    list_select_related = ("merchant",)
    search_exact = ("id", "hint")
    search_names = ("name",)
    search_help_text = gettext_lazy("Name, hint or id, of the key or (name, id) of its merchant.")
    autocomplete_fields = ("merchant",)
    add_form_template = "admin/authn/apikey/issue.html"
    add_fieldsets = (
        (None, {"fields": ("merchant", "service_key", "name", "permissions")}),
        (gettext_lazy("Limits"), {"fields": ("expires_at", "allowed_ips", "rate_limit")}),
    )
    fieldsets = (
        (
            None,
            {"fields": ("id", "merchant", "name", "hint", "shown_state", "described_permissions")},
        ),
        (gettext_lazy("Limits"), {"fields": ("expires_at", "listed_addresses", "rate_limit")}),
        (gettext_lazy("Use"), {"fields": ("last_used_at", "last_used_address")}),
        (
            gettext_lazy("Life"),
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
            label=gettext_lazy("Revoke"),
            explanation=gettext_lazy(
                "The key is refused from its next request on. This cannot be undone."
            ),
            perform=ApiKey.revoke,
            applies_to=lambda api_key: api_key.is_live,
            asks_reason=True,
        ),
    )

    def search_conditions(self, term: str) -> list[Q]:
        """Those of the key itself, and of its merchant."""
        merchants = found_names(Merchant.objects.all(), term)
        return [*super().search_conditions(term), Q(merchant_id__in=merchants)]

    # The page of one

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
        shown = (field for _name, options in self.fieldsets for field in options["fields"])
        return tuple(field for field in shown if field not in self.editable)

    def get_object_tools(self, request: HttpRequest, obj: ApiKey) -> list[Tool]:
        tools = super().get_object_tools(request, obj)
        if self._may_rotate(request, obj) and obj.is_live and obj.rotated_to_id is None:
            tools.insert(0, Tool(gettext_lazy("Rotate"), self._url("rotate", obj)))
        return tools

    def get_object_panels(self, request: HttpRequest, obj: ApiKey) -> list[tuple[str, Any]]:
        chart = figures.requests_by_day(figures.days_of_key(obj))
        return [(Chart.template, chart)]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        api_key, fields = context["original"], context["adminform"].form.fields
        context["show_save_and_add_another"] = False
        if api_key is None:
            context |= {"title": _("Issue API key"), "form_number": open_form(request)}
        elif "name" in fields and not api_key.is_live:
            for field in self.editable:
                fields[field].widget.attrs["readonly"] = True
            context |= {"show_save": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    # Issuing and rotating

    @method_decorator(sensitive_variables("secret"))
    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            obj.change({field: form.cleaned_data[field] for field in self.editable})
            return
        if not close_form(request):
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
        secret: str = request.issued_secret  # type: ignore[attr-defined]
        return self._shown_once(request, obj, secret, _("Key issued"))

    def _shown_once(
        self, request: HttpRequest, api_key: ApiKey, secret: str, title: str
    ) -> HttpResponse:
        """The one page that ever shows the secret: the answer itself, kept by nobody."""
        context = self.page_context(
            request,
            title,
            secret=secret,
            api_key=api_key,
            permissions=[(p, DESCRIPTIONS.get(p, "")) for p in api_key.permissions],
            key_url=self._url("change", api_key),
            list_url=reverse("admin:authn_apikey_changelist"),
        )
        headers = {"Cache-Control": "no-store"}
        return TemplateResponse(request, "admin/authn/apikey/issued.html", context, headers=headers)

    def get_urls(self) -> list[URLPattern]:
        page = path(
            "<path:object_id>/rotate/",
            self.admin_site.admin_view(self.rotate),
            name="authn_apikey_rotate",
        )
        return [page, *super().get_urls()]

    def _may_rotate(self, request: HttpRequest, obj: ApiKey | None) -> bool:
        """Rotating issues a key too."""
        return self.has_change_permission(request, obj) and self.has_add_permission(request)

    @method_decorator(sensitive_variables("secret"))
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make a successor; this key goes on for a grace, so that servers can be changed over."""
        api_key = self.actionable(request, object_id)
        if not self._may_rotate(request, api_key):
            raise PermissionDenied
        staff: Any = request.user
        form = RotateKeyForm(request.POST or None)
        if form.is_valid():
            try:
                if not close_form(request):
                    raise Conflict("This form was sent before, and the key may have been rotated")
                successor, secret = api_key.rotate(form.cleaned_data["grace"], staff)
            except Conflict as error:
                form.add_error(None, _(error.message))
            else:
                self.log_change(request, api_key, _("Rotate"))
                return self._shown_once(request, successor, str(secret), _("Key rotated"))
        context = self.page_context(
            request,
            _("Rotate"),
            original=api_key,
            form=form,
            form_number=open_form(request),
            back=self._url("change", api_key),
        )
        return TemplateResponse(request, "admin/authn/apikey/rotate.html", context)

    # Columns

    @admin.display(description=gettext_lazy("state"))
    def shown_state(self, api_key: ApiKey) -> str:
        """Whether it verifies, or why not."""
        return state_badge(api_key)

    @admin.display(description=gettext_lazy("permissions"))
    def listed_permissions(self, api_key: ApiKey) -> str:
        """A list's column."""
        return ", ".join(api_key.permissions)

    @admin.display(description=gettext_lazy("permissions"))
    def described_permissions(self, api_key: ApiKey) -> str:
        """Each with what it allows."""
        described = (
            (p, _(DESCRIPTIONS[p]) if p in DESCRIPTIONS else "") for p in api_key.permissions
        )
        return format_html_join("", "<div><code>{}</code> {}</div>", described)

    @admin.display(description=gettext_lazy("allowed addresses"))
    def listed_addresses(self, api_key: ApiKey) -> str:
        """The CIDRs that it may be used from."""
        return ", ".join(api_key.allowed_ips) or _("from anywhere")

    @admin.display(description=gettext_lazy("rotated to"))
    def rotated_to(self, api_key: ApiKey) -> str:
        """The key that succeeds it."""
        return api_key.rotated_to_id or "-"
