"""`tickmux broker`: logging in to brokers, and what of it is stored."""

import asyncio
import os
import sys
import time
import webbrowser
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, TextIO

import httpx
import msgspec
import typer

from tickmux.cli.answers import answer, ask, own_stdin
from tickmux.cli.console import JsonOption, UserOption, iso, ist, note, opened, print_json, print_table
from tickmux.cli.outcome import EXIT_CODES, Failed, Misused, NotFound, Refused
from tickmux.cli.redirect import LOOPBACK, RedirectCatcher
from tickmux.codec import Credentials
from tickmux.database import BrokerSessions, SessionInfo
from tickmux.login import AnswerWanted, Field, LoginFlow, LoginKind
from tickmux.websocket_proxy.broker_factory import UnknownBroker, broker_names, load_broker

app = typer.Typer(help="Log in to brokers; see what is stored.", epilog=EXIT_CODES)

_QUESTIONS = 5

_Name = Annotated[str, typer.Argument(help="The broker, as `tickmux brokers` shows it.", metavar="NAME")]


@app.command(epilog=EXIT_CODES)
def login(
    name: _Name,
    user: UserOption = None,
    redirect_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Loopback port that the broker redirects to; 0: any free one.")
    ] = 5001,
    browser: Annotated[bool, typer.Option(help="Open the login page, where there is a desktop.")] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the login in the browser.")] = 300.0,
    show_redirect: Annotated[
        bool, typer.Option("--show-redirect", help="Print the address to register with the broker, and do no more.")
    ] = False,
) -> None:
    """Log in to a broker and keep the session, encrypted. A running server goes on with it at once.

    Asks for what the broker wants to know and remembers what stays the same. A broker that logs in through the
    browser sends it back to http://127.0.0.1:5001/NAME/callback: register that address with the broker. Where
    that cannot be reached, paste the address that the browser ends at.

    Some brokers ask for a code that they send in the middle: it is asked for here as well.

    Without a terminal, values are read from standard input as name=value lines, then pasted addresses, then the
    answers to what the broker asks.

    Examples:

        tickmux broker login zerodha

        tickmux broker login zerodha --show-redirect

        tickmux broker login zerodha --redirect-port 8000 --no-browser
    """
    flow_class = load_broker(name).login
    if show_redirect:
        if flow_class.kind is not LoginKind.REDIRECT:
            raise Misused(f"{name} logs in without a browser: it needs no redirect address")
        if not redirect_port:
            raise Misused("port 0 is another one at every login: an address to register has a port of its own")
        print(_redirect_uri(redirect_port, name))  # the answer, not a note
        return
    with opened(user) as (settings, database):
        sessions = BrokerSessions(database, settings.tickmux_secret)
        owner = settings.tickmux_user
        flow = flow_class(settings.urls(name))
        terminal = _Terminal(redirect_port, timeout, browser and _has_desktop(), own_stdin())
        values = ask(flow.fields, sessions.login_values(owner, name), terminal.stdin)
        try:
            credentials = asyncio.run(_log_in(flow, name, values, terminal))
        except httpx.HTTPError as error:
            raise Failed(f"{name} cannot be reached ({type(error).__name__}): check the network, try again") from None
        sessions.store(owner, name, credentials, _remembered(flow.fields, values))
    _report(name, owner, credentials)


@app.command(epilog=EXIT_CODES)
def token(name: _Name, user: UserOption = None) -> None:
    """Keep a session whose token was obtained elsewhere.

    The token is asked for, hidden, or read from standard input: alone, or as name=value lines where the broker
    needs more than one value. It is never an argument, which others could see.

    Examples:

        tickmux broker token zerodha

        tickmux broker token zerodha < token.txt

        printf 'api_key=%s\\naccess_token=%s\\n' "$KEY" "$TOKEN" | tickmux broker token zerodha
    """
    flow_class = load_broker(name).login
    with opened(user) as (settings, database):
        sessions = BrokerSessions(database, settings.tickmux_secret)
        owner = settings.tickmux_user
        flow = flow_class(settings.urls(name))
        known = sessions.login_values(owner, name)
        values = ask(flow.token_fields, known, own_stdin())
        credentials = flow.from_token(values, datetime.now(UTC))
        sessions.store(owner, name, credentials, known | _remembered(flow.token_fields, values), accepted=False)
    _report(name, owner, credentials)
    note("it has not been tried yet: the broker sees it when a running server connects")


