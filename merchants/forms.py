"""The staff console's forms of merchants and their members."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.forms import MAX_TYPED_DOCUMENT, DocumentField
from accounts.models import User
from fluxiq.principals import Kind, Principal
from fluxiq.scopes import Role
from fluxiq.theme import ModelForm
from merchants.models import Membership, Merchant


def staff_principal(user: Any) -> Principal:
    """A member of staff as the rules of memberships know callers.

    Django's permissions have said what they may do here; of the rules, those that hold for
    everybody remain, such as that a merchant keeps its last owner.
    """
    return Principal(Kind.USER, user.pk, user.name, is_superuser=True)


class MembershipForm(ModelForm[Membership]):
    """A row of the members: a new one names a user, an old one changes role or status."""

    person = forms.CharField(
        label=gettext_lazy("Document or user id"),
        max_length=MAX_TYPED_DOCUMENT,
        widget=UnfoldAdminTextInputWidget(),
    )

    class Meta:
        model = Membership
        fields = ("role", "status")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        membership = self.instance
        is_new = membership._state.adding
        self.fields["person"].disabled = not is_new
        self.fields["person"].required = is_new
        if not is_new:
            self.initial["person"] = membership.masked_document
        is_invited = membership.status == Membership.Status.INVITED
        # An empty form must not count as filled in for the status that it comes with.
        for name in ("role", "status") if is_invited else ("status",) if is_new else ():
            if name in self.fields:
                self.fields[name].disabled = True
        status: Any = self.fields.get("status")
        if status is not None and not is_invited:
            status.choices = [c for c in status.choices if c[0] != Membership.Status.INVITED]

    def clean_person(self) -> str | User:
        """The user that a new row names. Raises ValidationError."""
        text: str = self.cleaned_data["person"]
        if not self.instance._state.adding:
            return text
        user = User.objects.for_document(text) or User.objects.filter(pk=text).first()
        if user is None:
            raise ValidationError(_("There is no user with this document or id."))
        return user


class MembershipFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """The members of a merchant, changed by the rules of memberships."""

    principal: ClassVar[Principal]

    def save(self, commit: bool = True) -> list[Membership]:
        """Add, change and end. Raises Conflict as the rules tell.

        Whoever becomes an owner goes first, so that the last owner can be replaced at once.
        """
        added = self.save_new_objects(commit)
        for form in self.initial_forms:
            if form.has_changed() and form not in self.deleted_forms and _makes_owner(form):
                self.save_existing(form, form.instance)
        return self.save_existing_objects(commit) + added

    def save_new(self, form: Any, commit: bool = True) -> Membership:
        data = form.cleaned_data
        return Membership.objects.add(self.instance, data["person"], data["role"])

    def save_existing(self, form: Any, obj: Membership, commit: bool = True) -> Membership:
        obj.change(self.principal, {name: form.cleaned_data[name] for name in form.changed_data})
        return obj

    def delete_existing(self, obj: Membership, commit: bool = True) -> None:
        obj.end(self.principal)


def _makes_owner(form: Any) -> bool:
    return (form.cleaned_data["role"], form.cleaned_data["status"]) == (
        Role.OWNER,
        Membership.Status.ACTIVE,
    )


class MerchantAddForm(ModelForm[Merchant]):
    """A new merchant."""

    document = DocumentField(help_text=gettext_lazy("CNPJ or CPF, with or without punctuation."))
