"""The feed process: feeds at the service of proxies in other processes (`feed_wire`).

Owns one ROUTER socket (a `Door` that lets in the holder of the feeds' key), one task that reads it, one task a proxy
that watches over its lease, and one task for each call that is under way, so that a call that waits keeps nothing
else waiting. What a proxy holds is given back when it has been silent for `LEASE`. The feeds are the caller's.
"""

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec
import zmq

from tickmux import owned_task
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.local_feed import LocalFeed
from tickmux.feeds.remote import feed_wire as wire
from tickmux.feeds.remote.feed_socket import FeedSocket
from tickmux.websocket_proxy.bus_door import Door
from tickmux.websocket_proxy.bus_keys import BusKeys
from tickmux.websocket_proxy.feed import Grant
from tickmux.websocket_proxy.feed_state import FeedState, FeedStatus, InstrumentStatus
from tickmux.websocket_proxy.subscription_index import TopicKey

log = logging.getLogger(__name__)

_MOST_PROXIES = 64
_MOST_CALLS = 10_000
"""Calls of one proxy that are under way at a time."""
_FAREWELL_MS = 200


class _Proxy:
    """One proxy and what it holds; `heard` is when it last said something, by the loop's clock."""

    def __init__(self, identity: bytes, lease: str, heard: float) -> None:
        self.identity = identity
        self.lease = lease
        self.heard = heard
        self.feeds: dict[str, LocalFeed] = {}
        self.held: dict[str, set[TopicKey]] = {}
        self.unlisten: list[Callable[[], None]] = []
        self.lease_watch: asyncio.Task[None] | None = None
        self.calls: set[asyncio.Task[None]] = set()
        """Calls under way."""
        self.gone = False
        """Its lease is over: what is granted from now on has to be given back."""


