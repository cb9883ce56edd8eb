"""What the pages of the staff console share.

A page parses a form and calls a rule of a model. What the rule refuses comes back as an error of
the form; what is done to an object beyond changing its fields is confirmed on a page of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from fluxiq.errors import Conflict, Forbidden, NotFound

MAX_REASON = 200

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:

    class _ModelAdmin(admin.ModelAdmin[M]):
        pass

    class ModelForm(forms.ModelForm[M]):
        """Django's, with the type of its model."""

else:  # Django's own classes take no type argument

    class _ModelAdmin(admin.ModelAdmin, Generic[M]):
        pass

    class ModelForm(forms.ModelForm, Generic[M]):
        """Django's, with the type of its model."""


@dataclass(frozen=True, slots=True)
class ObjectAction:
    """What staff may do to an object: from its page, or from the list to many.

    `perform` is given the object and the reason (empty unless `asks_reason`); it is called only
    for objects that it `applies_to`. `name` stands in the URL, `label` on the button, which is
    red where the action `withdraws` something.
    """

    name: str
    label: str
    explanation: str
    perform: Callable[[Any, str], object]
    applies_to: Callable[[Any], bool]
    asks_reason: bool = False
    withdraws: bool = True


class NoForm(forms.Form):
    """Nothing is asked but the confirmation."""


class ReasonForm(forms.Form):
    """Why, for the audit trail."""

    reason = forms.CharField(
        max_length=MAX_REASON,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="Kept in the audit trail.",
    )


def adopt(instance: Model, made: Model) -> None:
    """Turn the unsaved instance of an add form into the object that a manager made.

    Django's admin goes on with the form's own instance after `save_model`.
    """
    instance.__dict__.update(made.__dict__)


class ConsoleAdmin(_ModelAdmin[M]):
    """The base of all pages: nothing is deleted, and lists count no more than they must."""

    show_full_result_count = False
    change_form_template = "admin/console_change_form.html"
    object_actions: ClassVar[Sequence[ObjectAction]] = ()

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Nothing is deleted: it is deactivated, suspended, closed, revoked or ended."""
        return False

    def has_action_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Whether the object's actions may be used; by default, as it may be changed."""
        return self.has_change_permission(request, obj)

    def get_object_tools(self, request: HttpRequest, obj: M) -> list[tuple[str, str]]:
        """The buttons above an object's form: (label, URL)."""
        if not self.has_action_permission(request, obj):
            return []
        return [
            (action.label, self._url(action.name, obj))
            for action in self.object_actions
            if action.applies_to(obj)
        ]

    def _url(self, page: str, obj: Model) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=(quote(obj.pk),))

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
        except (Conflict, Forbidden, NotFound) as error:
            request.refusal = error.message  # type: ignore[attr-defined]
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
        if context["original"] is not None:
            context["object_tools"] = self.get_object_tools(request, context["original"])
        return super().render_change_form(request, context, *args, **kwargs)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        if IS_POPUP_VAR not in request.GET and self.has_action_permission(request):
            for action in self.object_actions:
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

    def _act_on_object(
        self, action: ObjectAction, request: HttpRequest, object_id: str
    ) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        if not self.has_action_permission(request, obj):
            raise PermissionDenied
        if obj is None:
            raise Http404
        back = self._url("change", obj)
        if not action.applies_to(obj):
            self.message_user(request, f"Nothing to do: {obj}", messages.WARNING)
            return HttpResponseRedirect(back)
        return self._confirm(request, action, [obj], back)

    def act_on_list(
        self, action: ObjectAction, request: HttpRequest, queryset: QuerySet[M]
    ) -> HttpResponse | None:
        """Confirm and do the action to the selected objects that it applies to."""
        objects = [obj for obj in queryset if action.applies_to(obj)]
        for obj in objects:
            if not self.has_action_permission(request, obj):
                message = f"You may not do this to {obj}. Nothing was changed."
                self.message_user(request, message, messages.ERROR)
                return None
        if not objects:
            self.message_user(request, "Nothing to do for what was selected.", messages.WARNING)
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
                self.log_change(request, obj, action.label)
            done = f"{action.label}: {objects[0] if len(objects) == 1 else f'{len(objects)} done'}"
            self.message_user(request, done, messages.SUCCESS)
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": action.label,
            "opts": self.opts,
            "action": action,
            "form": form,
            "objects": objects,
            "back": back,
            "checkbox_name": ACTION_CHECKBOX_NAME,
        }
        request.current_app = self.admin_site.name
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
