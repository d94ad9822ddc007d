"""What the routes work with: one `Web` for each app, and the `Call` that is being answered."""

from contextlib import suppress
from typing import Any, NamedTuple

from flask import Flask, current_app

from tickmux.config import Settings
from tickmux.database import ApiKeys, BrokerSessions, Database, InstrumentStore, Users, WebSession, WebSessions
from tickmux.errors import RequestError
from tickmux.feeds.chosen_feed import Choice
from tickmux.feeds.feed_directory import Upstream
from tickmux.web.broker_logins import BrokerLogins
from tickmux.web.browser_cookie import BrowserCookie
from tickmux.web.errors import ApiError
from tickmux.web.instrument_downloads import InstrumentDownloads
from tickmux.web.rate_limit import LoginLimits, RateLimit
from tickmux.web.session_keys import SessionKeys
from tickmux.web.setup_code import setup_code
from tickmux.web.symbol_search import SymbolSearch
from tickmux.web.telemetry import Telemetry
from tickmux.websocket_proxy.app_integration import RunningProxy, running_proxy
from tickmux.websocket_proxy.feed import Feed

EXTENSION = "tickmux.web"


class Source(NamedTuple):
    """Where the instruments of a user come from: the broker, and the name of its list."""

    broker: str
    list_name: str
    simulated: bool


class Web:
    """Everything that the routes share. Thread-safe."""

    def __init__(
        self, app: Flask, settings: Settings, database: Database, upstream: Upstream, *, expects_proxy: bool
    ) -> None:
        self._app = app
        self.expects_proxy = expects_proxy
        """Whether a proxy belongs to this process; otherwise it is run apart."""
        self.settings = settings
        self.database = database
        self.upstream = upstream
        self.users = Users(database)
        self.sessions = WebSessions(database)
        self.session_keys = SessionKeys(self.sessions, settings.api_key_pepper)
        self.api_keys = ApiKeys(database, settings.api_key_pepper)
        self.broker_sessions = BrokerSessions(database, settings.tickmux_secret)
        self.instruments = InstrumentStore(database)
        self.search = SymbolSearch(database, self.instruments)
        self.downloads = InstrumentDownloads(settings, self.instruments, self.broker_sessions)
        self.logins = BrokerLogins(settings, self.broker_sessions)
        self.telemetry = Telemetry()
        self.cookie = BrowserCookie(settings.tickmux_secret)
        self.login_limit = LoginLimits()
        self.key_limit = RateLimit(10, 30.0, "wrong API keys")
        self.broker_limit = RateLimit(10, 30.0, "attempts to log in to a broker")
        self._set_up = False

    @property
    def set_up(self) -> bool:
        """Whether there is somebody who can log in; once true, always."""
        self._set_up = self._set_up or self.users.any()
        return self._set_up

    @property
    def setup_code(self) -> str | None:
        """What the console shows as long as nobody can log in."""
        return None if self.set_up else setup_code(self.settings.tickmux_secret)

    @property
    def proxy(self) -> RunningProxy | None:
        """The proxy beside this app, None while there is none."""
        return running_proxy(self._app)

    def needed_proxy(self) -> RunningProxy:
        """The proxy beside this app. Raises ApiError (503)."""
        if (proxy := self.proxy) is None:
            raise ApiError(
                503,
                "PROXY_NOT_HERE",
                "no proxy runs in this process: it runs apart (see there), or the server has loaded the app before "
                "it made this worker (start it without --preload)",
            )
        return proxy

    @property
    def fixed(self) -> str | None:
        """Why the source of ticks cannot be chosen here; None where it can."""
        match self.upstream:
            case Upstream(simulate=str(name)):
                return f"Started with --simulate {name}: restart without it to choose another source."
            case Upstream(broker=str(name)):
                return f"Started with --broker {name}: restart without it to choose another source."
            case Upstream(external=True):
                return (
                    "Started with --external: ticks come from publishers of your own. Restart without it to choose."
                )
        if self.settings.feed_process:
            return "FEED_PROCESS is on: `tickmux feed` has the feeds, and says whose. Turn it off to choose here."
        return None

    def source(self, user: str) -> Source | None:
        """Where the user's instruments come from; None where there is no list, or nothing has been chosen."""
        choice = self.choice(user)
        return Source(choice.broker, choice.stored, choice.simulated) if choice is not None else None

    def choice(self, user: str) -> Choice | None:
        if self.upstream.simulate is not None:
            return Choice(self.upstream.simulate, simulated=True)
        if self.upstream.broker is not None:
            return Choice(self.upstream.broker)
        if self.upstream.external:
            return None
        if self.settings.feed_process and (feed := self._remote_feed(user)) is not None:
            return Choice(feed.broker, simulated=feed.account == "simulator")
        stored = self.broker_sessions.active(user)
        return Choice.load(stored) if stored is not None else None

    def _remote_feed(self, user: str) -> Feed | None:
        """What the feed process has for the user; None while it cannot be asked, or has nothing."""
        proxy = self.proxy
        if proxy is None or (feeds := proxy.runtime.feeds) is None:
            return None
        with suppress(RequestError, TimeoutError):
            return proxy.call(feeds.feed_of(user))
        return None

    def follow_choice(self, user: str) -> None:
        """Has the user's feed become what he has chosen, where a proxy runs here."""
        if (proxy := self.proxy) is not None and (feeds := proxy.runtime.feeds) is not None:
            proxy.call(feeds.feed_of(user))


class Call:
    """One request of the API. `session` is None for whoever has not logged in."""

    def __init__(self, web: Web, token: str | None, session: WebSession | None) -> None:
        self.web = web
        self.token = token
        self.session = session
        self.new_token: str | None = None
        """What the answer puts into the cookie, if anything."""
        self.known_user: str | None = None
        """Whose known browser the answer makes this one, if anybody's."""

    @property
    def user(self) -> str:
        return self.needed_session.user

    @property
    def needed_session(self) -> WebSession:
        """The session; the endpoint is one that asks for it. Raises ApiError (401)."""
        if self.session is None:
            raise ApiError(401, "LOGIN_REQUIRED", "log in first")
        return self.session

    def change_token(self, token: str) -> None:
        """Another session, or none: the old token is worth nothing any more."""
        self.token = self.new_token = token


def this_web() -> Web:
    found: Any = current_app.extensions[EXTENSION]
    if not isinstance(found, Web):
        raise TypeError("this app is none of create_app's")
    return found
