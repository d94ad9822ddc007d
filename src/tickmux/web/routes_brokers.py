"""Choosing a broker, logging in to it, its instrument list."""

import logging
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from tickmux.errors import RequestError
from tickmux.feeds.chosen_feed import Choice
from tickmux.simulator import simulator_names
from tickmux.web.broker_logins import Page, Question
from tickmux.web.broker_view import broker_detail, broker_details, login_field, redirect_uri
from tickmux.web.context import Call, this_web
from tickmux.web.endpoint import Api
from tickmux.web.errors import ApiError
from tickmux.web.shapes import (
    ActiveAnswer,
    ActiveBroker,
    AnswerStep,
    BrokerAnswer,
    BrokersAnswer,
    DoneStep,
    GivenAnswer,
    LoginOutcome,
    LoginValues,
    PastedRedirect,
    RedirectStep,
)
from tickmux.websocket_proxy.broker_factory import UnknownBroker, load_broker

log = logging.getLogger(__name__)

api = Api("brokers")
callback_blueprint = Blueprint("broker_callback", __name__)

_UNKNOWN = {404: "UNKNOWN_BROKER"}
_LOGIN = {
    400: "LOGIN_FAILED",
    404: "UNKNOWN_BROKER",
    429: "RATE_LIMITED",
    500: "SERVER_ERROR",
    502: "BROKER_UNREACHABLE",
}


@api.endpoint("GET", "/api/brokers", "All brokers, and how the user stands with each", BrokersAnswer)
def brokers(call: Call) -> BrokersAnswer:
    choice = call.web.choice(call.user)
    return BrokersAnswer(
        active=ActiveBroker(choice.broker, choice.simulated) if choice is not None else None,
        fixed=call.web.fixed,
        redirect_base=_base(),
        brokers=broker_details(call.web, call.user, _base()),
    )


@api.endpoint(
    "POST",
    "/api/brokers/active",
    "Choose the source of ticks; clients stay connected",
    ActiveAnswer,
    body=ActiveBroker,
    errors={404: "UNKNOWN_BROKER", 409: "BROKER_FIXED", 503: "FEED_NOT_STARTED"},
)
def activate(call: Call, body: ActiveBroker) -> ActiveAnswer:
    if (fixed := call.web.fixed) is not None:
        raise ApiError(409, "BROKER_FIXED", fixed)
    _known(body.broker)
    if body.simulated and body.broker not in simulator_names():
        raise ApiError(404, "UNKNOWN_BROKER", f"{body.broker} cannot be simulated")
    call.web.broker_sessions.activate(call.user, Choice(body.broker, body.simulated).stored)
    _follow(call)
    return ActiveAnswer(active=body)


@api.endpoint(
    "POST",
    "/api/brokers/<name>/login",
    "Begin a login; it is done, or goes on at the broker's page, or with an answer",
    RedirectStep | AnswerStep | DoneStep,
    body=LoginValues,
    errors=_LOGIN,
)
def log_in(call: Call, name: str, body: LoginValues) -> RedirectStep | AnswerStep | DoneStep:
    _known(name)
    call.web.broker_limit.take(call.user)
    step = call.web.logins.begin(call.needed_session, name, body.values, redirect_uri(_base(), name))
    if isinstance(step, Page):
        return RedirectStep(url=step.url, expires_at=int(step.expires_at * 1000))
    return _step(call, name, step)


@api.endpoint(
    "GET", "/api/brokers/<name>/login", "How this session's last login stands", LoginOutcome, errors=_UNKNOWN
)
def outcome(call: Call, name: str) -> LoginOutcome:
    _known(name)
    last = call.web.logins.outcome(call.needed_session, name)
    return LoginOutcome(
        state=last.state,  # type: ignore[arg-type]
        message=last.message,
        field=login_field(last.question.field) if last.question else None,
        expires_at=int(last.question.expires_at * 1000) if last.question else None,
    )


@api.endpoint(
    "POST",
    "/api/brokers/<name>/login/finish",
    "Go on with the address that the browser ended at",
    AnswerStep | DoneStep,
    body=PastedRedirect,
    errors={**_LOGIN, 409: "NO_LOGIN_PENDING"},
)
def finish(call: Call, name: str, body: PastedRedirect) -> AnswerStep | DoneStep:
    _known(name)
    call.web.broker_limit.take(call.user)
    return _step(call, name, call.web.logins.finish(call.needed_session, name, _query(body.redirect_url)))


