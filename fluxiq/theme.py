"""The classes of the staff console's theme, with types: it ships none."""

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django import forms
from django.contrib import admin
from django.db.models import Model

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:

    class ThemedAdmin(admin.ModelAdmin[M]):
        """The theme's."""

    class TabularInline(admin.TabularInline[Any, Any]):
        """The theme's."""

    class ModelForm(forms.ModelForm[M]):
        """Django's, with the type of its model."""

else:  # at run time these take no type argument
    from unfold import admin as themed

    class ThemedAdmin(themed.ModelAdmin, Generic[M]):
        """The theme's."""

    class TabularInline(themed.TabularInline):
        """The theme's."""

    class ModelForm(forms.ModelForm, Generic[M]):
        """Django's, with the type of its model."""
