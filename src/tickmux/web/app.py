"""The web app: `create_app` puts routes, pages, errors and headers together.

For a WSGI server: `gunicorn -w 1 --threads 8 'tickmux.web:create_app()'`. `tickmux serve` makes the app with
`build_app` beside the proxy that it runs itself.
"""

import logging
import secrets

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from tickmux.config import Settings, replaced_addresses
from tickmux.database import Database, DatabaseFailed
from tickmux.feeds.feed_directory import Upstream
from tickmux.web import (
    routes_brokers,
    routes_keys,
    routes_session,
    routes_state,
    routes_symbols,
    routes_websocket,
)
from tickmux.web.context import EXTENSION, Call, Web
from tickmux.web.endpoint import Api, Endpoint
from tickmux.web.errors import ApiError
from tickmux.web.openapi import document
from tickmux.web.pages import Pages
from tickmux.web.reverse_proxy import LocalReverseProxy
from tickmux.web.shapes import OpenApiDocument
from tickmux.websocket_proxy.app_integration import PARTS, ProxyParts, quiet_loggers, start_websocket_proxy

log = logging.getLogger(__name__)

_MAX_BODY = 64 * 1024
_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "PAYLOAD_TOO_LARGE"}
_WORDS = {
    404: "there is nothing at this address: see /api/openapi.json",
    405: "this address does not take that method: see /api/openapi.json",
    413: f"the body is longer than {_MAX_BODY} bytes",
}

_about = Api("about")


@_about.endpoint("GET", "/api/openapi.json", "This document", OpenApiDocument, is_open=True, needs_database=False)
def _openapi(call: Call) -> OpenApiDocument:
    return document(ENDPOINTS)


_APIS = (
    routes_session.api,
    routes_websocket.api,
    routes_state.api,
    routes_symbols.api,
    routes_brokers.api,
    routes_keys.api,
    _about,
)
ENDPOINTS: tuple[Endpoint, ...] = tuple(endpoint for api in _APIS for endpoint in api.endpoints)
"""Every operation of the API."""


def create_app(
    settings: Settings | None = None,
    *,
    simulate: str | None = None,
    broker: str | None = None,
    external: bool = False,
    start_proxy: bool = True,
) -> Flask:
    """The web app with its proxy, as the settings (those in effect unless given) want them.

    `simulate`, `broker` and `external` are those of `tickmux serve`. Without `start_proxy` the app has none: it is
    run apart, and any number of workers may serve the app. Raises SecondProxy, PortTaken, ConfigError,
    DatabaseFailed.
    """
    settings = settings or Settings.load()
    quiet_loggers()
    for address in replaced_addresses(settings):
        log.warning("BROKER_URLS: %s", address)
    database = Database.open(settings)
    app = build_app(settings, database, Upstream(broker, simulate, external), expects_proxy=start_proxy)
    if start_proxy:
        start_websocket_proxy(app)
    if (code := app.extensions[EXTENSION].setup_code) is not None:
        log.warning("setup code %s: it creates the first user from another machine, or through a proxy", code)
    return app


def build_app(settings: Settings, database: Database, upstream: Upstream, *, expects_proxy: bool = True) -> Flask:
    """The web app alone; a proxy beside it is found once it has been started."""
    app = Flask("tickmux.web", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY
    app.url_map.merge_slashes = False
    web = Web(app, settings, database, upstream, expects_proxy=expects_proxy)
    app.extensions[EXTENSION] = web
    app.extensions[PARTS] = ProxyParts(settings, database, upstream, (web.session_keys,))
    for blueprint in (
        *(api.blueprint for api in _APIS),
        routes_brokers.callback_blueprint,
        routes_state.metrics_blueprint,
    ):
        app.register_blueprint(blueprint)
    app.wsgi_app = LocalReverseProxy(app.wsgi_app)  # type: ignore[method-assign]
    pages = Pages()

    @app.errorhandler(ApiError)
    def refused(error: ApiError) -> Response:
        return _refusal(error)

    @app.errorhandler(DatabaseFailed)
    def without_database(error: DatabaseFailed) -> Response:
        return _refusal(ApiError(503, "DATABASE_FAILED", error.message))  # the database has logged it, once

    @app.errorhandler(HTTPException)
    def unserved(error: HTTPException) -> Response:
        status = error.code or 500
        if status == 404 and request.method in ("GET", "HEAD") and not request.path.startswith("/api/"):
            try:
                return pages.answer(request)
            except ApiError as missing:
                return _refusal(missing)
        response = _refusal(ApiError(status, _CODES.get(status, "BAD_REQUEST"), _WORDS.get(status, error.name)))
        if status == 405 and (allowed := getattr(error, "valid_methods", None)):
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        reference = secrets.token_hex(4)
        log.error("%s %s failed, reference %s", request.method, request.path, reference, exc_info=error)
        return _refusal(ApiError(500, "SERVER_ERROR", f"a defect of ours, reference {reference} in the server's log"))

    @app.after_request
    def guard(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if request.path.startswith("/api/") or request.path == "/metrics":
            response.headers["Cache-Control"] = "no-store"
        return response

    return app


def _refusal(error: ApiError) -> Response:
    body: dict[str, object] = {"status": "error", "code": error.code, "message": error.message}
    if error.fields is not None:
        body["fields"] = dict(error.fields)
    if error.retry_after is not None:
        body["retry_after"] = round(error.retry_after, 1)
    response = Response(msgspec.json.encode(body), error.status, content_type="application/json")
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return response
