"""Where the browser finds the WebSocket, and with which key."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import request

from tickmux.config import Settings
from tickmux.web.context import Call, Web
from tickmux.web.endpoint import Api
from tickmux.web.shapes import WebSocketConfig, WebSocketKey

api = Api("websocket")


@api.endpoint("GET", "/api/websocket/config", "Where this browser reaches the WebSocket", WebSocketConfig)
def config(call: Call) -> WebSocketConfig:
    original = proxy_url(call.web)
    url = original
    if not _was_set(call.web.settings):
        url = f"ws://{_reachable(urlsplit(original).hostname or '')}:{urlsplit(original).port}"
    if request.is_secure:
        url = "wss" + url.removeprefix("wss").removeprefix("ws")
    return WebSocketConfig(websocket_url=url, is_secure=url.startswith("wss:"), original_url=original)


@api.endpoint("GET", "/api/websocket/apikey", "A short-lived API key of this web session", WebSocketKey)
def api_key(call: Call) -> WebSocketKey:
    issued = call.web.session_keys.issue(call.needed_session.id)
    return WebSocketKey(api_key=issued.key, expires_at=issued.expires_at * 1000)


def proxy_url(web: Web) -> str:
    """The WebSocket's URL as it is configured, with the port that the system chose for port 0."""
    settings = web.settings
    proxy = web.proxy
    if _was_set(settings) or proxy is None:
        return settings.websocket_url
    host = urlsplit(settings.websocket_url).hostname or settings.websocket_host
    return f"ws://{_bracketed(host)}:{proxy.runtime.proxy.port}"


def _was_set(settings: Settings) -> bool:
    """Whether WEBSOCKET_URL says more than host and port do."""
    parts = urlsplit(settings.websocket_url)
    local = parts.scheme == "ws" and parts.port == settings.websocket_port and parts.path in ("", "/")
    return not (local and parts.hostname in (settings.websocket_host, "127.0.0.1", "::1"))


def _reachable(host: str) -> str:
    """The host as the browser can reach it: one of loopback is the machine that served the page."""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        return _bracketed(host)
    return _bracketed(urlsplit(f"//{request.host}").hostname or host)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
