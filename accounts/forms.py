"""The staff console's forms of documents and people."""

from typing import Any

from django import forms
from django.contrib.auth.forms import SetPasswordMixin
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import documents
from accounts.models import User, normalise_document
from fluxiq.admin_site import dress
from fluxiq.theme import ModelForm

MAX_TYPED_DOCUMENT = 32  # a CNPJ with its punctuation is 18 characters long


class DocumentField(forms.CharField):
    """A CPF or CNPJ as people write it; what comes out is the bare document."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", gettext_lazy("Document"))
        kwargs.setdefault("widget", UnfoldAdminTextInputWidget())
        super().__init__(max_length=MAX_TYPED_DOCUMENT, **kwargs)

    def clean(self, value: Any) -> str:
        """The normalised document. Raises ValidationError."""
        try:
            return normalise_document(super().clean(value))
        except documents.InvalidDocument as error:
            raise ValidationError(_(str(error))) from error


class UserAddForm(SetPasswordMixin, ModelForm[User]):  # type: ignore[type-arg]
    """A new person, who signs in with this password."""

    document = DocumentField(help_text=gettext_lazy("CPF or CNPJ, with or without punctuation."))
    password1, password2 = SetPasswordMixin.create_password_fields()

    class Meta:
        model = User
        fields = ("document", "name", "email")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress(self)

    def clean(self) -> dict[str, Any] | None:
        self.validate_passwords()
        return super().clean()

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        self.validate_password_for_user(self.instance)


class UserChangeForm(ModelForm[User]):
    """What may be changed of a person."""

    def clean_email(self) -> str:
        """The address as `create_user` would store it."""
        return User.objects.normalize_email(self.cleaned_data["email"])

    def clean(self) -> dict[str, Any] | None:
        data = super().clean()
        # Those who do not see these fields do not change them.
        if self.cleaned_data.get("is_superuser") and not self.cleaned_data.get("is_staff"):
            self.add_error("is_staff", _("A superuser needs staff status too."))
        return data