@app.command(epilog=EXIT_CODES)
def status(as_json: JsonOption = False) -> None:
    """List the stored sessions: whose, until when, and which one is in use.

    Examples:

        tickmux broker status

        tickmux broker status --json
    """
    with opened() as (settings, database):
        stored = BrokerSessions(database, settings.tickmux_secret).list()
    if as_json:
        print_json(
            [
                {
                    "user": one.user,
                    "broker": one.broker,
                    "active": one.active,
                    "state": _state(one),
                    "expires": iso(one.expires_at),
                    "updated": iso(one.updated),
                }
                for one in stored
            ]
        )
    elif stored:
        print_table(
            ("User", "Broker", "In use", "State", "Expires", "Logged in"),
            [
                (
                    one.user,
                    one.broker,
                    "yes" if one.active else "",
                    _state(one),
                    ist(one.expires_at) or "the broker does not say",
                    ist(one.updated),
                )
                for one in stored
            ],
        )
    else:
        note("no broker session is stored: `tickmux broker login NAME` makes one")


@app.command(epilog=EXIT_CODES)
def logout(name: _Name, user: UserOption = None) -> None:
    """Forget a session and everything that was remembered of its login.

    Example:

        tickmux broker logout zerodha
    """
    with opened(user) as (settings, database):
        owner = settings.tickmux_user
        if not BrokerSessions(database, settings.tickmux_secret).delete(owner, name):
            if name not in broker_names():
                raise UnknownBroker(name)
            raise NotFound(f"{owner} has no session with {name!r}; see `tickmux broker status`")
    note(f"{owner}'s session with {name} is forgotten")


class _Terminal(msgspec.Struct, frozen=True):
    """What a login in the browser is to use: the loopback port, the patience, and where addresses are pasted."""

    port: int
    timeout: float
    open_page: bool
    stdin: TextIO

    async def asked(self, field: Field) -> str:
        """The answer to the broker's question, while nothing else reads from `stdin`."""
        return await answer(field, self.stdin)


async def _log_in(flow: LoginFlow, name: str, values: dict[str, str], terminal: _Terminal) -> Credentials:
    async with httpx.AsyncClient(timeout=20.0) as http:
        if flow.kind is not LoginKind.REDIRECT:
            await flow.begin(values, "", http)
            return await _exchange(flow, values, {}, "", http, terminal.asked)
        catcher = RedirectCatcher(terminal.port)
        try:
            try:
                await catcher.listen()
            except OSError:
                note(f"port {terminal.port} is taken: paste the address that the browser ends at")
            redirect_uri = _redirect_uri(catcher.port, name)
            page = await flow.begin(values, redirect_uri, http)
            if page is None:
                return await _exchange(flow, values, {}, redirect_uri, http, terminal.asked)
            callback = await _browse(page, redirect_uri, catcher, terminal)

            async def asked(field: Field) -> str:
                return await answer(field, terminal.stdin, catcher.next_line)

            return await _exchange(flow, values, callback, redirect_uri, http, asked)
        finally:
            catcher.close()


async def _exchange(
    flow: LoginFlow,
    values: Mapping[str, str],
    callback: Mapping[str, str],
    redirect_uri: str,
    http: httpx.AsyncClient,
    asked: Callable[[Field], Awaitable[str]],
) -> Credentials:
    """The session; what the broker asks in the middle is asked on."""
    given: dict[str, str] = {}
    questions = 0
    while True:
        try:
            return await flow.exchange({**values, **given}, callback, redirect_uri, http, datetime.now(UTC))
        except AnswerWanted as wanted:
            if questions == _QUESTIONS:
                raise Refused("the broker asks again and again: start the login again") from None
            questions += 1
            note(str(wanted))
            given = {**wanted.kept, wanted.field.name: await asked(wanted.field)}


async def _browse(page: str, redirect_uri: str, catcher: RedirectCatcher, terminal: _Terminal) -> dict[str, str]:
    """Sends the user to the login page; gives what the redirect brings back."""
    note(f"Log in here:\n\n  {page}\n\nThe broker then redirects to {redirect_uri}")
    note("(waiting; the address that the browser ends at may be pasted here instead)")
    catcher.listen_to(terminal.stdin, lambda: note("that address carries no login: copy all of it"))
    if terminal.open_page:
        webbrowser.open(page)
    try:
        return await catcher.wait(terminal.timeout)
    except TimeoutError:
        raise Refused(f"no login came within {terminal.timeout:g} seconds: start again") from None


def _redirect_uri(port: int, name: str) -> str:
    return f"http://{LOOPBACK}:{port}/{name}/callback"


def _remembered(fields: Sequence[Field], values: Mapping[str, str]) -> dict[str, str]:
    return {field.name: values[field.name] for field in fields if field.remember and values[field.name]}


def _has_desktop() -> bool:
    if not sys.stdin.isatty():
        return False
    return sys.platform == "darwin" or any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _report(name: str, owner: str, credentials: Credentials) -> None:
    until = f", good until {ist(credentials.expires_at)}" if credentials.expires_at else ""
    note(f"{owner}'s session with {name} is stored{until}")


def _state(one: SessionInfo) -> str:
    if one.expires_at is not None and one.expires_at <= time.time():
        return "expired"
    return "valid" if one.accepted else "not tried"
