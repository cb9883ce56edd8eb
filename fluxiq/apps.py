from django.contrib.admin.apps import AdminConfig


class StaffConsoleConfig(AdminConfig):
    """Django's admin, on a site whose sign-in stands under our throttle."""

    default_site = "authn.staff_site.StaffSite"
