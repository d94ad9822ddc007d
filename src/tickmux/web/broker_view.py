"""Brokers as the pages show them: what they offer, how to log in, and how the user stands with each."""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tickmux.config import Settings
from tickmux.database import ListInfo, SessionInfo, SessionUnreadable
from tickmux.feeds.list_age import age_warning
from tickmux.feeds.market_hours import MarketHours
from tickmux.login import Field
from tickmux.simulator import simulator_names
from tickmux.web.context import Web
from tickmux.web.shapes import BrokerDetail, InstrumentListState, LoginField, StoredBrokerSession
from tickmux.websocket_proxy.broker_factory import Broker, broker_names, load_broker
from tickmux.websocket_proxy.connection_manager import PoolLimits
from tickmux.websocket_proxy.feed_state import FeedState

log = logging.getLogger(__name__)

_ACCOUNT_NAMES = ("user_id", "client_id", "client_code", "ucc", "account_id", "uid", "userid", "clientcode")
"""How brokers' credentials call what is printed on a contract note; no secret among them."""


def broker_details(web: Web, user: str, redirect_base: str) -> list[BrokerDetail]:
    """All brokers that can be loaded, by title."""
    view = _View(web, user, redirect_base)
    found = []
    for name in broker_names():
        try:
            found.append(view.detail(load_broker(name)))
        except Exception:  # somebody's package is broken: the others are still worth a list
            log.exception("broker %s cannot be shown", name)
    return sorted(found, key=lambda one: one.title.casefold())


def broker_detail(web: Web, user: str, redirect_base: str, name: str) -> BrokerDetail:
    """One broker. Raises UnknownBroker."""
    return _View(web, user, redirect_base).detail(load_broker(name))


def redirect_uri(redirect_base: str, broker: str) -> str:
    """What to register with the broker as the address that it redirects to."""
    return f"{redirect_base}/api/brokers/{broker}/callback"


def login_field(field: Field) -> LoginField:
    return LoginField(field.name, field.label, field.help, field.secret, field.remember, field.optional)


class _View:
    """One reading of the database for all brokers."""

    def __init__(self, web: Web, user: str, redirect_base: str) -> None:
        self._web = web
        self._user = user
        self._base = redirect_base
        self._sessions: Mapping[str, SessionInfo] = {one.broker: one for one in web.broker_sessions.list(user)}
        self._lists: Mapping[str, ListInfo] = {one.broker: one for one in web.instruments.lists()}
        self._refused = _refused(web)
        self._hours = MarketHours(web.settings.market_holidays)

    def detail(self, broker: Broker) -> BrokerDetail:
        adapter = broker.adapter()
        name = adapter.name
        depth = {exchange: list(adapter.depth_levels(exchange)) for exchange in adapter.exchanges}
        symbols, connections = _pool(self._web.settings, broker)
        return BrokerDetail(
            name=name,
            title=adapter.display_name,
            transport=adapter.transport,
            modes=["LTP", "QUOTE", "DEPTH"] if any(depth.values()) else ["LTP", "QUOTE"],
            depth=depth,
            symbols_per_connection=symbols,
            max_connections=connections,
            login=broker.login.kind.value,
            token_life=adapter.token_life,
            simulator=name in simulator_names(),
            fields=_fields(broker.login.fields),
            token_fields=_fields(broker.login.token_fields),
            redirect_uri=redirect_uri(self._base, name),
            remembered=self._remembered(name),
            session=self._session(name),
            instruments=self._instruments(name),
        )

    def _remembered(self, name: str) -> list[str]:
        if name not in self._sessions:
            return []
        return sorted(
            field for field, value in self._web.broker_sessions.login_values(self._user, name).items() if value
        )

    def _session(self, name: str) -> StoredBrokerSession | None:
        info = self._sessions.get(name)
        if info is None:
            return None
        try:
            stored = self._web.broker_sessions.get(self._user, name)
            values = stored.credentials.values if stored is not None else {}
            readable = True
        except SessionUnreadable:
            values, readable = {}, False
        state = "valid" if info.accepted else "not tried"
        if info.expires_at is not None and info.expires_at <= time.time():
            state = "expired"
        elif not readable or (name, self._user) in self._refused:
            state = "rejected"
        return StoredBrokerSession(
            account=next((values[key] for key in _ACCOUNT_NAMES if values.get(key)), None),
            created_at=int(info.updated * 1000),
            expires_at=int(info.expires_at * 1000) if info.expires_at is not None else None,
            state=state,  # type: ignore[arg-type]
        )

    def _instruments(self, name: str) -> InstrumentListState:
        info = self._lists.get(name)
        state = self._web.downloads.state(name)
        message = state.message
        if info is not None and not message and not state.updating:
            message = self._renewal_problem(name) or age_warning(
                info.updated, self._hours, datetime.now(UTC), f"tickmux instruments update {name}"
            )
        return InstrumentListState(
            count=info.count if info else 0,
            updated_at=int(info.updated * 1000) if info else None,
            updating=state.updating,
            message=message,
        )

    def _renewal_problem(self, name: str) -> str:
        """Why the list of a trading morning could not be fetched."""
        renewal = proxy.runtime.renewal if (proxy := self._web.proxy) is not None else None
        problem = renewal.problem(name) if renewal is not None else ""
        return problem and f"the list could not be renewed, which is tried again: {problem}"


def _refused(web: Web) -> set[tuple[str, str]]:
    """(broker, user) of the feeds whose session the broker refuses."""
    if (proxy := web.proxy) is None:
        return set()
    return {
        (feed.broker, feed.account)
        for feed in proxy.runtime.running_feeds()
        if feed.status.state == FeedState.AUTH_EXPIRED
    }


def _pool(settings: Settings, broker: Broker) -> tuple[int, int]:
    limits = PoolLimits(
        settings.max_symbols_per_websocket, settings.max_websocket_connections, settings.enable_connection_pooling
    )
    return limits.size(next(iter(broker.adapter.channels.values())), main=True)


def _fields(fields: Sequence[Field]) -> list[LoginField]:
    return [login_field(field) for field in fields]
