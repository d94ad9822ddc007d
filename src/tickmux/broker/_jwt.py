"""What a JSON web token says of itself. Its signature is the broker's business."""

import base64
import binascii
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class _End(msgspec.Struct):
    exp: float | None = None


def read_claims(token: str, shape: type[T]) -> T | None:
    """The claims, unverified; None where it is no such token or they are of another form."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), type=shape)
    except (binascii.Error, msgspec.DecodeError, ValueError, RecursionError):
        return None


def stated_end(token: str) -> float | None:
    """When it expires by its own word, in epoch seconds; any number may stand there."""
    claims = read_claims(token, _End)
    return claims.exp if claims else None
