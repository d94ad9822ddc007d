"""What a 5paisa access token says of itself (specification section 2). Unverified: only 5paisa has the key. Pure."""

from typing import Any

import msgspec

from tickmux.broker import _jwt

_END_OF_TIME = 1e11
"""Seconds; an expiry beyond it is none."""


class Claims(msgspec.Struct, frozen=True):
    """`expires_at`: epoch seconds, None where the token does not say. `server`: a letter for a host, or empty."""

    expires_at: float | None = None
    server: str = ""


class _Said(msgspec.Struct):
    exp: Any = None
    RedirectServer: Any = None


def read_claims(token: str) -> Claims:
    """The claims of a JWT; those of a token that cannot be read are empty."""
    said = _jwt.read_claims(token, _Said) or _Said()
    expiry, server = said.exp, said.RedirectServer
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or not 0 < expiry < _END_OF_TIME:
        expiry = None
    return Claims(expiry, server if isinstance(server, str) else "")
