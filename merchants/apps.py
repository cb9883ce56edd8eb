from django.apps import AppConfig


class MerchantsConfig(AppConfig):
    """Merchants, who belongs to them, and their payment accounts."""

    name = "merchants"
    verbose_name = "Merchants"
