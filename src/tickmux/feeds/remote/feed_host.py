"""The feed process: feeds at the service of proxies in other processes (`feed_wire`).

Owns one ROUTER socket (a `Door` that lets in the holder of the feeds' key), one task that reads it, and one task a
proxy, which carries that proxy's requests out in their order. What a proxy holds is given back when it has been
silent for `LEASE`. The feeds are the caller's.
"""

import asyncio
import itertools
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

_MOST_PROXIES = 64
_MOST_WAITING = 10_000
"""Requests of one proxy; one that asks for more at once is forgotten, and asks for everything anew."""
_FAREWELL_MS = 200


class _Proxy:
    """One proxy and what it holds."""

    def __init__(self, identity: bytes, lease: str) -> None:
        self.identity = identity
        self.lease = lease
        self.requests: asyncio.Queue[wire.Request] = asyncio.Queue(_MOST_WAITING)
        self.feeds: dict[str, LocalFeed] = {}
        self.held: dict[str, set[TopicKey]] = {}
        self.unlisten: list[Callable[[], None]] = []
        self.task: asyncio.Task[None] | None = None


class FeedHost:
    """Serves the feeds that `feed_of` gives for users. `malformed` counts messages that are no request."""

    def __init__(self, feed_of: Callable[[str], Awaitable[LocalFeed]], host: str, port: int, keys: BusKeys) -> None:
        self._feed_of = feed_of
        self.door = Door(zmq.ROUTER, "FEED", host, port, keys.server, lambda key: key == keys.feeds.public)
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._proxies: dict[bytes, _Proxy] = {}
        self._socket: FeedSocket | None = None
        self._reader: asyncio.Task[None] | None = None
        self.endpoint = ""
        self.malformed = 0
        self.refused = 0
        """Messages of proxies beyond the most that are served at a time."""

    async def start(self) -> None:
        """Raises PortTaken, AddressRefused."""
        socket = self.door.socket
        socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE)
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a proxy that reconnects is known by its identity
        self.door.open()
        self.endpoint = self.door.endpoint
        self._socket = FeedSocket(socket)
        self._reader = owned_task.keep_running(partial(self._read, self._socket), "feed host")

    async def stop(self) -> None:
        """Tells the proxies, and gives back what they hold."""
        await owned_task.end(self._reader)
        for proxy in tuple(self._proxies.values()):
            for feed in proxy.feeds.values():
                gone = FeedStatus(FeedState.STOPPED, feed.status.since, "", 0)
                self._send(proxy, wire.State(feed.id, gone, feed.info()))
            await owned_task.end(proxy.task)
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
            elif proxy.requests.full():
                self._forget(proxy)
            else:
                proxy.requests.put_nowait(request)

    def _welcome(self, identity: bytes) -> _Proxy | None:
        if len(self._proxies) >= _MOST_PROXIES:
            return None
        proxy = self._proxies[identity] = _Proxy(identity, f"{self._run}-{next(self._numbers)}")
        proxy.task = owned_task.start(self._serve(proxy), f"requests under lease {proxy.lease}")
        return proxy

    def _forget(self, proxy: _Proxy) -> None:
        if proxy.task is not None:
            proxy.task.cancel()
        self._proxies.pop(proxy.identity, None)

    async def _serve(self, proxy: _Proxy) -> None:
        try:
            while True:
                async with asyncio.timeout(wire.LEASE):
                    request = await proxy.requests.get()
                await self._carry_out(proxy, request)
        except TimeoutError:
            pass  # the proxy has gone without a word
        finally:
            if self._proxies.get(proxy.identity) is proxy:
                del self._proxies[proxy.identity]
            for unlisten in proxy.unlisten:
                unlisten()
            for name, feed in proxy.feeds.items():
                await feed.unsubscribe(tuple(proxy.held[name]))

    async def _carry_out(self, proxy: _Proxy, request: wire.Request) -> None:
        match request:
            case wire.Alive():
                self._send(proxy, wire.Here(proxy.lease, request.sent, time.monotonic_ns()))
                for feed in proxy.feeds.values():
                    self._send_state(proxy, feed)
            case wire.Open():
                await self._open(proxy, request)
            case wire.Subscribe():
                await self._subscribe(proxy, request)
            case wire.Unsubscribe(feed=name, keys=keys) if name in proxy.feeds:
                await proxy.feeds[name].unsubscribe(_taken(proxy.held[name], keys))
            case wire.Repeat(feed=name, keys=keys) if name in proxy.feeds:
                proxy.feeds[name].repeat(keys)

    async def _open(self, proxy: _Proxy, request: wire.Open) -> None:
        try:
            feed = await self._feed_of(request.user)
        except RequestError as error:
            self._send(proxy, wire.Refused(request.call, error.code, error.message))
            return
        if feed.id not in proxy.feeds:
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
            self._send(proxy, wire.Refused(request.call, ErrorCode.BROKER_CONNECTION_ERROR, message))
            return
        held = proxy.held[feed.id]
        surplus = []
        verdicts: list[wire.Served | wire.Denied] = []
        for verdict in await feed.subscribe(request.wants):
            if isinstance(verdict, Grant):
                verdicts.append(wire.Served(verdict.key, verdict.topic, verdict.snapshot))
                if verdict.key in held:
                    surplus.append(verdict.key)  # one reference a proxy is enough
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
