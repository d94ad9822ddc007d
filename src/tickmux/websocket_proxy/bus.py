"""The ZeroMQ bus between feeds and proxy. The proxy's SUB binds, publishers connect.

A message is a batch, `[b"\\0" + feed id, msgpack [topic, payload, topic, payload, …]]`: a feed sends the ticks of one
wire frame together, since a send costs several times what decoding a tick does. Feeds of the proxy's process come by
`inproc://` (`BusSubscriber`), a feed process by TCP with CURVE keys (`RemoteBus`); its first part ends with the time
of sending (8 bytes, nanoseconds of its monotonic clock), so that what is too old is not taken for new.

Queues are bounded by the high-water mark; what does not fit is dropped where it is published, and counted.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

import msgspec
import zmq

from tickmux.websocket_proxy.bus_door import Door, connect_with_keys
from tickmux.websocket_proxy.bus_keys import BusKeys, ClientKeys
from tickmux.websocket_proxy.zmq_wakeup import Wakeup

BATCH_MARK = b"\0"
_local_numbers = count()
_NOBLOCK, _MORE, _RCVMORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE), int(zmq.RCVMORE)
"""As plain numbers: an operation on zmq's enumerations costs as much as a small send."""
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[bytes]).decode
_STAMP = 8
_TOO_OLD = 1_000_000_000
"""Nanoseconds under way after which a batch of another process is dropped: its ticks would be shown as new."""


class BusAddress(NamedTuple):
    """Where feeds publish; with keys where that is another process."""

    endpoint: str
    keys: ClientKeys | None = None


def _stamp() -> bytes:
    return time.monotonic_ns().to_bytes(_STAMP, "big")


def batch_topic(feed_id: str) -> bytes:
    """The first frame of a feed's batches."""
    return BATCH_MARK + feed_id.encode()


def unpack_batch(body: bytes) -> list[bytes]:
    """Topics and payloads in turn; raises msgspec.DecodeError."""
    return _unpack(body)


class BusPublisher:
    """One feed's way onto the bus; with `keys` to that of another process. Not thread-safe: a loop of its own."""

    def __init__(
        self,
        endpoint: str,
        feed_id: str,
        *,
        high_water_mark: int,
        keys: ClientKeys | None = None,
    ) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, high_water_mark)
        self._socket.setsockopt(zmq.LINGER, 0)
        # Without this a full queue drops silently; with it `send` says so, and the drop can be counted.
        self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        # A lost connection is a lost subscriber: nothing is queued meanwhile, to go out late as if it were new.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._remote = keys is not None
        if keys is not None:
            connect_with_keys(self._socket, endpoint, keys)
        else:
            self._socket.connect(endpoint)
        self._topic = batch_topic(feed_id)
        self._ready = asyncio.Event()
        """Set while somebody takes this publisher's topics; set and cleared in one place, for all who wait."""
        self._waiting = 0
        self._wakeup: Wakeup | None = None
        self.sent = 0
        self.dropped = 0
        """Ticks that found the queue full."""

    async def wait_ready(self, timeout: float) -> bool:
        """Waits until a subscriber has taken this publisher's topics; what is sent earlier reaches nobody.

        Any number may wait at a time, and may be cancelled.
        """
        if self._wakeup is None:
            self._wakeup = Wakeup(self._socket, self._read_subscriptions)
        self._read_subscriptions()
        if not self._ready.is_set():
            self._waiting += 1
            try:
                async with asyncio.timeout(timeout):
                    await self._ready.wait()
            except TimeoutError:
                return False
            finally:
                self._waiting -= 1
        return True

    def send(self, parts: Sequence[bytes]) -> None:
        """Sends topics and payloads, in turn, as one message; never blocks."""
        try:
            self._socket.send(self._topic + _stamp() if self._remote else self._topic, _MORE)
            self._socket.send(_pack(parts), _NOBLOCK)
            self.sent += len(parts) // 2
        except zmq.Again:
            self.dropped += len(parts) // 2
        if self._waiting and self._wakeup is not None:
            self._wakeup.again()  # this send may have used up the edge that tells of the subscription

    def close(self) -> None:
        if self._wakeup is not None:
            self._wakeup.close()
            self._wakeup = None
        self._socket.close(0)

    def _read_subscriptions(self) -> None:
        while int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            if self._socket.recv(zmq.NOBLOCK)[:1] == b"\x01":
                self._ready.set()
            else:  # the bus has gone
                self._ready.clear()


