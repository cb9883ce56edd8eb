from django.apps import apps
from django.contrib.admin.apps import AdminConfig
from django.utils.translation import gettext_lazy

OURS = ("accounts", "audit", "authn", "merchants")


class StaffConsoleConfig(AdminConfig):
    """Django's admin, on a site whose sign-in stands under our throttle."""

    default_site = "authn.staff_site.StaffSite"

    def ready(self) -> None:
        """Let what models call themselves, their fields and their choices be translated.

        The models, which know no language, keep the English; migrations see nothing of this.
        """
        for label in OURS:
            config = apps.get_app_config(label)
            config.verbose_name = gettext_lazy(str(config.verbose_name))
            for model in config.get_models():
                options = model._meta
                options.verbose_name = gettext_lazy(str(options.verbose_name))
                options.verbose_name_plural = gettext_lazy(str(options.verbose_name_plural))
                for field in (*options.concrete_fields, *options.many_to_many):
                    field.verbose_name = gettext_lazy(str(field.verbose_name))
                    if field.help_text:
                        field.help_text = gettext_lazy(str(field.help_text))
                    if field.choices and label != "audit":  # kinds of events are codes
                        field.choices = [
                            (v, gettext_lazy(str(name))) for v, name in field.flatchoices
                        ]
        super().ready()
