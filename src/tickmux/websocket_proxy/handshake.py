"""May this upgrade request in: the rules of RFC 6455 (sections 4.2.1 and 4.4), and where a page may come from;
pure."""

from base64 import b64decode
from http import HTTPStatus
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from picows import WSUpgradeRequest


class Rejection(NamedTuple):
    """Why a handshake is refused: a word for counters and logs, the HTTP answer, further headers of it."""

    reason: str
    status: HTTPStatus
    message: str
    headers: tuple[tuple[str, str], ...] = ()


class Origins:
    """Which pages' scripts may connect. Programs that are no browsers send no `Origin`, and are not concerned.

    A page of this machine may, one that comes from the very host that it connects to, one from `own` (the host by
    which the server is reached, which is the app's), and those that `allowed` lists; `*` in it allows all.
    """

    def __init__(self, allowed: frozenset[str] = frozenset(), own: str = "") -> None:
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)
        self._own = own.lower()

    def allows(self, origin: str | None, host: str) -> bool:
        """Whether a request with these two headers may connect."""
        if origin is None or "*" in self._allowed or origin.rstrip("/").lower() in self._allowed:
            return True
        name = _host_name(origin)
        return bool(name) and (is_loopback(name) or name in (self._own, _host_name(f"//{host}")))


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def rejection(request: WSUpgradeRequest, origins: Origins) -> Rejection | None:
    """Why the request is refused; None when it may go on. Spells `Connection` as picows wants it."""
    headers = request.headers
    hosts = headers.getall("Host", [])
    if len(hosts) != 1 or not hosts[0].strip():
        return Rejection("no_host", HTTPStatus.BAD_REQUEST, "exactly one Host header is needed (RFC 6455, 4.2.1)")
    if headers.get("Upgrade", "").strip().lower() != "websocket" or not _upgrades(headers.getall("Connection", [])):
        return Rejection(
            "no_upgrade",
            HTTPStatus.UPGRADE_REQUIRED,
            "this address serves WebSocket clients (ws://); the web pages are at another port",
            (("Upgrade", "websocket"), ("Connection", "Upgrade")),
        )
    if headers.get("Sec-WebSocket-Version", "").strip() != "13":
        return Rejection(
            "version",
            HTTPStatus.UPGRADE_REQUIRED,
            "only version 13 of the WebSocket protocol is spoken here (RFC 6455)",
            (("Sec-WebSocket-Version", "13"),),
        )
    if not _is_key(headers.get("Sec-WebSocket-Key", "")):
        return Rejection(
            "key", HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455, 4.2.1)"
        )
    found = headers.getall("Origin", [])
    if len(found) > 1 or not origins.allows(found[0] if found else None, hosts[0]):
        return Rejection(
            "origin",
            HTTPStatus.FORBIDDEN,
            "pages of this origin may not connect: list it in WS_ALLOWED_ORIGINS if they should",
        )
    # Browsers may send `keep-alive, Upgrade`; picows knows the single word.
    headers["Connection"] = "Upgrade"
    return None


def _is_key(value: str) -> bool:
    try:
        return len(b64decode(value.strip(), validate=True)) == 16
    except ValueError:
        return False


def _upgrades(values: list[str]) -> bool:
    return any(word.strip().lower() == "upgrade" for value in values for word in value.split(","))
