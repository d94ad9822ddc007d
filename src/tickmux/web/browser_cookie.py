"""The cookie that tells browsers apart, and the CSRF token that belongs to it.

The cookie is 256 random bits, given to everybody; it is a session once somebody has logged in with it, and is
replaced then. The CSRF token is derived from it, so nothing is stored of browsers that only looked.

A second cookie stays after the log-out: it tells a browser that somebody has logged in with before, so that strangers
who guess passwords cannot keep him from trying. It opens nothing by itself.
"""

import hashlib
import hmac
import re
import secrets

from flask import Request, Response

_NAME = "tickmux_session"
_KNOWN = "tickmux_known"
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_AGE = 400 * 86_400
"""Longer than any session lives without use; the database says when one has ended."""


class BrowserCookie:
    """Reads and writes the cookie. `secret` derives the CSRF tokens."""

    def __init__(self, secret: str) -> None:
        self._secret = hmac.digest(secret.encode(), b"tickmux csrf", hashlib.sha256)
        self._known_secret = hmac.digest(secret.encode(), b"tickmux known browser", hashlib.sha256)

    def read(self, request: Request) -> str | None:
        """The browser's token, None for what cannot be one."""
        token = request.cookies.get(_NAME, "")
        return token if _SHAPE.fullmatch(token) else None

    def write(self, response: Response, token: str, *, secure: bool) -> None:
        response.set_cookie(_NAME, token, max_age=_MAX_AGE, httponly=True, samesite="Lax", secure=secure, path="/")

    def csrf_token(self, token: str) -> str:
        return hmac.digest(self._secret, token.encode(), hashlib.sha256).hex()

    def csrf_matches(self, token: str | None, given: str) -> bool:
        return token is not None and hmac.compare_digest(
            self.csrf_token(token).encode(), given.encode(errors="replace")
        )

    def write_known(self, response: Response, username: str, *, secure: bool) -> None:
        """Marks the browser as one that this user has logged in with."""
        number = secrets.token_urlsafe(16)
        value = f"{number}.{self._known_by(number, username)}"
        response.set_cookie(
            _KNOWN, value, max_age=_MAX_AGE, httponly=True, samesite="Lax", secure=secure, path="/api/login"
        )

    def known(self, request: Request, username: str) -> str | None:
        """What tells this browser from others that the user has logged in with; None if it is none of these."""
        number, _, proof = request.cookies.get(_KNOWN, "").partition(".")
        good = hmac.compare_digest(self._known_by(number, username).encode(), proof.encode(errors="replace"))
        return number if good else None

    def _known_by(self, number: str, username: str) -> str:
        return hmac.digest(self._known_secret, f"{number} {username}".encode(errors="replace"), hashlib.sha256).hex()
