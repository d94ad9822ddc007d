"""Endpoints of the API: declared once, with their shapes, and so checked, answered and documented alike.

Before a handler runs, in this order: the app is set up (409), the caller is logged in (401), a changing request
carries the browser's CSRF token (403), body and query have their shapes (400, 422).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from flask import Blueprint, Response, request

from tickmux.web.context import Call, this_web
from tickmux.web.errors import ApiError, invalid

Handler = Callable[..., msgspec.Struct]


class Endpoint(NamedTuple):
    """One operation: path in Flask's spelling, shapes, and what may go wrong besides what always may."""

    method: str
    path: str
    summary: str
    handler: Handler
    status: int
    answer: Any
    body: Any = None
    query: Any = None
    errors: Mapping[int, str] = {}
    is_open: bool = False
    needs_database: bool = True
    """Without it the caller's session is not looked up, and the answer comes whatever state the database is in."""

    @property
    def changes(self) -> bool:
        return self.method != "GET"


class Api:
    """The endpoints of one concern, as a Flask blueprint."""

    def __init__(self, name: str) -> None:
        self.blueprint = Blueprint(name, __name__)
        self.endpoints: list[Endpoint] = []

    def endpoint(
        self, method: str, path: str, summary: str, answer: Any, *, status: int = 200, **more: Any
    ) -> Callable[[Handler], Handler]:
        """Declares the decorated handler: `handler(call, body=…, query=…, **path)` gives the answer."""

        def declare(handler: Handler) -> Handler:
            made = Endpoint(method, path, summary, handler, status, answer, **more)
            self.endpoints.append(made)
            self.blueprint.add_url_rule(
                path,
                f"{method} {path}".replace(".", "_"),
                lambda **arguments: _serve(made, arguments),
                methods=[method],
                provide_automatic_options=False,
            )
            return handler

        return declare


def _serve(endpoint: Endpoint, arguments: dict[str, Any]) -> Response:
    web = this_web()
    token = web.cookie.read(request)
    session = web.sessions.find(token) if token is not None and endpoint.needs_database else None
    call = Call(web, token, session)
    if not endpoint.is_open:
        if not web.set_up:
            raise ApiError(409, "SETUP_REQUIRED", "there is no user yet: open the start page to create one")
        _ = call.needed_session
    if endpoint.changes and not web.cookie.csrf_matches(token, request.headers.get("X-CSRF-Token", "")):
        raise ApiError(403, "CSRF_FAILED", "the header X-CSRF-Token is not this browser's: read /api/session again")
    if endpoint.body is not None:
        arguments["body"] = _body(endpoint.body)
    if endpoint.query is not None:
        arguments["query"] = _query(endpoint.query)
    answer = endpoint.handler(call, **arguments)
    response = Response(msgspec.json.encode(answer), endpoint.status, content_type="application/json")
    if call.new_token is not None:
        web.cookie.write(response, call.new_token, secure=request.is_secure)
    if call.known_user is not None:
        web.cookie.write_known(response, call.known_user, secure=request.is_secure)
    return response


def _body(shape: Any) -> Any:
    data = request.get_data()
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        raise invalid(_fields(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ApiError(400, "INVALID_JSON", "the body is not JSON: send an object, as UTF-8") from None


def _query(shape: Any) -> Any:
    try:
        return msgspec.convert(request.args.to_dict(), shape, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(_fields(error)) from None


def _fields(error: msgspec.ValidationError) -> dict[str, str]:
    """Which input is wrong, and how, from msgspec's one line; it never repeats a value, except an unknown choice."""
    what, _, where = str(error).partition(" - at `")
    name = where.removesuffix("`").removeprefix("$.").partition(".")[0].partition("[")[0]
    if not name and "field `" in what:
        name, what = what.partition("field `")[2].rstrip("`"), "it is missing"
    name = name if name.isidentifier() else "body"
    what = _SPOKEN.get((name, what.partition(" ")[0])) or (what[:1].lower() + what[1:])
    return {name: f"{name}: {what}"}


_SPOKEN = {
    ("username", "Expected"): "1 to 64 letters, digits, `.`, `_`, `-` or `@`",
    ("password", "Expected"): "10 to 256 characters",
    ("new_password", "Expected"): "10 to 256 characters",
    ("code", "Expected"): "up to 64 characters",
    ("name", "Expected"): "1 to 64 printable characters",
    ("exchange", "Invalid"): "unknown",
    ("q", "Expected"): "1 to 100 characters",
    ("limit", "Expected"): "a whole number from 1 to 100",
}
