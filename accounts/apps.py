from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The people. (Payment accounts, which `/api/v1/accounts` serves, live in merchants/.)"""

    name = "accounts"
    verbose_name = "People"
