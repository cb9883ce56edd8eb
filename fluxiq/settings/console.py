"""What the staff console alone is set to: its language and time, its policy, its theme."""

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

LANGUAGES = [("en", "English"), ("pt-br", "Português do Brasil")]
LANGUAGE_COOKIE_PATH = "/admin/"
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
FORMAT_MODULE_PATH = "fluxiq.formats"
STAFF_TIME_ZONE = "America/Sao_Paulo"  # on the wire all is UTC

LOGIN_REDIRECT_URL = "/admin/"
CSRF_FAILURE_VIEW = "fluxiq.error_handlers.csrf_failure"

# Of /admin/ alone. Scripts come from our own host, as files. What the theme needs beyond that:
# its Alpine.js compiles the expressions in its templates (eval), and it writes its colours into
# the page and sizes into elements (inline styles, which run nothing).
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}


def _page(icon: str, title: object, model: str) -> dict[str, object]:
    """An entry of the side bar, for whoever may see the model's list."""
    app, name = model.split(".")
    return {
        "icon": icon,
        "title": title,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": lambda request: any(
            request.user.has_perm(f"{app}.{may}_{name}") for may in ("view", "change")
        ),
    }


UNFOLD = {
    "SITE_TITLE": "FluxiQ Core",
    "SITE_HEADER": "FluxiQ Core",
    "SITE_SUBHEADER": _("Staff console"),
    "SITE_SYMBOL": "shield_person",
    "SITE_URL": None,
    "SHOW_LANGUAGES": True,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("fluxiq/icon.svg"),
        }
    ],
    "STYLES": [lambda request: static("fluxiq/console.css")],
    "SCRIPTS": [lambda request: static("fluxiq/console.js")],
    "COLORS": {
        "primary": {
            "50": "oklch(97.5% .02 165)",
            "100": "oklch(94.5% .045 165)",
            "200": "oklch(89.5% .085 165)",
            "300": "oklch(83.5% .125 165)",
            "400": "oklch(75.5% .145 165)",
            "500": "oklch(66% .14 165)",
            "600": "oklch(52% .115 165)",
            "700": "oklch(45% .098 165)",
            "800": "oklch(38% .08 166)",
            "900": "oklch(32% .065 167)",
            "950": "oklch(22% .045 168)",
        }
    },
    "DASHBOARD_CALLBACK": "authn.admin.home.fill",
    "SIDEBAR": {
        "navigation": [
            {
                "items": [
                    {"icon": "monitoring", "title": _("Home"), "link": reverse_lazy("admin:index")},
                ]
            },
            {
                "title": _("Business"),
                "separator": True,
                "items": [
                    _page("storefront", _("Merchants"), "merchants.merchant"),
                    _page("account_balance", _("Payment accounts"), "merchants.paymentaccount"),
                ],
            },
            {
                "title": _("Access"),
                "separator": True,
                "items": [
                    _page("key", _("API keys"), "authn.apikey"),
                    _page("devices", _("Sessions"), "authn.session"),
                    _page("person", _("Users"), "accounts.user"),
                    _page("groups", _("Groups"), "auth.group"),
                ],
            },
            {
                "title": _("Trail"),
                "separator": True,
                "items": [_page("history", _("Audit events"), "audit.auditevent")],
            },
        ]
    },
}
