"""What runs, and how well: for monitors, for the dashboard, for Prometheus."""

import time
from contextlib import suppress

from flask import Blueprint, Response, current_app, request

from tickmux import __version__
from tickmux.database import DatabaseFailed
from tickmux.metrics import exposition
from tickmux.runtime import Runtime
from tickmux.web.context import Call, Web, this_web
from tickmux.web.endpoint import Api
from tickmux.web.errors import ApiError
from tickmux.web.rate_limit import network
from tickmux.web.reverse_proxy import from_this_machine
from tickmux.web.routes_websocket import proxy_url
from tickmux.web.shapes import FeedHealth, Feeds, Health, ProxyHealth
from tickmux.websocket_proxy.feed_state import FeedState, FeedStatus

SERVER_NUMBERS = "tickmux.server_numbers"
"""`app.extensions` may have a function under this name that gives the web server's numbers: name -> (what it counts,
how many)."""

api = Api("state")
metrics_blueprint = Blueprint("metrics", __name__)


@api.endpoint(
    "GET",
    "/api/health",
    "Whether everything works; 503 only when the proxy does not run",
    Health,
    is_open=True,
    needs_database=False,
    errors={503: "PROXY_NOT_RUNNING"},
)
def health(call: Call) -> Health:
    web = call.web
    proxy = web.proxy
    if proxy is None:
        if web.expects_proxy:
            raise ApiError(503, "PROXY_NOT_RUNNING", "the WebSocket proxy does not run: see the server's log")
        return Health(
            state="degraded",
            version=__version__,
            uptime_seconds=None,
            proxy=ProxyHealth(running=False, clients=None),
            feed=None,
            message="the proxy runs apart from this web app: its state is not known here",
        )
    runtime = proxy.runtime
    feed, message = _feed_health(runtime)
    if (trouble := _database_trouble(web)) is not None:
        message = trouble
    elif feed is None and not _has_source(web):
        message = "no source of data is chosen: open the web app, or run `tickmux broker login NAME`"
    return Health(
        state="degraded" if message else "ok",
        version=__version__,
        uptime_seconds=round(time.time() - runtime.started, 1),
        proxy=ProxyHealth(running=True, clients=len(runtime.proxy.clients)),
        feed=feed,
        message=message,
    )


@api.endpoint("GET", "/api/feeds", "Proxy, clients and feeds in numbers", Feeds, errors={503: "PROXY_NOT_HERE"})
def feeds(call: Call) -> Feeds:
    web = call.web
    return web.telemetry.feeds(web.needed_proxy(), proxy_url(web), web.broker_sessions)


@metrics_blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus' text format, for this machine or for whoever has a session or an API key."""
    web = this_web()
    if not (from_this_machine(request, web.settings.web_host) or _may_read(web)):
        raise ApiError(401, "LOGIN_REQUIRED", "log in first, or send an API key: `Authorization: Bearer tmx_…`")
    numbers = current_app.extensions.get(SERVER_NUMBERS, dict)()
    return Response(
        exposition(web.needed_proxy().runtime, numbers), content_type="text/plain; version=0.0.4; charset=utf-8"
    )


def _may_read(web: Web) -> bool:
    token = web.cookie.read(request)
    if token is not None and web.sessions.find(token) is not None:
        return True
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    web.key_limit.take(network(request.remote_addr))
    known = web.api_keys.owner(key.strip()) is not None
    if known:
        web.key_limit.forget(network(request.remote_addr))
    return known


def _feed_health(runtime: Runtime) -> tuple[FeedHealth | None, str]:
    """The feed that is worst off, and what is wrong with it."""
    feeds = sorted(runtime.running_feeds(), key=lambda feed: _is_well(feed.status))
    if not feeds:
        return None, ""  # nobody has needed one yet
    status = feeds[0].status
    found = FeedHealth(broker=feeds[0].broker, state=status.state.value)
    if _is_well(status):
        return found, ""
    return found, f"the feed of {feeds[0].broker} is {status.state.value.replace('_', ' ')}" + (
        f": {status.message}" if status.message else ""
    )


def _has_source(web: Web) -> bool:
    """Whether the first client that asks for data will find a feed behind it."""
    if web.fixed is not None or web.broker_sessions.active(web.settings.tickmux_user) is not None:
        return True
    return any(one.active for one in web.broker_sessions.list())


def _is_well(status: FeedStatus) -> bool:
    """Whether the feed does what is asked of it, which may be nothing."""
    idle = status.state == FeedState.CONNECTING and not status.symbols
    return idle or status.state in (FeedState.LIVE, FeedState.MARKET_CLOSED)


def _database_trouble(web: Web) -> str | None:
    """What is wrong with the database; where it is, and why, is for the log, since anybody may ask."""
    with suppress(DatabaseFailed):
        web.database.check()
        return "the database has failed a moment ago: see the server's log" if web.database.trouble.why else None
    return "the database cannot be used: see the server's log"
