"""The staff console's pages of people and of the groups that staff belong to.

Setting a password ends sessions, which this floor knows nothing of: authn.admin adds that page.
"""

import re
from collections.abc import Iterable
from typing import Any, ClassVar

import django.contrib.auth.admin  # noqa: F401 - registers what goes below
from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError
from django.db.models import ManyToManyField, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from accounts.forms import UserAddForm, UserChangeForm
from accounts.models import User
from fluxiq import ids, names
from fluxiq.admin_actions import ObjectAction
from fluxiq.admin_lists import made_lately
from fluxiq.admin_site import ConsoleAdmin
from fluxiq.audit import models as audit
from fluxiq.errors import Conflict
from fluxiq.theme import M

_PUNCTUATION = re.compile(r"[.\-/\s]")
_PREFIX = re.compile(r"[0-9A-Z]{3,14}")  # fewer than three characters would find everybody

PRIVILEGES = ("is_staff", "is_superuser", "groups", "user_permissions")


class DocumentSearchAdmin(ConsoleAdmin[M]):
    """Finds objects by the beginning of their document too, however it is punctuated."""

    def search_conditions(self, term: str) -> list[Q]:
        """Those of the fields, and the beginning of a document."""
        conditions = super().search_conditions(term)
        prefix = _PUNCTUATION.sub("", term).upper()
        if _PREFIX.fullmatch(prefix):
            conditions.append(Q(document__startswith=prefix))
        return conditions

    @admin.display(description=gettext_lazy("document"))
    def shown_document(self, obj: Any) -> str:
        """The document as far as it may be shown."""
        return str(obj.masked_document)


def _printable(value: Any) -> Any:
    """A field's value as the audit trail holds it: of many objects, their names."""
    is_many = isinstance(value, Iterable) and not isinstance(value, str)
    return sorted(str(v) for v in value) if is_many else value


def _changes(form: "forms.ModelForm[Any]") -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that a saved form changed, before and after."""
    before = {name: _printable(form.initial.get(name, "")) for name in form.changed_data}
    after = {name: _printable(form.cleaned_data[name]) for name in form.changed_data}
    return before, after


@admin.register(User)
class UserAdmin(DocumentSearchAdmin[User]):
    """People. Who is no superuser changes neither other staff nor anybody's privileges."""

    list_display = ("shown_document", "name", "is_active", "is_staff", "is_superuser", "created_at")
    list_display_links = ("shown_document", "name")
    list_filter = ("is_active", "is_staff", "is_superuser", made_lately(ids.Prefix.USER))
    search_names = ("name",)
    search_help_text = gettext_lazy("Name, the beginning of a CPF or CNPJ, or id.")
    filter_horizontal = ("groups", "user_permissions")
    form = UserChangeForm
    add_fieldsets = ((None, {"fields": ("document", "name", "email", "password1", "password2")}),)
    fieldsets = (
        (None, {"fields": ("id", "shown_document", "name", "email")}),
        (gettext_lazy("Privileges"), {"fields": PRIVILEGES}),
        (
            gettext_lazy("State"),
            {"fields": ("is_active", "mfa_enrolled_at", "last_login", "created_at")},
        ),
    )
    readonly_fields = (
        "id",
        "shown_document",
        "is_active",
        "mfa_enrolled_at",
        "last_login",
        "created_at",
    )
    object_actions: ClassVar[tuple[ObjectAction, ...]] = (
        ObjectAction(
            name="deactivate",
            label=gettext_lazy("Deactivate"),
            explanation=gettext_lazy(
                "They can no longer sign in, and every session of theirs ends at once."
            ),
            perform=User.deactivate,
            applies_to=lambda user: user.is_active,
            asks_reason=True,
        ),
        ObjectAction(
            name="reactivate",
            label=gettext_lazy("Reactivate"),
            explanation=gettext_lazy("They can sign in again. Sessions that ended stay ended."),
            perform=lambda user, reason: user.reactivate(),
            applies_to=lambda user: not user.is_active,
            withdraws=False,
        ),
    )

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Django's permission; and a new e-mail address or password takes an account over, so
        that only superusers change other staff."""
        allowed = super().has_change_permission(request, obj)
        if obj is None or request.user.is_superuser or obj.pk == request.user.pk:
            return allowed
        return allowed and not (obj.is_staff or obj.is_superuser)

    def has_action_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """As changing; nobody shuts themselves out."""
        is_self = obj is not None and obj.pk == request.user.pk
        return self.has_change_permission(request, obj) and not is_self

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> "type[forms.ModelForm[User]]":
        if obj is None:
            kwargs["form"] = UserAddForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        return self.add_fieldsets if obj is None else super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None:
            return ()
        fields = super().get_readonly_fields(request, obj)
        if request.user.is_superuser and obj.pk != request.user.pk:
            return fields
        return (*fields, *PRIVILEGES)

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name == "user_permissions":  # each is shown with its content type
            kwargs["queryset"] = Permission.objects.select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if change:
            # The changed columns alone: the row may have been deactivated meanwhile.
            columns = {f.name for f in User._meta.concrete_fields}
            obj.save(update_fields=columns.intersection(form.changed_data))
            return
        obj.set_password(form.cleaned_data["password1"])
        try:
            User.objects.register(obj)
        except IntegrityError as error:  # registered at this moment
            raise Conflict("A user with this document exists already") from error

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if change and form.has_changed():
            before, after = _changes(form)
            audit.record(
                audit.Kind.USER_CHANGED, object_id=form.instance.pk, before=before, after=after
            )


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(ConsoleAdmin[Group]):
    """Groups. What a group may do, its members may do: only superusers change one."""

    list_display = ("name",)
    ordering = ("name",)
    search_exact = ()
    search_names = ("name",)
    filter_horizontal = ("permissions",)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """As elsewhere; the model is Django's, so the rule for names is added here."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "name" and field is not None:
            field.validators.append(names.validate)
        return field

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name == "permissions":  # each is shown with its content type
            kwargs["queryset"] = Permission.objects.select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.has_changed():
            before, after = _changes(form)
            _record_group(form.instance, before, after)

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        _record_group(obj, {"name": obj.name}, {})
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        for group in queryset:
            self.delete_model(request, group)


def _record_group(group: Group, before: dict[str, Any], after: dict[str, Any]) -> None:
    audit.record(audit.Kind.STAFF_ACTION, object_id=f"group_{group.pk}", before=before, after=after)
