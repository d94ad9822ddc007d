"""The ZeroMQ bus between feeds and proxy. The proxy's SUB binds, publishers connect.

Two forms of message:
- a batch, `[b"\\0" + feed id, msgpack [topic, payload, topic, payload, …]]`: our own feeds send the ticks of one
  wire frame together, since a send costs several times what decoding a tick does;
- a single, `[topic, payload]`: what publishers of OpenAlgo's topics send.

Queues are bounded by the high-water mark; what does not fit is dropped where it is published, and counted.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count

import msgspec
import zmq

from tickmux.websocket_proxy.port_check import PortTaken, describe_taken
from tickmux.websocket_proxy.zmq_wakeup import Wakeup

BATCH_MARK = b"\0"
_local_numbers = count()
_NOBLOCK, _MORE, _RCVMORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE), int(zmq.RCVMORE)
"""As plain numbers: an operation on zmq's enumerations costs as much as a small send."""
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[bytes]).decode


def batch_topic(feed_id: str) -> bytes:
    """The first frame of a feed's batches."""
    return BATCH_MARK + feed_id.encode()


def unpack_batch(body: bytes) -> list[bytes]:
    """Topics and payloads in turn; raises msgspec.DecodeError."""
    return _unpack(body)


class BusPublisher:
    """One feed's way onto the bus. Not thread-safe: a loop of its own."""

    def __init__(
        self,
        endpoint: str,
        feed_id: str,
        *,
        high_water_mark: int,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        self._socket = (context or zmq.Context.instance()).socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, high_water_mark)
        self._socket.setsockopt(zmq.LINGER, 0)
        # Without this a full queue drops silently; with it `send` says so, and the drop can be counted.
        self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        # A lost connection is a lost subscriber: nothing is queued meanwhile, to go out late as if it were new.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
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
            self._socket.send(self._topic, _MORE)
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


class BusSubscriber:
    """The proxy's end: binds, takes everything, and hands messages to `on_message` in bounded drains.

    ZeroMQ's descriptor is edge-triggered: a wake-up drains up to `DRAIN` messages, and comes back by itself while
    more are waiting, so that clients' sockets get their turn in between.
    """

    DRAIN = 256

    def __init__(
        self,
        host: str,
        port: int,
        *,
        high_water_mark: int,
        on_message: Callable[[bytes, bytes], None],
        on_drained: Callable[[], None],
    ) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, high_water_mark)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, 64 << 20)
        try:
            self._socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            self._socket.close(0)
            if error.errno == zmq.EADDRINUSE:
                raise PortTaken("ZMQ_PORT", host, port, describe_taken(host, port)) from None
            raise
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.endpoint: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.local_endpoint = f"inproc://tickmux-{next(_local_numbers)}"
        """For publishers of this process: the same socket without TCP and ZeroMQ's own thread in between."""
        self._socket.bind(self.local_endpoint)
        self._on_message = on_message
        self._on_drained = on_drained
        self._wakeup: Wakeup | None = None
        self.malformed = 0
        """Messages that had not two parts."""

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def start(self) -> None:
        """Polls from now on, in the running loop; only then do connecting publishers hear what is subscribed."""
        self._wakeup = Wakeup(self._socket, self._drain)

    def close(self) -> None:
        if self._wakeup is not None:
            self._wakeup.close()
            self._wakeup = None
        self._socket.close(0)

    def _drain(self) -> None:
        receive, option, on_message = self._socket.recv, self._socket.getsockopt, self._on_message
        emptied = False
        try:
            for _ in range(self.DRAIN):
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
        finally:
            # Whatever has ended the loop: the descriptor says nothing of messages that wait already.
            if not emptied and self._wakeup is not None:
                self._wakeup.again()
            self._on_drained()

    def _skip_rest(self) -> None:
        self.malformed += 1
        while self._socket.getsockopt(zmq.RCVMORE):
            self._socket.recv(zmq.NOBLOCK)
