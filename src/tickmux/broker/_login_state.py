"""OAuth's `state`: ties the browser's answer to the login that sent it there, without remembering anything."""

import hashlib
import hmac


def login_state(app: str, secret: str, redirect_uri: str) -> str:
    """A mark that only this app's owner can make, so that nobody else's code is taken for ours."""
    return hmac.new(secret.encode(), f"{app} {redirect_uri}".encode(), hashlib.sha256).hexdigest()[:32]


def is_same_login(came_back: str, state: str) -> bool:
    """Whether the browser has brought `state` back."""
    return hmac.compare_digest(came_back.encode(), state.encode())
