"""What one client is told of its feed and its instruments, besides data: each only on its option.

A client whose socket is full is told what is true once it has room, not what has been true meanwhile. Bounded by
the instruments that it holds.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from tickmux.websocket_proxy.dispatcher import Client
from tickmux.websocket_proxy.feed import Feed
from tickmux.websocket_proxy.feed_state import FeedStatus, InstrumentState, InstrumentStatus
from tickmux.websocket_proxy.protocol import Options
from tickmux.websocket_proxy.subscription_index import Slot, SubscriptionIndex

_WORTH_TELLING = frozenset({InstrumentState.SILENT, InstrumentState.REFUSED, InstrumentState.EXPIRED})
"""States that a new subscriber is told of at once; the others go without saying."""


class Listener(Client, Protocol):
    """What this needs of a client's session."""

    options: Options
    closing: bool

    @property
    def full(self) -> bool:
        """Whether its socket takes nothing more at present."""

    def send(self, message: dict[str, Any]) -> None: ...


L = TypeVar("L", bound=Listener)


class FeedNews(Generic[L]):
    """The news of `client`."""

    def __init__(self, client: L, index: SubscriptionIndex[L]) -> None:
        self._client = client
        self._index = index
        self._feed: Feed | None = None
        self._unlisten: list[Callable[[], None]] = []
        self._status_missed = False
        self._instruments_missed: set[tuple[str, str]] = set()

    def follow(self, feed: Feed) -> None:
        """From now on the news of this feed; its state at once."""
        self.stop()
        self._feed = feed
        if self._client.options.feed_status:
            self._unlisten.append(feed.listen(self._show_status))
            self._show_status(feed.status)
        if self._client.options.instrument_status:
            self._unlisten.append(feed.listen_to_instruments(self._show_instruments))

    def stop(self) -> None:
        """No more news."""
        for each in self._unlisten:
            each()
        self._unlisten.clear()
        self._status_missed = False
        self._instruments_missed.clear()

    def catch_up(self) -> None:
        """There is room again: tells what has been missed, as it is now."""
        if self._status_missed and self._feed is not None:
            self._show_status(self._feed.status)
        if self._instruments_missed:
            missed, self._instruments_missed = self._instruments_missed, set()
            self._show_instruments(self._present(missed))

    def subscribed(self, slots: Iterable[Slot]) -> None:
        """These have just been subscribed: tells of those that cannot be expected to tick."""
        if self._client.options.instrument_status:
            held = self._index.held(self._client)
            names = {(held[slot].topic.key.symbol, slot[1]) for slot in slots if slot in held}
            self._show_instruments([one for one in self._present(names) if one.state in _WORTH_TELLING])

    def _present(self, names: Iterable[tuple[str, str]]) -> list[InstrumentStatus]:
        feed = self._feed
        if feed is None:
            return []
        return [one for name in names if (one := feed.instrument_status(*name)) is not None]

    def _show_status(self, status: FeedStatus) -> None:
        client, feed = self._client, self._feed
        if client.closing or feed is None:
            return
        self._status_missed = client.full
        if self._status_missed:
            return
        client.send(
            {
                "type": "feed_status",
                "broker": feed.broker,
                "state": status.state.value,
                "since": status.since,
                "message": status.message,
                "symbols": status.symbols,
                "silent": status.silent,
                "silent_names": status.silent_names,
            }
        )

    def _show_instruments(self, changed: Sequence[InstrumentStatus]) -> None:
        """One message for each mode in which the client holds an instrument, by the name that it uses."""
        client = self._client
        if client.closing or not changed:
            return
        by_name = {(one.symbol, one.exchange): one for one in changed}
        for (symbol, exchange, mode), held in tuple(self._index.held(client).items()):
            name = (held.topic.key.symbol, exchange)
            one = by_name.get(name)
            if one is None:
                continue
            if client.full:
                self._instruments_missed.add(name)
                continue
            client.send(
                {
                    "type": "instrument_status",
                    "symbol": symbol,
                    "exchange": exchange,
                    "mode": int(mode),
                    "state": one.state.value,
                    "since": one.since,
                    "message": one.message,
                }
            )
