"""OAuth's `state`: ties the browser's answer to the login that sent it there, without remembering anything."""

import hashlib
import hmac
from collections.abc import Mapping

from tickmux.login import LoginFailed


def login_state(app: str, secret: str, redirect_uri: str) -> str:
    """A mark that only this app's owner can make, so that nobody else's code is taken for ours."""
    return hmac.new(secret.encode(), f"{app} {redirect_uri}".encode(), hashlib.sha256).hexdigest()[:32]


def is_same_login(came_back: str, state: str) -> bool:
    """Whether the browser has brought `state` back."""
    return hmac.compare_digest(came_back.encode(), state.encode())


def check_state(broker: str, callback: Mapping[str, str], name: str, state: str) -> None:
    """Raises LoginFailed where the browser has not brought `state` back as the redirect's parameter `name`."""
    if not is_same_login(callback.get(name, ""), state):
        raise LoginFailed(f"the answer from {broker} belongs to another login: start the login again")
