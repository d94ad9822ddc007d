"""ConnectionPool: which connection carries which instrument. Opens connections when needed, closes them when empty.

Owns the connections that it opens. Bounded by symbols × connections of each channel; beyond that a demand is refused
with the numbers. All methods but `stop` are synchronous: a demand is decided at once, the wire follows.
"""

import asyncio
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from tickmux import owned_task
from tickmux.errors import CapacityExceeded, ErrorCode, RequestError
from tickmux.instrument import Instrument
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter, Channel, Stream


class Connection(Protocol):
    """What the pool needs of an upstream connection (`feeds/feed_connection.py`)."""

    number: int

    @property
    def wanted(self) -> Mapping[Instrument, str]:
        """What the pool has asked of it: instrument -> kind."""

    @property
    def load(self) -> Mapping[str, int]:
        """How many instruments are wanted of each kind."""

    def want(self, instrument: Instrument, kind: str) -> None: ...

    def drop(self, instrument: Instrument) -> None: ...

    def start(self, after: Collection[asyncio.Task[None]]) -> None:
        """Begins, once the connections that `after` is closing have gone."""

    async def stop(self) -> None: ...


ConnectionT = TypeVar("ConnectionT", bound=Connection)


class PoolLimits(msgspec.Struct, frozen=True):
    """What the user has set: None leaves the broker's default. `pooling` off means one connection a channel."""

    symbols: int | None = None
    connections: int | None = None
    pooling: bool = True

    def size(self, channel: Channel, *, main: bool) -> tuple[int, int]:
        """(symbols, connections) of a channel, never above what the broker allows.

        The user's numbers are about the broker's main channel; on side channels (a depth socket) they only lower.
        """
        symbols = self.symbols if self.symbols and main else min(channel.symbols, self.symbols or channel.symbols)
        connections = (
            self.connections
            if self.connections and main
            else min(channel.connections, self.connections or channel.connections)
        )
        return (
            min(symbols, channel.symbol_limit),
            min(connections, channel.connection_limit) if self.pooling else 1,
        )


