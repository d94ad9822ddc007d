"""The one way to wait on a ZeroMQ socket: one registration of its descriptor for the socket's whole life.

The descriptor is edge-triggered, and any operation on the socket (a send, a look at its events) may use the edge up.
A second registration would replace the first one, and each waiter with a registration of its own loses wake-ups to
the others. So a socket has one `look`, which sees to all who wait; and whoever has left something unread, or has
used the socket otherwise while somebody waits, calls `again`.
"""

import asyncio
from collections.abc import Callable

import zmq


class Wakeup:
    """Calls `look` in the loop whenever `socket` may have something to read."""

    def __init__(self, socket: zmq.Socket[bytes], look: Callable[[], None]) -> None:
        self._descriptor = int(socket.FD)
        self._look = look
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.Handle | None = None
        self._loop.add_reader(self._descriptor, look)
        self.again()  # the descriptor does not signal what arrived before it was registered

    def again(self) -> None:
        """Looks once more in the loop's next round; many calls are one."""
        if self._again is None:
            self._again = self._loop.call_soon(self._look_again)

    def close(self) -> None:
        """`look` is called no more. To be closed before its socket."""
        self._loop.remove_reader(self._descriptor)
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _look_again(self) -> None:
        self._again = None
        self._look()
