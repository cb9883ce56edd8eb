"""Time-based one-time passwords (RFC 6238), as every authenticator app makes them. No ORM in it.

30 seconds, 6 digits, HMAC-SHA-1: the parameters that all apps know; some ignore any other. pyotp
computes them. It keeps no state, and tells which step a code is of, so that the state (a step is
good once) is one conditional UPDATE of ours: django-otp and allauth.mfa bring models and views of
their own, and check a code and mark it used in two steps, between which a second request passes.
"""

import hashlib
import re
from datetime import datetime

import pyotp
import segno
from pyotp.exceptions import OTPVerificationError

STEP = 30  # seconds
DIGITS = 6
SKEW = 1  # steps that a clock may be fast or slow, and a code be typed late
SECRET_BYTES = 20  # 160 bits, as RFC 4226 (section 4, R6) recommends
ISSUER = "FluxiQ"

_CODE = re.compile(rf"[0-9]{{{DIGITS}}}")
_QUIET_ZONE = 4  # modules of white around the code (ISO/IEC 18004)


def new_secret() -> str:
    """A fresh secret, in base32."""
    return pyotp.random_base32(SECRET_BYTES * 8 // 5)


def is_code(text: str) -> bool:
    """Whether this could be a code: six ASCII digits."""
    return _CODE.fullmatch(text) is not None


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """The time step that the code is of, the present one or SKEW beside it; else None."""
    try:
        return _totp(secret).verify_and_get_timecode(code, for_time=now, valid_window=SKEW)
    except OTPVerificationError:
        return None


def code_at(secret: str, moment: datetime) -> str:
    """What an authenticator app shows at that moment."""
    return _totp(secret).at(moment)


def uri(secret: str, account: str) -> str:
    """What an authenticator app reads (Key Uri Format). `account` names it there."""
    return _totp(secret).provisioning_uri(name=account, issuer_name=ISSUER)


def _totp(secret: str) -> pyotp.TOTP:
    return pyotp.TOTP(secret, digits=DIGITS, digest=hashlib.sha1, interval=STEP)


def qr_data_uri(text: str) -> str:
    """The text as a QR code, made here: SVG as a data URI, for an `<img>`."""
    code = segno.make_qr(text, error="m")
    return str(code.svg_data_uri(scale=5, border=_QUIET_ZONE, light="#fff"))
