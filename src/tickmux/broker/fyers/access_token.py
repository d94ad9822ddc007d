"""The access token is a JWT that carries the feed's own key (specification section 2)."""

import binascii
from base64 import urlsafe_b64decode

import msgspec


class Claims(msgspec.Struct):
    """What the feed needs of a token: `hsm_key` authenticates the quote feed, `exp` is epoch seconds."""

    hsm_key: str
    exp: float

    def __repr__(self) -> str:
        return f"Claims(exp={self.exp})"


_decode = msgspec.json.Decoder(Claims).decode
_LONGEST = 65_536


def read_claims(token: str) -> Claims:
    """The claims of an access token, with or without `<app id>:` before it.

    Raises ValueError, with a message for the user, when it is no such token.
    """
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LONGEST:
        raise ValueError("this is no FYERS access token: it has to be three parts joined by dots")
    try:
        claims = _decode(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError, RecursionError):
        raise ValueError("the access token holds no hsm_key and exp: generate a new one") from None
    if not claims.hsm_key or not claims.hsm_key.isascii():
        raise ValueError("the access token's hsm_key is empty: generate a new one")
    return claims


def split_token(stored: str, app_id: str = "") -> tuple[str, str]:
    """App id and bare token of what was stored or pasted, which may read `<app id>:<token>`."""
    head, colon, tail = stored.strip().partition(":")
    return (head.strip(), tail.strip()) if colon else (app_id.strip(), head)
