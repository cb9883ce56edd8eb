"""The staff console's forms of merchants and their members."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import documents
from accounts.forms import MAX_TYPED_DOCUMENT, DocumentField
from accounts.models import User, normalise_document
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
    """A row of the members: a new one invites a person, an old one changes role or status."""

    person = forms.CharField(
        label=gettext_lazy("Document or user id"),
        max_length=MAX_TYPED_DOCUMENT,
        widget=UnfoldAdminTextInputWidget(),
    )
    email = forms.EmailField(
        label=gettext_lazy("Mail the invitation to"),
        required=False,
        max_length=User._meta.get_field("email").max_length,
        widget=UnfoldAdminTextInputWidget(),
    )

    class Meta:
        model = Membership
        fields = ("name", "role", "status")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        membership = self.instance
        is_new = membership._state.adding
        self.fields["person"].required = is_new
        if is_new:
            self.initial["status"] = Membership.Status.INVITED
        else:
            self.initial["person"] = membership.masked_document
        is_invited = is_new or membership.status == Membership.Status.INVITED
        # An empty form must not count as filled in for the status that it comes with.
        fixed = ("status",) if is_new else ("person", "name", "email")
        for name in (*fixed, *(("role", "status") if is_invited and not is_new else ())):
            if name in self.fields:
                self.fields[name].disabled = True
        if "name" in self.fields:
            self.fields["name"].required = False  # of a known person there is one
        status: Any = self.fields.get("status")
        if status is not None and not is_invited:
            status.choices = [c for c in status.choices if c[0] != Membership.Status.INVITED]

    def clean_person(self) -> str | User:
        """The user whom a new row names, or a document that has none. Raises ValidationError."""
        text: str = self.cleaned_data["person"]
        if not self.instance._state.adding:
            return text
        user = User.objects.for_document(text) or User.objects.filter(pk=text).first()
        if user is not None:
            return user
        try:
            return normalise_document(text)
        except documents.InvalidDocument as error:
            raise ValidationError(_("Neither a document nor the id of a user.")) from error

    def clean(self) -> dict[str, Any]:
        """Raises ValidationError for a person whose name is known to nobody."""
        data = self.cleaned_data
        if isinstance(data.get("person"), str) and not data.get("name"):
            self.add_error("name", _("Required: this document has no user yet."))
        return data


class MembershipFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """The members of a merchant, changed by the rules of memberships.

    `invited` are those whom `save` invited, each with the invitation, or None where it is mailed.
    """

    principal: ClassVar[Principal]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invited: list[tuple[Membership, str | None]] = []

    def save(self, commit: bool = True) -> list[Membership]:
        """Invite, change and end. Raises Conflict and RateLimited as the rules tell.

        Whoever becomes an owner goes first, so that the last owner can be replaced at once.
        """
        added = self.save_new_objects(commit)
        for form in self.initial_forms:
            if form.has_changed() and form not in self.deleted_forms and _makes_owner(form):
                self.save_existing(form, form.instance)
        return self.save_existing_objects(commit) + added

    def save_new(self, form: Any, commit: bool = True) -> Membership:
        data = form.cleaned_data
        person: User | str = data["person"]
        document, name = (
            (person.document, person.name) if isinstance(person, User) else (person, "")
        )
        membership, invitation = Membership.objects.invite(
            self.principal,
            self.instance,
            document=document,
            name=data["name"] or name,
            role=data["role"],
            email=data["email"],
        )
        self.invited.append((membership, invitation))
        return membership

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
