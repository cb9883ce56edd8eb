"""The staff console's pages of merchants, their members and their payment accounts."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from accounts.admin import DocumentSearchAdmin
from fluxiq import ids
from fluxiq.admin_actions import ObjectAction, Tool
from fluxiq.admin_lists import found_names, made_lately
from fluxiq.admin_site import ConsoleAdmin, adopt
from fluxiq.theme import TabularInline
from merchants.forms import MembershipForm, MembershipFormSet, MerchantAddForm, staff_principal
from merchants.models import Membership, Merchant, PaymentAccount


class MembershipInline(TabularInline):
    """Who belongs to the merchant."""

    model = Membership
    form = MembershipForm
    formset = MembershipFormSet
    fields = ("person", "user", "name", "email", "role", "status")
    readonly_fields = ("user",)
    extra = 0
    verbose_name = gettext_lazy("member")
    verbose_name_plural = gettext_lazy("members")

    @admin.display(description=gettext_lazy("document"))
    def person(self, membership: Membership) -> str:
        """What stands in the form's field of that name for who may only look."""
        return membership.masked_document

    @admin.display(description=gettext_lazy("e-mail"))
    def email(self, membership: Membership) -> str:
        """Nothing: the address of an invitation is not kept."""
        return ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        """With the user, and the merchant whom each row's caption names."""
        return super().get_queryset(request).select_related("merchant", "user")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset: Any = super().get_formset(request, obj, **kwargs)
        formset.principal = staff_principal(request.user)
        return formset


@admin.register(Merchant)
class MerchantAdmin(DocumentSearchAdmin[Merchant]):
    """Merchants, with their members."""

    list_display = ("name", "shown_document", "status", "id", "created_at")
    list_filter = ("status", made_lately(ids.Prefix.MERCHANT))
    search_names = ("name",)
    search_help_text = gettext_lazy("Name, the beginning of a CNPJ or CPF, or id.")
    inlines = (MembershipInline,)
    fields = ("id", "name", "shown_document", "status", "require_mfa", "created_at")
    readonly_fields = ("id", "shown_document", "status", "require_mfa", "created_at")
    object_actions: ClassVar = (
        ObjectAction(
            name="suspend",
            label=gettext_lazy("Suspend"),
            explanation=gettext_lazy(
                "Its API keys and its members are refused from the next request on."
            ),
            perform=lambda merchant, reason: merchant.suspend(),
            applies_to=lambda merchant: not merchant.is_suspended,
        ),
        ObjectAction(
            name="resume",
            label=gettext_lazy("Resume"),
            explanation=gettext_lazy("Its API keys and its members are served again."),
            perform=lambda merchant, reason: merchant.resume(),
            applies_to=lambda merchant: merchant.is_suspended,
            withdraws=False,
        ),
        ObjectAction(
            name="require-mfa",
            label=gettext_lazy("Require second factor"),
            explanation=gettext_lazy(
                "Members without a second factor hold nothing here from the next request on, and"
                " their sessions end."
            ),
            perform=lambda merchant, reason: merchant.set_require_mfa(True),
            applies_to=lambda merchant: not merchant.require_mfa,
        ),
        ObjectAction(
            name="waive-mfa",
            label=gettext_lazy("Stop requiring second factor"),
            explanation=gettext_lazy(
                "Members without a second factor hold what their role grants again."
            ),
            perform=lambda merchant, reason: merchant.set_require_mfa(False),
            applies_to=lambda merchant: merchant.require_mfa,
            withdraws=False,
        ),
    )

    def get_form(
        self, request: HttpRequest, obj: Merchant | None = None, change: bool = False, **kwargs: Any
    ) -> "type[forms.ModelForm[Merchant]]":
        if obj is None:
            kwargs["form"] = MerchantAddForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Merchant | None = None) -> Any:
        return ("name", "document") if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Merchant | None = None) -> Any:
        return () if obj is None else super().get_readonly_fields(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Merchant | None) -> Any:
        return () if obj is None else super().get_inlines(request, obj)

    def get_object_tools(self, request: HttpRequest, obj: Merchant) -> list[Tool]:
        return [*super().get_object_tools(request, obj), *list_of(PaymentAccount, request, obj)]

    def save_model(self, request: HttpRequest, obj: Merchant, form: Any, change: bool) -> None:
        if not change:
            adopt(obj, Merchant.objects.open(obj.name, obj.document))
        elif "name" in form.changed_data:
            obj.rename(obj.name)

    @method_decorator(sensitive_variables())
    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        request.invited = [  # type: ignore[attr-defined]
            each for formset in formsets for each in getattr(formset, "invited", ())
        ]

    def response_change(self, request: HttpRequest, obj: Merchant) -> HttpResponse:
        return self._invitations(request, obj) or super().response_change(request, obj)

    @method_decorator(sensitive_variables())
    def _invitations(self, request: HttpRequest, merchant: Merchant) -> HttpResponse | None:
        """The one page that shows the invitations just made, kept by nobody; None without any."""
        invited: list[tuple[Membership, str | None]] = request.invited  # type: ignore[attr-defined]
        mailed = [membership for membership, invitation in invited if invitation is None]
        shown = [(member, secret) for member, secret in invited if secret is not None]
        if not shown:
            for membership in mailed:
                message = _("Invited by mail: %(name)s") % {"name": membership.name}
                self.message_user(request, message, messages.SUCCESS)
            return None
        context = self.page_context(
            request,
            _("Invitations"),
            original=merchant,
            shown=shown,
            mailed=mailed,
            back=self._url("change", merchant),
        )
        headers = {"Cache-Control": "no-store"}
        return TemplateResponse(
            request, "admin/merchants/merchant/invited.html", context, headers=headers
        )


