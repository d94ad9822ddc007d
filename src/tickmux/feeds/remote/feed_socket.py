"""A ZeroMQ socket that one task reads while anybody writes to it; both ends of `feed_wire` have one."""

import asyncio

import zmq

from tickmux.websocket_proxy.zmq_wakeup import Wakeup


class FeedSocket:
    """Sending never waits: what cannot go out now is not sent."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._woken = asyncio.Event()
        self._wakeup = Wakeup(socket, self._woken.set)

    async def receive(self) -> list[bytes]:
        """The parts of the next message."""
        while True:
            self._woken.clear()
            try:
                return self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                await self._woken.wait()

    def send(self, *parts: bytes) -> bool:
        """Whether there was somebody to take it."""
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        finally:
            # ZeroMQ's descriptor tells of arrivals once, and whoever sends may be the one who has taken notice.
            self._woken.set()
        return True

    def release(self) -> None:
        """Reads no more; the socket is left to whoever closes it."""
        self._wakeup.close()

    def close(self, linger_ms: int = 0) -> None:
        self.release()
        self._socket.close(linger_ms)