class FeedHost:
    """Serves the feeds that `feed_of` gives for users. `malformed` counts messages that are no request."""

    def __init__(self, feed_of: Callable[[str], Awaitable[LocalFeed]], host: str, port: int, keys: BusKeys) -> None:
        self._feed_of = feed_of
        self.door = Door(zmq.ROUTER, "FEED", host, port, keys.server, lambda key: key == keys.feeds.public)
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._clock = asyncio.get_running_loop().time
        self._proxies: dict[bytes, _Proxy] = {}
        self._socket: FeedSocket | None = None
        self._reader: asyncio.Task[None] | None = None
        self.endpoint = ""
        self.malformed = 0
        self.refused = 0
        """Messages of proxies beyond the most that are served at a time."""

    async def start(self) -> None:
        """Raises PortTaken, AddressRefused."""
        self._socket = self._listen()
        self._reader = owned_task.keep_running(partial(self._read, self._socket), "feed host")

    def _listen(self) -> FeedSocket:
        socket = self.door.socket
        socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE)
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a proxy that reconnects is known by its identity
        self.door.open()
        self.endpoint = self.door.endpoint
        return FeedSocket(socket)

    async def stop(self) -> None:
        """Tells the proxies, and gives back what they hold."""
        await owned_task.end(self._reader)
        for proxy in tuple(self._proxies.values()):
            for feed in proxy.feeds.values():
                gone = FeedStatus(FeedState.STOPPED, feed.status.since, "", 0)
                self._send(proxy, wire.State(feed.id, gone, feed.info()))
            await owned_task.end(proxy.lease_watch)
            await self._give_back(proxy)
        if self._socket is not None:
            self._socket.release()
        self.door.close(_FAREWELL_MS)

    async def _read(self, socket: FeedSocket) -> None:
        while True:
            message = await socket.receive()
            try:
                identity, body = message
                request = wire.decode_request(body)
            except (ValueError, msgspec.MsgspecError):
                self.malformed += 1
                continue
            proxy = self._proxies.get(identity) or self._welcome(identity)
            if proxy is None:
                self.refused += 1
                continue
            proxy.heard = self._clock()
            await self._carry_out(proxy, request)

    def _welcome(self, identity: bytes) -> _Proxy | None:
        if len(self._proxies) >= _MOST_PROXIES:
            return None
        proxy = self._proxies[identity] = _Proxy(identity, f"{self._run}-{next(self._numbers)}", self._clock())
        proxy.lease_watch = owned_task.start(self._watch(proxy), f"lease {proxy.lease}")
        log.info("lease id=%s state=begun", proxy.lease)
        return proxy

    async def _watch(self, proxy: _Proxy) -> None:
        """Ends the lease of a proxy that is silent for too long."""
        while True:
            left = proxy.heard + wire.LEASE - self._clock()
            if left <= 0:
                break
            await asyncio.sleep(left)
        log.info("lease id=%s state=over reason=%r", proxy.lease, f"silent for {wire.LEASE:g} s")
        await self._give_back(proxy)

    async def _give_back(self, proxy: _Proxy) -> None:
        """Forgets the proxy, and gives back what it holds."""
        proxy.gone = True
        if self._proxies.get(proxy.identity) is proxy:
            del self._proxies[proxy.identity]
        for unlisten in proxy.unlisten:
            unlisten()
        await owned_task.end(*proxy.calls)
        for name, feed in proxy.feeds.items():
            await feed.unsubscribe(tuple(proxy.held[name]))
            proxy.held[name].clear()

    async def _carry_out(self, proxy: _Proxy, request: wire.Request) -> None:
        """What waits for something gets a task of its own: no call makes another one late, nor a sign of life.

        Calls may overtake each other: a proxy gives nothing back that it is asking for at the time.
        """
        match request:
            case wire.Alive():
                self._send(proxy, wire.Here(proxy.lease, request.sent, time.monotonic_ns()))
                for feed in proxy.feeds.values():
                    self._send_state(proxy, feed)
            case wire.Open() | wire.Subscribe():
                if len(proxy.calls) >= _MOST_CALLS:
                    message = f"{_MOST_CALLS} calls are under way: try again"
                    self._send(proxy, wire.Refused(request.call, ErrorCode.RATE_LIMITED, message))
                    return
                call = owned_task.start(self._answer(proxy, request), f"call under lease {proxy.lease}")
                proxy.calls.add(call)
                call.add_done_callback(proxy.calls.discard)
            case wire.Unsubscribe(feed=name, keys=keys) if name in proxy.feeds:
                await proxy.feeds[name].unsubscribe(_taken(proxy.held[name], keys))
            case wire.Repeat(feed=name, keys=keys) if name in proxy.feeds:
                proxy.feeds[name].repeat(keys)

    async def _answer(self, proxy: _Proxy, request: wire.Open | wire.Subscribe) -> None:
        try:
            if isinstance(request, wire.Open):
                await self._open(proxy, request)
            else:
                await self._subscribe(proxy, request)
        except RequestError as error:
            self._send(proxy, wire.Refused(request.call, error.code, error.message))
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("a call of lease %s has failed, reference %s", proxy.lease, reference)
            message = f"a defect of ours in the feed process, reference {reference}"
            self._send(proxy, wire.Refused(request.call, ErrorCode.SERVER_ERROR, message))

    async def _open(self, proxy: _Proxy, request: wire.Open) -> None:
        feed = await self._feed_of(request.user)
        if feed.id not in proxy.feeds and not proxy.gone:
            proxy.feeds[feed.id] = feed
            proxy.held[feed.id] = set()
            proxy.unlisten.append(feed.listen(lambda _: self._send_state(proxy, feed)))
            proxy.unlisten.append(feed.listen_to_instruments(lambda news: self._send_instruments(proxy, feed, news)))
        self._send(
            proxy,
            wire.Opened(request.call, feed.id, feed.broker, feed.account, feed.has_orders, feed.status, feed.info()),
        )

    async def _subscribe(self, proxy: _Proxy, request: wire.Subscribe) -> None:
        feed = proxy.feeds.get(request.feed)
        if feed is None:
            message = f"the feed process does not know {request.feed} (any more): authenticate again"
            raise RequestError(ErrorCode.BROKER_CONNECTION_ERROR, message)
        held = proxy.held[feed.id]
        surplus = []
        verdicts: list[wire.Served | wire.Denied] = []
        for verdict in await feed.subscribe(request.wants):
            if isinstance(verdict, Grant):
                verdicts.append(wire.Served(verdict.key, verdict.topic, verdict.snapshot))
                if verdict.key in held or proxy.gone:
                    surplus.append(verdict.key)  # one reference a proxy is enough
                else:
                    held.add(verdict.key)
            else:
                verdicts.append(wire.Denied(verdict.code, verdict.message))
        if surplus:
            await feed.unsubscribe(surplus)
        self._send(proxy, wire.Granted(request.call, verdicts))
        names = dict.fromkeys((one.key.symbol, one.key.exchange) for one in verdicts if isinstance(one, wire.Served))
        self._send_instruments(proxy, feed, [one for name in names if (one := feed.instrument_status(*name))])

    def _send_instruments(self, proxy: _Proxy, feed: LocalFeed, changed: Sequence[InstrumentStatus]) -> None:
        self._send(proxy, wire.Instruments(feed.id, list(changed)))

    def _send_state(self, proxy: _Proxy, feed: LocalFeed) -> None:
        self._send(proxy, wire.State(feed.id, feed.status, feed.info()))

    def _send(self, proxy: _Proxy, answer: wire.Answer) -> None:
        if self._socket is not None:
            # One that cannot be reached now is one whose lease will end: no more has to be done.
            self._socket.send(proxy.identity, wire.encode(answer))


def _taken(held: set[TopicKey], keys: Sequence[TopicKey]) -> list[TopicKey]:
    """Those of `keys` that were held, and are not any more."""
    taken = [key for key in dict.fromkeys(keys) if key in held]
    held.difference_update(taken)
    return taken