@api.endpoint(
    "POST",
    "/api/brokers/<name>/login/answer",
    "Go on with the answer to what the broker has asked",
    AnswerStep | DoneStep,
    body=GivenAnswer,
    errors={**_LOGIN, 409: "NO_LOGIN_PENDING"},
)
def answer(call: Call, name: str, body: GivenAnswer) -> AnswerStep | DoneStep:
    _known(name)
    call.web.broker_limit.take(call.user)
    return _step(call, name, call.web.logins.answer(call.needed_session, name, body.answer))


@callback_blueprint.get("/api/brokers/<name>/callback")
def callback(name: str) -> Response:
    """Where the broker sends the browser back to. Whatever comes of it is told by the page that follows."""
    web = this_web()
    token = web.cookie.read(request)
    session = web.sessions.find(token) if token is not None else None
    try:
        load_broker(name)
        if session is not None and web.logins.finish(session, name, request.args.to_dict()) is None:
            _logged_in(Call(web, token, session), name)
    except UnknownBroker:
        return redirect("/settings/broker", 303)
    except ApiError:
        pass  # kept as the outcome, which the page asks for
    return redirect(f"/settings/broker/{name}?login=done", 303)


@api.endpoint(
    "POST",
    "/api/brokers/<name>/token",
    "Use a token that was obtained elsewhere",
    BrokerAnswer,
    body=LoginValues,
    errors={400: "LOGIN_FAILED", **_UNKNOWN},
)
def use_token(call: Call, name: str, body: LoginValues) -> BrokerAnswer:
    _known(name)
    call.web.logins.use_token(call.needed_session, name, body.values)
    _logged_in(call, name)
    return _answer(call, name)


@api.endpoint(
    "DELETE", "/api/brokers/<name>/session", "Forget token and remembered fields", BrokerAnswer, errors=_UNKNOWN
)
def forget(call: Call, name: str) -> BrokerAnswer:
    _known(name)
    sessions = call.web.broker_sessions
    was_active = sessions.active(call.user) == name
    sessions.delete(call.user, name)
    if was_active:
        sessions.activate(call.user, name)  # still what the user has chosen: the page offers the login
        if (proxy := call.web.proxy) is not None and (chosen := proxy.runtime.chosen) is not None:
            proxy.call(chosen.renew(call.user))
    return _answer(call, name)


@api.endpoint(
    "POST",
    "/api/brokers/<name>/instruments",
    "Begin to download the instrument list",
    BrokerAnswer,
    status=202,
    errors=_UNKNOWN,
)
def download(call: Call, name: str) -> BrokerAnswer:
    _known(name)
    call.web.downloads.start(name, call.user)
    return _answer(call, name)


def _known(name: str) -> None:
    try:
        load_broker(name)
    except UnknownBroker as error:
        raise ApiError(404, "UNKNOWN_BROKER", str(error)) from None


def _step(call: Call, name: str, question: Question | None) -> AnswerStep | DoneStep:
    if question is not None:
        return AnswerStep(
            message=question.message,
            field=login_field(question.field),
            expires_at=int(question.expires_at * 1000),
        )
    _logged_in(call, name)
    return DoneStep(broker=broker_detail(call.web, call.user, _base(), name))


def _logged_in(call: Call, name: str) -> None:
    """What follows from a new session: its feed goes on, the instruments are of today."""
    call.web.downloads.start_if_old(name, call.user)
    try:
        _follow(call)
    except ApiError as error:
        log.warning("the feed of %s does not start: %s", name, error.message)


def _follow(call: Call) -> None:
    try:
        call.web.follow_choice(call.user)
    except (RequestError, OSError) as error:
        raise ApiError(503, "FEED_NOT_STARTED", f"the feed cannot be started: {error}") from None


def _answer(call: Call, name: str) -> BrokerAnswer:
    return BrokerAnswer(broker=broker_detail(call.web, call.user, _base(), name))


def _base() -> str:
    return request.host_url.rstrip("/")


def _query(address: str) -> dict[str, str]:
    """What a pasted address carries behind `?` and `#`."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return {}
    return dict(parse_qsl(parts.query) + parse_qsl(parts.fragment))