class BusReader:
    """Hands a SUB socket's messages of two parts to `on_message`, in bounded drains that `on_drained` ends.

    ZeroMQ's descriptor is edge-triggered: a wake-up drains up to `drain` messages, and comes back by itself while
    more are waiting, so that clients' sockets get their turn in between; `rest` seconds later, where that is given.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        on_message: Callable[[bytes, bytes], None],
        on_drained: Callable[[], None],
        drain: int,
        rest: float = 0.0,
    ) -> None:
        self._socket = socket
        self._on_message = on_message
        self._on_drained = on_drained
        self._most = drain
        self._rest = rest
        self._resting: asyncio.TimerHandle | None = None
        self._wakeup: Wakeup | None = None
        self.malformed = 0
        """Messages that had not two parts."""

    def start(self) -> None:
        """Polls from now on, in the running loop; only then do connecting publishers hear what is subscribed."""
        self._wakeup = Wakeup(self._socket, self._drain)

    def stop(self) -> None:
        """Reads no more. To be called before the socket is closed."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._wakeup is not None:
            self._wakeup.close()
            self._wakeup = None

    def _drain(self) -> None:
        if self._resting is not None:
            return
        receive, option, on_message = self._socket.recv, self._socket.getsockopt, self._on_message
        emptied = False
        try:
            for _ in range(self._most):
                topic = receive(_NOBLOCK)
                if not option(_RCVMORE):
                    self.malformed += 1
                    continue
                payload = receive(_NOBLOCK)
                if option(_RCVMORE):
                    self._skip_rest()
                    continue
                on_message(topic, payload)
        except zmq.Again:
            emptied = True
        except EnoughForNow:
            pass
        finally:
            # Whatever has ended the loop: the descriptor says nothing of messages that wait already.
            if not emptied:
                self._go_on()
            self._on_drained()

    def _go_on(self) -> None:
        if self._wakeup is None:
            return
        if self._rest:
            self._resting = asyncio.get_running_loop().call_later(self._rest, self._rested)
        else:
            self._wakeup.again()

    def _rested(self) -> None:
        self._resting = None
        self._drain()

    def _skip_rest(self) -> None:
        self.malformed += 1
        while self._socket.getsockopt(zmq.RCVMORE):
            self._socket.recv(zmq.NOBLOCK)


class EnoughForNow(Exception):
    """Raised by a reader's `on_message` when this drain has cost enough: the message counts as taken."""


class BusSubscriber:
    """The proxy's end of the bus, for feeds of its own process: takes everything."""

    DRAIN = 256

    def __init__(
        self,
        *,
        high_water_mark: int,
        on_message: Callable[[bytes, bytes], None],
        on_drained: Callable[[], None],
    ) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, high_water_mark)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.endpoint = f"inproc://tickmux-{next(_local_numbers)}"
        self._socket.bind(self.endpoint)
        self._reader = BusReader(self._socket, on_message, on_drained, self.DRAIN)

    @property
    def malformed(self) -> int:
        return self._reader.malformed

    def start(self) -> None:
        self._reader.start()

    def close(self) -> None:
        self._reader.stop()
        self._socket.close(0)


class RemoteBus:
    """The proxy's end of the bus for a feed process: listens on TCP, for the holder of the feeds' key.

    `offset` tells by how many nanoseconds the feed process' monotonic clock is ahead of ours, None while that is not
    known. `on_stale` is called after a drain in which batches were dropped because they were too old.
    """

    def __init__(
        self,
        host: str,
        port: int,
        keys: BusKeys,
        *,
        high_water_mark: int,
        on_message: Callable[[bytes, bytes], None],
        on_drained: Callable[[], None],
        offset: Callable[[], int | None],
        on_stale: Callable[[], None],
    ) -> None:
        self._door = Door(zmq.SUB, "ZMQ", host, port, keys.server, lambda key: key == keys.feeds.public)
        self._door.socket.setsockopt(zmq.RCVHWM, high_water_mark)
        self._door.socket.setsockopt(zmq.MAXMSGSIZE, 64 << 20)
        self._door.socket.setsockopt(zmq.SUBSCRIBE, BATCH_MARK)
        self._on_message = on_message
        self._on_drained = on_drained
        self._offset = offset
        self._on_stale = on_stale
        self._dropping = False
        self._reader = BusReader(self._door.socket, self._take, self._drained, BusSubscriber.DRAIN)
        self.stale = 0
        """Batches that were dropped because they were too old."""

    @property
    def endpoint(self) -> str:
        return self._door.endpoint

    @property
    def door(self) -> Door:
        return self._door

    def start(self) -> None:
        """Raises PortTaken, AddressRefused."""
        self._door.open()
        self._reader.start()

    def close(self) -> None:
        self._reader.stop()
        self._door.close()

    def _take(self, topic: bytes, body: bytes) -> None:
        # A reading of the clock for each: the process may be stopped in the middle of a drain.
        offset = self._offset()
        oldest = 0 if offset is None else time.monotonic_ns() + offset - _TOO_OLD
        if int.from_bytes(topic[-_STAMP:], "big") < oldest:
            self.stale += 1
            self._dropping = True
        else:
            self._on_message(topic, body)

    def _drained(self) -> None:
        self._on_drained()
        if self._dropping:
            self._dropping = False
            self._on_stale()
