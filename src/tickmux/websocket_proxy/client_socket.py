"""What the operating system knows of a client's socket, and what it is told about it.

Linux tells how much lies unread and when the peer last acknowledged anything; elsewhere the answers are "nothing" and
"just now", and TCP keep-alive alone finds peers that have vanished.
"""

import fcntl
import socket
import struct
import sys
from asyncio import BaseTransport
from contextlib import suppress

NOT_SENT = 64 << 10
"""Bytes that the kernel takes beyond what is on its way to the client. Whatever waits behind them waits here, where
it can still be replaced by something newer."""

_KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Seconds of silence before the first question, between two of them, and how many stay unanswered."""

_LINUX = sys.platform == "linux"
_SIOCOUTQ = 0x5411
_LAST_ACK = struct.Struct("=56xI")
"""`tcpi_last_ack_recv` of `struct tcp_info` (linux/tcp.h), milliseconds ago."""


def prepare(connection: socket.socket) -> None:
    """Has the kernel notice vanished peers, and keep little of what has not been sent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    _hold_back(connection, NOT_SENT)


def _hold_back(connection: socket.socket, size: int) -> None:
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)


def make_room(transport: BaseTransport, size: int) -> None:
    """Has the kernel take `size` bytes more at once, so that the last frames are sent before the socket is
    closed."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return
    with suppress(OSError):
        _hold_back(connection, 0x7FFFFFFF)
        waiting = unacknowledged(transport)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * (waiting + size) + (64 << 10))


def unacknowledged(transport: BaseTransport) -> int:
    """Bytes in the kernel that the client's has not acknowledged."""
    connection = transport.get_extra_info("socket")
    if not _LINUX or connection is None or connection.fileno() < 0:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(connection.fileno(), _SIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def silent_for(transport: BaseTransport) -> float:
    """Seconds since the client's kernel last acknowledged anything."""
    connection = transport.get_extra_info("socket")
    if not _LINUX or connection is None or connection.fileno() < 0:
        return 0.0
    try:
        (milliseconds,) = _LAST_ACK.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK.size))
    except (OSError, struct.error):
        return 0.0
    return float(milliseconds) / 1000
