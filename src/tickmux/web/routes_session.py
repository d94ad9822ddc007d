"""First start, log-in, log-out, another password."""

from flask import request

from tickmux import __version__
from tickmux.database import AlreadySetUp
from tickmux.database.web_sessions import new_token
from tickmux.web.context import Call
from tickmux.web.endpoint import Api
from tickmux.web.errors import ApiError
from tickmux.web.reverse_proxy import from_this_machine
from tickmux.web.session_keys import key_id
from tickmux.web.setup_code import is_setup_code
from tickmux.web.shapes import Credential, NewPassword, NewUser, SessionAnswer

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
    "Create the first user and log in: from this machine, or with the setup code of the server's console",
    SessionAnswer,
    status=201,
    body=NewUser,
    is_open=True,
    errors={403: "SETUP_FORBIDDEN", 409: "ALREADY_SET_UP", 429: "RATE_LIMITED"},
)
def set_up(call: Call, body: NewUser) -> SessionAnswer:
    if call.web.set_up:
        raise _already_set_up()
    if _needs_code(call):
        call.web.login_limit.take(request.remote_addr, "setup", None)
        if not is_setup_code(call.web.settings.tickmux_secret, body.code):
            why = "the setup code is wrong" if body.code else "the setup code is missing"
            raise ApiError(
                403,
                "SETUP_FORBIDDEN",
                f"{why}: the server's console shows it, and so does `tickmux user setup-code`. It is asked for since "
                "this request may come from another machine, or through a proxy",
                fields={"code": f"code: {why}"},
            )
    try:
        user_id = call.web.users.create_first(body.username, body.password)
    except AlreadySetUp:
        raise _already_set_up() from None
    return _log_in(call, user_id, body.username)


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
    web = call.web
    known = web.cookie.known(request, body.username)
    web.login_limit.take(request.remote_addr, body.username, known)
    stamp = web.users.password_stamp(body.username)
    user_id = web.users.verify(body.username, body.password)
    if user_id is None:
        raise _wrong()
    answer = _log_in(call, user_id, body.username)
    if web.users.password_stamp(body.username) != stamp:  # changed since it was found to be right
        web.sessions.end(call.needed_session.id)
        raise _wrong()
    web.login_limit.forget(request.remote_addr, body.username, known)
    return answer


@api.endpoint(
    "POST",
    "/api/password",
    "Change the password; all other sessions of the user end",
    SessionAnswer,
    body=NewPassword,
    errors={403: "WRONG_PASSWORD", 429: "RATE_LIMITED"},
)
def change_password(call: Call, body: NewPassword) -> SessionAnswer:
    web, session = call.web, call.needed_session
    web.login_limit.take(request.remote_addr, session.user, f"session {session.id}")
    ended = web.users.change_password(session.user, body.password, body.new_password, session.id)
    if ended is None:
        said = "the present password is wrong"
        raise ApiError(403, "WRONG_PASSWORD", said, fields={"password": f"password: {said}"})
    web.login_limit.forget(request.remote_addr, session.user, f"session {session.id}")
    for other in ended:
        _disconnect(call, other)
    call.change_token(web.sessions.renew(session.id))
    return _answer(call)


@api.endpoint("POST", "/api/logout", "Log out; the session's WebSocket key ends", SessionAnswer)
def log_out(call: Call) -> SessionAnswer:
    ended = call.needed_session
    call.web.sessions.end(ended.id)
    call.web.logins.forget(ended)
    _disconnect(call, ended.id)
    call.session = None
    call.change_token(new_token())
    return _answer(call)


def _disconnect(call: Call, session_id: int) -> None:
    """Hangs up on the WebSockets of a session that has ended; those of other processes notice within two seconds."""
    if (proxy := call.web.proxy) is not None:
        proxy.soon(lambda: proxy.runtime.disconnect(key_id(session_id)))


def _needs_code(call: Call) -> bool:
    return not call.web.set_up and not from_this_machine(request, call.web.settings.web_host)


def _wrong() -> ApiError:
    return ApiError(401, "INVALID_CREDENTIALS", "user name or password is wrong")


def _log_in(call: Call, user_id: int, username: str) -> SessionAnswer:
    """Another cookie: one that somebody has planted before must not become a session."""
    sessions = call.web.sessions
    if call.session is not None:
        sessions.end(call.session.id)
    token = sessions.begin(user_id)
    call.session = sessions.find(token)
    call.change_token(token)
    call.known_user = username
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
        setup_code_required=_needs_code(call),
    )


def _already_set_up() -> ApiError:
    return ApiError(409, "ALREADY_SET_UP", "there is a user already: log in")