def may_see(request: HttpRequest, model: type[Model]) -> bool:
    """Whether who asks may look at objects of this model."""
    app, name = model._meta.app_label, model._meta.model_name
    return any(request.user.has_perm(f"{app}.{may}_{name}") for may in ("view", "change"))


def list_url(model: type[Model], merchant: Merchant) -> str:
    """The list of what of this model the merchant has."""
    query = urlencode({MerchantFilter.parameter_name: merchant.pk})
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return f"{reverse(name)}?{query}"


def list_of(model: type[Model], request: HttpRequest, merchant: Merchant) -> list[Tool]:
    """A button to that list, for whoever may see it."""
    if not may_see(request, model):
        return []
    label = str(capfirst(model._meta.verbose_name_plural or ""))
    return [Tool(label, list_url(model, merchant))]


class MerchantFilter(admin.SimpleListFilter):
    """Narrows a list to one merchant, chosen by a link: there may be too many to offer all."""

    title = gettext_lazy("merchant")
    parameter_name = "merchant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        merchant_id = self.value() or ""
        if not ids.is_valid(ids.Prefix.MERCHANT, merchant_id):
            return []
        return [(m.pk, m.name) for m in Merchant.objects.filter(pk=merchant_id)]

    def has_output(self) -> bool:
        """Whether one is chosen, if only to offer all again."""
        return self.value() is not None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(merchant_id__in=[pk for pk, _name in self.lookup_choices])


class MerchantColumn:
    """A column `merchant_link` for lists of what merchants have."""

    @admin.display(description=gettext_lazy("merchant"), empty_value="-")
    def merchant_link(self, obj: Any) -> str | None:
        """The merchant, and a link that narrows the list to it."""
        if obj.merchant is None:
            return None
        query = urlencode({MerchantFilter.parameter_name: obj.merchant_id})
        return format_html('<a href="?{}">{}</a>', query, obj.merchant.name)


@admin.register(PaymentAccount)
class PaymentAccountAdmin(MerchantColumn, ConsoleAdmin[PaymentAccount]):
    """Payment accounts. The balance belongs to the core ledger."""

    list_display = ("name", "merchant_link", "branch", "number", "balance", "status", "created_at")
    list_filter = (MerchantFilter, "status", made_lately(ids.Prefix.ACCOUNT))
    list_select_related = ("merchant",)
    search_exact = ("id", "number")
    search_names = ("name",)
    search_help_text = gettext_lazy(
        "Name, number or id, of the account or (name, id) of its merchant."
    )
    autocomplete_fields = ("merchant",)
    fields = (
        "id",
        "merchant",
        "name",
        "branch",
        "number",
        "currency",
        "balance",
        "status",
        "created_at",
    )
    readonly_fields = ("id", "merchant", "branch", "number", "currency", "balance", "created_at")

    def search_conditions(self, term: str) -> list[Q]:
        """Those of the account itself, and of its merchant."""
        merchants = found_names(Merchant.objects.all(), term)
        return [*super().search_conditions(term), Q(merchant_id__in=merchants)]

    def get_fields(self, request: HttpRequest, obj: PaymentAccount | None = None) -> Any:
        return ("merchant", "name") if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: PaymentAccount | None = None) -> Any:
        return () if obj is None else super().get_readonly_fields(request, obj)

    def save_model(
        self, request: HttpRequest, obj: PaymentAccount, form: Any, change: bool
    ) -> None:
        if change:
            obj.change({name: form.cleaned_data[name] for name in form.changed_data})
        else:
            adopt(obj, PaymentAccount.objects.open(obj.merchant, obj.name))
