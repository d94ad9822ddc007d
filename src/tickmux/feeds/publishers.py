"""Where publishers that are not ours connect: one socket on TCP, apart from the bus of our own feeds.

Publishers need a CURVE key that `tickmux bus-keys` shows; or, with ZMQ_PLAIN=loopback, none at all, as OpenAlgo's
adapters have none, and the socket is open to this machine only. Nothing that arrives here gets further than an
`ExternalFeed`, which makes topics and payloads of its own of it.

Bounded: a publisher's messages are `MOST_BYTES` long and `_WAITING` wait of each; `_DRAIN` of them, or
`_DRAIN_BYTES`, are taken in `_REST` seconds. What is beyond waits with the publisher, who drops it when his own queue
is full.
"""

from collections.abc import Callable

import zmq

from tickmux.feeds.foreign import MOST_BYTES
from tickmux.websocket_proxy.bus import BusReader, EnoughForNow
from tickmux.websocket_proxy.bus_door import Door
from tickmux.websocket_proxy.bus_keys import BusKeys

_WAITING = 1_000
_RECEIVE_BUFFER = 262_144
"""The kernel's, in bytes: what waits in it grows old."""
_DRAIN = 64
_DRAIN_BYTES = 131_072
_REST = 0.0025


class Publishers:
    """The socket for publishers; `keys` None means that they need none. Messages go to `on_message`."""

    def __init__(
        self,
        host: str,
        port: int,
        keys: BusKeys | None,
        *,
        on_message: Callable[[bytes, bytes], None],
        on_drained: Callable[[], None],
    ) -> None:
        """Raises AddressRefused: without keys, on an address that is not of this machine alone."""
        if keys is None:
            self.door = Door(zmq.SUB, "ZMQ", host, port, None, lambda key: False)
        else:
            self.door = Door(zmq.SUB, "ZMQ", host, port, keys.server, keys.is_publisher)
        self.door.socket.setsockopt(zmq.RCVHWM, _WAITING)
        self.door.socket.setsockopt(zmq.RCVBUF, _RECEIVE_BUFFER)
        self.door.socket.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        self.door.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._on_message = on_message
        self._on_drained = on_drained
        self._left = _DRAIN_BYTES
        self._reader = BusReader(self.door.socket, self._take, self._drained, _DRAIN, _REST)

    @property
    def endpoint(self) -> str:
        return self.door.endpoint

    @property
    def malformed(self) -> int:
        """Messages that had not two parts."""
        return self._reader.malformed

    def start(self) -> None:
        """Raises PortTaken, AddressRefused."""
        self.door.open()
        self._reader.start()

    def close(self) -> None:
        self._reader.stop()
        self.door.close()

    def _take(self, topic: bytes, payload: bytes) -> None:
        self._on_message(topic, payload)
        self._left -= len(payload)
        if self._left < 0:
            raise EnoughForNow

    def _drained(self) -> None:
        self._left = _DRAIN_BYTES
        self._on_drained()
