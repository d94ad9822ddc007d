"""What a 5paisa access token says of itself (specification section 2). Unverified: only 5paisa has the key. Pure."""

import base64
import binascii

import msgspec

_END_OF_TIME = 1e11
"""Seconds; an expiry beyond it is none."""


class Claims(msgspec.Struct, frozen=True):
    """`expires_at`: epoch seconds, None where the token does not say. `server`: a letter for a host, or empty."""

    expires_at: float | None = None
    server: str = ""


def read_claims(token: str) -> Claims:
    """The claims of a JWT; those of a token that cannot be read are empty."""
    parts = token.split(".")
    if len(parts) != 3:
        return Claims()
    try:
        said = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError):
        return Claims()
    if not isinstance(said, dict):
        return Claims()
    expiry, server = said.get("exp"), said.get("RedirectServer")
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or not 0 < expiry < _END_OF_TIME:
        expiry = None
    return Claims(expiry, server if isinstance(server, str) else "")
