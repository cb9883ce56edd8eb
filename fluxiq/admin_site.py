"""What the pages of the staff console share.

A page parses a form and calls a rule of a model. What the rule refuses comes back as an error of
the form; what is done to an object beyond changing its fields is confirmed on a page of its own.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db.models import ManyToManyField, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from unfold.widgets import BASE_INPUT_CLASSES

from fluxiq.admin_actions import NoForm, ObjectAction, ReasonForm, Tool
from fluxiq.admin_lists import BoundedAdmin
from fluxiq.errors import ApiError, Conflict, Forbidden, NotFound, RateLimited
from fluxiq.theme import M

MAX_AT_ONCE = 100  # objects that one confirmation acts on, all of which it lists


def dress(form: forms.BaseForm) -> None:
    """Give the plain fields of a form that is no ModelAdmin's the look of the theme."""
    for field in form.fields.values():
        field.widget.attrs.setdefault("class", " ".join(BASE_INPUT_CLASSES))


def _sentence(error: ApiError) -> str:
    """What a rule refused, to a person."""
    if isinstance(error, RateLimited):
        return _("Too many in a short time. Retry after %(seconds)d seconds.") % {
            "seconds": error.retry_after
        }
    return _(error.message)


def adopt(instance: Model, made: Model) -> None:
    """Turn the unsaved instance of an add form into the object that a manager made.

    Django's admin goes on with the form's own instance after `save_model`.
    """
    instance.__dict__.update(made.__dict__)


class ChoicesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Many objects, chosen by id. A number that no id can be is refused before SQLite would."""

    def clean(self, value: Any) -> Any:
        choices: Any = self.queryset
        for pk in value or ():
            try:
                choices.model._meta.pk.clean(pk, None)
            except ValidationError as error:
                raise ValidationError(
                    self.error_messages["invalid_pk_value"], "invalid_pk_value", {"pk": pk}
                ) from error
        return super().clean(value)


class ConsoleAdmin(BoundedAdmin[M]):
    """The base of all pages: nothing is deleted, and lists are bounded."""

    change_form_template = "admin/console_change_form.html"
    compressed_fields = False
    warn_unsaved_form = True
    object_actions: ClassVar[Sequence[ObjectAction]] = ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """As the theme's, without a menu to make or change the object that is chosen."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        """As the theme's, as a ChoicesField."""
        return super().formfield_for_manytomany(
            db_field, request, form_class=ChoicesField, **kwargs
        )

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Nothing is deleted: it is deactivated, suspended, closed, revoked or ended."""
        return False

    def has_action_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Whether the object's actions may be used; by default, as it may be changed."""
        return self.has_change_permission(request, obj)

    def _may(self, request: HttpRequest, action: ObjectAction, obj: M | None = None) -> bool:
        if action.permission:
            has_it: bool = request.user.has_perm(action.permission)
            return has_it and self.has_view_permission(request, obj)
        return self.has_action_permission(request, obj)

    def get_object_tools(self, request: HttpRequest, obj: M) -> list[Tool]:
        """The buttons above an object's form."""
        return [
            Tool(action.label, self._url(action.name, obj), action.withdraws)
            for action in self.object_actions
            if self._may(request, action, obj) and action.applies_to(obj)
        ]

    def get_object_panels(self, request: HttpRequest, obj: M) -> list[tuple[str, dict[str, Any]]]:
        """What stands below an object's form, for looking at: (template, its context)."""
        return []

    def _url(self, page: str, obj: Model) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=(quote(obj.pk),))

    def page_context(self, request: HttpRequest, title: str, **more: Any) -> dict[str, Any]:
        """The context of a page of this admin's own."""
        request.current_app = self.admin_site.name
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            **more,
        }

    # A refusal by a model's rule

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """As Django's; where a rule refuses, all is undone and the form shown with the refusal."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (Conflict, Forbidden, NotFound, RateLimited) as error:
            request.refusal = _sentence(error)  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: M | None = None, change: bool = False, **kwargs: Any
    ) -> "type[forms.ModelForm[M]]":
        form = super().get_form(request, obj, change, **kwargs)
        refusal: str | None = getattr(request, "refusal", None)
        if refusal is None:
            return form

        class RefusedForm(form):  # type: ignore[valid-type, misc]
            def clean(self) -> None:
                super().clean()
                raise ValidationError(str(refusal))

        return RefusedForm

    # Actions

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = context["original"]
        if obj is not None:
            context["object_tools"] = self.get_object_tools(request, obj)
            context["object_panels"] = self.get_object_panels(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        if IS_POPUP_VAR in request.GET:
            return actions
        for action in self.object_actions:
            if self._may(request, action):
                actions[action.name] = (partial(_act_on_list, action), action.name, action.label)
        return actions

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                f"<path:object_id>/{action.name}/",
                self.admin_site.admin_view(partial(self._act_on_object, action)),
                name=f"{self.opts.app_label}_{self.opts.model_name}_{action.name}",
            )
            for action in self.object_actions
        ] + super().get_urls()

    def changeable(self, request: HttpRequest, object_id: str) -> M:
        """The object that is to be changed. Raises PermissionDenied, Http404."""
        obj = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, obj):
            raise PermissionDenied
        if obj is None:
            raise Http404
        return obj

    def actionable(
        self, request: HttpRequest, object_id: str, action: ObjectAction | None = None
    ) -> M:
        """The object that an action's page is for. Raises PermissionDenied, Http404."""
        obj = self.get_object(request, unquote(object_id))
        may = (
            self._may(request, action, obj) if action else self.has_action_permission(request, obj)
        )
        if not may:
            raise PermissionDenied
        if obj is None:
            raise Http404
        return obj

    def _act_on_object(
        self, action: ObjectAction, request: HttpRequest, object_id: str
    ) -> HttpResponse:
        obj = self.actionable(request, object_id, action)
        back = self._url("change", obj)
        if not action.applies_to(obj):
            message = _("Nothing to do: %(object)s") % {"object": obj}
            self.message_user(request, message, messages.WARNING)
            return HttpResponseRedirect(back)
        return self._confirm(request, action, [obj], back)

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[M], *args: Any, **kwargs: Any
    ) -> Any:
        """As Django's. Raises BadRequest where what is selected has not the shape of an id."""
        try:
            for selected in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.clean(selected, None)
        except ValidationError as error:
            raise BadRequest from error
        return super().response_action(request, queryset, *args, **kwargs)

    def act_on_list(
        self, action: ObjectAction, request: HttpRequest, queryset: QuerySet[M]
    ) -> HttpResponse | None:
        """Confirm and do the action to the selected objects that it applies to."""
        selected = list(queryset[: MAX_AT_ONCE + 1])
        if len(selected) > MAX_AT_ONCE:
            message = _("At most %(count)d at once. Nothing was changed.") % {"count": MAX_AT_ONCE}
            self.message_user(request, message, messages.ERROR)
            return None
        objects = [obj for obj in selected if action.applies_to(obj)]
        for obj in objects:
            if not self._may(request, action, obj):
                message = _("You may not do this to %(object)s. Nothing was changed.")
                self.message_user(request, message % {"object": obj}, messages.ERROR)
                return None
        if not objects:
            message = _("Nothing to do for what was selected.")
            self.message_user(request, message, messages.WARNING)
            return None
        return self._confirm(request, action, objects, request.get_full_path())

    def _confirm(
        self, request: HttpRequest, action: ObjectAction, objects: Sequence[M], back: str
    ) -> HttpResponse:
        """The page that asks, or, once it is confirmed, the deed and the way back."""
        confirmed = "confirmed" in request.POST
        form_class = ReasonForm if action.asks_reason else NoForm
        form = form_class(request.POST if confirmed else None)
        if form.is_valid():
            for obj in objects:
                action.perform(obj, form.cleaned_data.get("reason", ""))
                self.log_change(request, obj, str(action.label))
            what = (
                objects[0] if len(objects) == 1 else _("%(count)d done") % {"count": len(objects)}
            )
            self.message_user(request, f"{action.label}: {what}", messages.SUCCESS)
            return HttpResponseRedirect(back)
        context = self.page_context(
            request,
            str(action.label),
            action=action,
            form=form,
            objects=objects,
            back=back,
            checkbox_name=ACTION_CHECKBOX_NAME,
        )
        return TemplateResponse(request, "admin/confirm_action.html", context)


def _act_on_list(
    action: ObjectAction,
    model_admin: ConsoleAdmin[Any],
    request: HttpRequest,
    queryset: QuerySet[Any],
) -> HttpResponse | None:
    return model_admin.act_on_list(action, request, queryset)


class ReadOnlyAdmin(ConsoleAdmin[M]):
    """Objects that staff look at and never add or change."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False
