"""What a reverse proxy on this machine says of the browser: its address, the scheme and the host it asked for.

Only a neighbour on loopback is believed: anybody else could say anything.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from flask import Request
from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED")
_FORWARDED = "tickmux.forwarded"


class LocalReverseProxy:
    """WSGI middleware around `app`."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._plain = app
        self._fixed = ProxyFix(app, x_for=1, x_proto=1, x_host=1)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ[_FORWARDED] = any(name in environ for name in _HEADERS)
        believed = is_loopback(environ.get("REMOTE_ADDR"))
        return (self._fixed if believed else self._plain)(environ, start_response)


def from_this_machine(request: Request) -> bool:
    """Whether whoever asks sits at this machine: a direct connection over loopback, to a loopback name.

    The name matters, since a page of some other site can be made to resolve to this machine.
    """
    host: Any = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
    direct = not request.environ.get(_FORWARDED, False)
    return direct and is_loopback(request.remote_addr) and (host == "localhost" or is_loopback(host.strip("[]")))


def is_loopback(address: str | None) -> bool:
    try:
        return ip_address(address or "").is_loopback
    except ValueError:
        return False
