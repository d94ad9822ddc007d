"""What a user has typed or pasted for a login: present, fit for a header, a code of the moment."""

import binascii
from collections.abc import Mapping
from datetime import datetime

import pyotp

from tickmux.login import Field, LoginFailed

TOTP_SECRET = Field(
    name="totp_secret",
    label="TOTP secret",
    help="the text beside the QR code when TOTP was set up; empty to type codes instead",
    secret=True,
    optional=True,
)
TOTP_CODE = Field(
    name="totp",
    label="TOTP code",
    help="6 digits of your authenticator; leave empty if the TOTP secret is stored",
    secret=True,
    remember=False,
    optional=True,
)
TOTP_OR_SMS_CODE = Field(
    name="totp",
    label="TOTP code",
    help="6 digits of your authenticator; leave empty if its secret is stored, or without TOTP for a code by SMS",
    secret=True,
    remember=False,
    optional=True,
)
"""In place of `TOTP_CODE`, where the broker sends a code to the phone of whoever has no TOTP."""
SMS_CODE = Field(
    name="otp", label="Code by SMS", help="the digits that have come to your phone", secret=True, remember=False
)
"""What is asked for then."""


def needed(values: Mapping[str, str], name: str, label: str = "") -> str:
    """A value without blanks around; `label` is how the message calls it, which `name` often tells already."""
    value = values.get(name, "").strip()
    if not value:
        raise LoginFailed(f"the {label or name.replace('_', ' ').replace('api', 'API')} is missing")
    return value


def header_word(values: Mapping[str, str], name: str, label: str) -> str:
    """What travels in a header or an address: one word of visible ASCII."""
    value = needed(values, name, label)
    if not is_header_word(value):
        raise LoginFailed(f"this is no {label}: copy it again, without spaces and line breaks")
    return value


def is_header_word(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def without_bearer(token: str) -> str:
    """A pasted token, which may have `Bearer` before it."""
    words = token.split()
    return " ".join(words[1:] if words and words[0].lower() == "bearer" else words)


def one_time_code(
    values: Mapping[str, str],
    now: datetime,
    missing: str = "the TOTP code is missing: type it, or store the TOTP secret",
) -> str:
    """The code that was typed (`totp`), else the one that `totp_secret` makes now; `missing` says that both lack."""
    typed = "".join(values.get("totp", "").split())
    if typed:
        if len(typed) != 6 or not (typed.isascii() and typed.isdigit()):
            raise LoginFailed("a TOTP code has 6 digits")
        return typed
    secret = "".join(values.get("totp_secret", "").split()).replace("-", "").upper().rstrip("=")
    if not secret:
        raise LoginFailed(missing)
    try:
        return pyotp.TOTP(secret).at(now)
    except (binascii.Error, ValueError):
        raise LoginFailed(
            "the TOTP secret is not one: it is the text beside the QR code (letters and the digits 2 to 7), "
            "not a 6-digit code"
        ) from None


def has_totp(values: Mapping[str, str]) -> bool:
    """Whether `one_time_code` has something to go on."""
    return any(values.get(name, "").strip() for name in (TOTP_CODE.name, TOTP_SECRET.name))


def sms_code(values: Mapping[str, str]) -> str:
    """The code that the broker has sent, as the user has typed it."""
    typed = "".join(values.get(SMS_CODE.name, "").split())
    if not 4 <= len(typed) <= 8 or not (typed.isascii() and typed.isdigit()):
        raise LoginFailed("the code by SMS consists of digits, six as a rule: log in again for a new one")
    return typed
