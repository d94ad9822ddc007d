"""First start, log-in, log-out."""

from flask import request

from tickmux import __version__
from tickmux.database import AlreadySetUp
from tickmux.database.web_sessions import new_token
from tickmux.web.context import Call
from tickmux.web.endpoint import Api
from tickmux.web.errors import ApiError
from tickmux.web.reverse_proxy import from_this_machine
from tickmux.web.session_keys import key_id
from tickmux.web.shapes import Credential, NewUser, SessionAnswer

api = Api("session")


@api.endpoint(
    "GET", "/api/session", "Who is logged in, and the CSRF token of this browser", SessionAnswer, is_open=True
)
def session(call: Call) -> SessionAnswer:
    if call.token is None:
        call.change_token(new_token())
    return _answer(call)


@api.endpoint(
    "POST",
    "/api/setup",
    "Create the first user, from this machine only, and log in",
    SessionAnswer,
    status=201,
    body=NewUser,
    is_open=True,
    errors={403: "SETUP_FORBIDDEN", 409: "ALREADY_SET_UP", 429: "RATE_LIMITED"},
)
def set_up(call: Call, body: NewUser) -> SessionAnswer:
    if call.web.set_up:
        raise _already_set_up()
    if not from_this_machine(request):
        raise ApiError(
            403,
            "SETUP_FORBIDDEN",
            "the first user can be created from the machine that tickmux runs on only: open this page there, "
            "or through an SSH tunnel (ssh -L 5000:127.0.0.1:5000 …)",
        )
    call.web.login_limit.take("setup")
    try:
        user_id = call.web.users.create_first(body.username, body.password)
    except AlreadySetUp:
        raise _already_set_up() from None
    return _log_in(call, user_id)


@api.endpoint(
    "POST",
    "/api/login",
    "Log in",
    SessionAnswer,
    body=Credential,
    is_open=True,
    errors={401: "INVALID_CREDENTIALS", 429: "RATE_LIMITED"},
)
def log_in(call: Call, body: Credential) -> SessionAnswer:
    limit = call.web.login_limit
    who, where = f"user {body.username.lower()}", f"address {request.remote_addr}"
    limit.take(where)
    limit.take(who)
    user_id = call.web.users.verify(body.username, body.password)
    if user_id is None:
        raise ApiError(401, "INVALID_CREDENTIALS", "user name or password is wrong")
    limit.forget(who)
    limit.forget(where)
    return _log_in(call, user_id)


@api.endpoint("POST", "/api/logout", "Log out; the session's WebSocket key ends", SessionAnswer)
def log_out(call: Call) -> SessionAnswer:
    ended = call.needed_session
    call.web.sessions.end(ended.id)
    call.web.logins.forget(ended)
    if (proxy := call.web.proxy) is not None:
        proxy.soon(lambda: proxy.runtime.disconnect(key_id(ended.id)))
    call.session = None
    call.change_token(new_token())
    return _answer(call)


def _log_in(call: Call, user_id: int) -> SessionAnswer:
    """Another cookie: one that somebody has planted before must not become a session."""
    sessions = call.web.sessions
    if call.session is not None:
        sessions.end(call.session.id)
    token = sessions.begin(user_id)
    call.session = sessions.find(token)
    call.change_token(token)
    return _answer(call)


def _answer(call: Call) -> SessionAnswer:
    web = call.web
    return SessionAnswer(
        setup_required=not web.set_up,
        authenticated=call.session is not None,
        username=call.session.user if call.session is not None else None,
        csrf_token=web.cookie.csrf_token(call.token or ""),
        version=__version__,
        suggested_username=None if web.set_up else web.settings.tickmux_user,
    )


def _already_set_up() -> ApiError:
    return ApiError(409, "ALREADY_SET_UP", "there is a user already: log in")