class ConnectionPool(Generic[ConnectionT]):
    """The connections of one broker session. `open_connection` makes one, not started: (channel, number) -> it."""

    def __init__(
        self,
        adapter: BaseBrokerWebSocketAdapter,
        limits: PoolLimits,
        open_connection: Callable[[str, int], ConnectionT],
    ) -> None:
        self._adapter = adapter
        self._open = open_connection
        main = next(iter(adapter.channels))
        self.sizes = {name: limits.size(channel, main=name == main) for name, channel in adapter.channels.items()}
        """channel -> (symbols, connections)"""
        self._connections: dict[str, dict[int, ConnectionT]] = {name: {} for name in adapter.channels}
        self._carriers: dict[tuple[str, Instrument], ConnectionT] = {}
        self._bare_names: dict[tuple[str, Hashable], set[Instrument]] = {}
        """(channel, bare name) -> who is carried under it; empty where packets tell exchanges apart"""
        self._closing: dict[str, set[asyncio.Task[None]]] = {name: set() for name in adapter.channels}
        self._present: tuple[ConnectionT, ...] = ()
        self._stopped = False

    def connections(self) -> tuple[ConnectionT, ...]:
        """Those that are open, in order; may be called from any thread."""
        return self._present

    def _opened_or_closed(self) -> None:
        self._present = tuple(connection for group in self._connections.values() for connection in group.values())

    def apply(self, instrument: Instrument, streams: Sequence[Stream]) -> None:
        """Makes `streams` what the instrument is subscribed as; empty unsubscribes it.

        Raises RequestError, mostly CapacityExceeded, and changes nothing when there is no room.
        """
        if self._stopped:
            return
        wanted = dict(streams)
        places: dict[str, ConnectionT | None] = {}
        for channel, kind in wanted.items():
            about_to_open = sum(place is None for place in places.values())
            places[channel] = self._place(channel, instrument, kind, about_to_open)
        for channel, connection in places.items():
            chosen = connection or self._open_next(channel)
            old = self._carriers.get((channel, instrument))
            if old is not None and old is not chosen:
                self._release(channel, instrument, old)
            self._carriers[channel, instrument] = chosen
            if (name := self._adapter.bare_name(instrument)) is not None:
                self._bare_names.setdefault((channel, name), set()).add(instrument)
            chosen.want(instrument, wanted[channel])
        for channel in self._connections:
            if channel not in wanted and (old := self._carriers.get((channel, instrument))) is not None:
                self._release(channel, instrument, old)

    async def stop(self) -> None:
        """Stops all connections, those too that are closing already. A pool that has been stopped opens nothing."""
        self._stopped = True
        closing = [connection.stop() for connection in self.connections()]
        for group in self._connections.values():
            group.clear()
        self._opened_or_closed()
        self._carriers.clear()
        self._bare_names.clear()
        await asyncio.gather(*closing, *(task for tasks in self._closing.values() for task in tasks))

    def _place(self, channel: str, instrument: Instrument, kind: str, about_to_open: int) -> ConnectionT | None:
        """The open connection with room; None when a new one may be opened; raises RequestError."""
        symbols, connections = self.sizes[channel]
        group = self._connections[channel]
        carrier = self._carriers.get((channel, instrument))
        namesakes = self._namesakes(channel, instrument)
        for connection in sorted(group.values(), key=lambda one: (one is not carrier, one.number)):
            if connection in namesakes:
                continue
            load = dict(connection.load)
            if connection is carrier:
                load[connection.wanted[instrument]] -= 1
            load[kind] = load.get(kind, 0) + 1
            if self._adapter.fits(channel, load, symbols):
                return connection
        total = self._adapter.total_connections
        if len(group) >= connections or (total is not None and len(self.connections()) + about_to_open >= total):
            if namesakes:
                raise self._confusing(instrument, namesakes.values())
            raise CapacityExceeded(self._adapter.name, min(connections, total or connections), symbols)
        return None

    def _namesakes(self, channel: str, instrument: Instrument) -> dict[ConnectionT, Instrument]:
        """The connections whose packets could not tell the instrument from one of another exchange."""
        name = self._adapter.bare_name(instrument)
        carried = self._bare_names.get((channel, name), ()) if name is not None else ()
        return {self._carriers[channel, one]: one for one in carried if one.exchange != instrument.exchange}

    def _confusing(self, instrument: Instrument, namesakes: Iterable[Instrument]) -> RequestError:
        others = ", ".join(sorted(f"{one.symbol} on {one.exchange}" for one in namesakes))
        return RequestError(
            ErrorCode.CAPACITY_EXCEEDED,
            f"{self._adapter.display_name} does not tell {instrument.symbol} on {instrument.exchange} from {others} "
            "on one connection, and no other one has room; unsubscribe one of them",
        )

    def _open_next(self, channel: str) -> ConnectionT:
        group = self._connections[channel]
        number = next(n for n in range(len(group) + 1) if n not in group)
        group[number] = connection = self._open(channel, number)
        self._opened_or_closed()
        # One that is still closing would count against the broker's limit, and could take back over REST what the
        # new one asks for.
        connection.start(after=tuple(self._closing[channel]))
        return connection

    def _release(self, channel: str, instrument: Instrument, connection: ConnectionT) -> None:
        self._carriers.pop((channel, instrument), None)
        if (name := self._adapter.bare_name(instrument)) is not None:
            carried = self._bare_names.get((channel, name), set())
            carried.discard(instrument)
            if not carried:
                self._bare_names.pop((channel, name), None)
        connection.drop(instrument)
        if not connection.wanted:
            del self._connections[channel][connection.number]
            self._opened_or_closed()
            task = owned_task.start(connection.stop(), f"stop {connection!r}")
            self._closing[channel].add(task)
            task.add_done_callback(self._closing[channel].discard)
