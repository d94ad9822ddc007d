"""What a reverse proxy on this machine says of the browser: its address, the scheme and the host it asked for.

Only a neighbour on loopback is believed: anybody else could say anything. And who sits at this machine: nobody whose
request may have come through a proxy, since through one every stranger comes from loopback.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Request
from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_TRACES = re.compile(
    r"HTTP_(VIA|FORWARDED|PROXY_\w+|CDN_LOOP|X_(FORWARDED|ORIGINAL|REAL|PROXY|ENVOY|PROXIED)\w*|\w*(CLIENT|CONNECTING)_IP"
    r"|\w*CLIENT_ADDRESS)"
)
"""Headers by which proxies and content networks make themselves known; the most usual ones of each kind."""
_FORWARDED = "tickmux.forwarded"


class LocalReverseProxy:
    """WSGI middleware around `app`."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._plain = app
        self._fixed = ProxyFix(app, x_for=1, x_proto=1, x_host=1)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        # nginx without any settings adds no header, but speaks HTTP/1.0, which no browser does.
        old = environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        environ[_FORWARDED] = old or any(_TRACES.fullmatch(name) for name in environ)
        believed = is_loopback(environ.get("REMOTE_ADDR"))
        return (self._fixed if believed else self._plain)(environ, start_response)


def from_this_machine(request: Request, bound_to: str) -> bool:
    """Whether whoever asks surely sits at this machine: a direct connection over loopback, to a loopback name, from a
    page of a loopback name, to a server (`bound_to`) that listens on loopback only.

    The names matter: a page of some other site can be made to resolve to this machine, and a page that came through a
    proxy shows by its origin under which name.
    """
    names = [bound_to, _host_of(f"//{request.host}")]
    if _is_address(name := str(request.environ.get("SERVER_NAME", ""))):
        names.append(name)  # where a server of somebody else's (gunicorn) listens, whatever WEB_HOST says
    if (origin := request.headers.get("Origin")) is not None:
        names.append(_host_of(origin))
    direct = not request.environ.get(_FORWARDED, False) and is_loopback(request.remote_addr)
    return direct and all(name == "localhost" or is_loopback(name) for name in names)


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(address: str | None) -> bool:
    try:
        return ip_address(address or "").is_loopback
    except ValueError:
        return False
