"""A broker: `python -m benchmarks.kite_stub SYMBOLS RATE BATCH`.

Takes one WebSocket connection and, after a line on standard input, sends Kite's 44-byte quote packets, RATE a second
over SYMBOLS instruments, BATCH of them in one frame. The traded volume carries the time of sending. What the
client asks is never read. Prints its URL as a JSON line; runs until the
connection ends.
"""

import base64
import hashlib
import json
import re
import socket
import struct
import sys
from contextlib import suppress

from benchmarks.market import token
from benchmarks.pacing import batches, stamp
from tickmux.websocket_proxy.frames import Opcode, frame_header

_PACKET = struct.Struct(">H11I")
_COUNT = struct.Struct(">H")
_PACKET_BYTES = 44
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def shake_hands(connection: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    found = re.search(rb"sec-websocket-key: *(\S+)", request, re.IGNORECASE)
    assert found is not None, request
    accept = base64.b64encode(hashlib.sha1(found[1] + _WEBSOCKET_GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def message(numbers: range, symbols: int) -> bytes:
    """One binary frame: prices in paise around one that each instrument has of its own."""
    packets = []
    for number in numbers:
        which = number % symbols
        last = 10_000 + 7 * which
        day = (last - 90, last + 150, last - 200, last - 45)  # open, high, low, close
        packets.append(_PACKET.pack(_PACKET_BYTES, token(which), last, 25, last - 3, stamp(), 51_250, 48_775, *day))
    size = _COUNT.size + len(packets) * _PACKET.size
    return b"".join((frame_header(Opcode.BINARY, size), _COUNT.pack(len(packets)), *packets))


def main(symbols: int, rate: float, batch: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(json.dumps({"url": f"ws://127.0.0.1:{server.getsockname()[1]}"}), flush=True)
        connection, _ = server.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shake_hands(connection)
        sys.stdin.readline()
        with suppress(ConnectionError):  # the run is over
            for numbers in batches(rate, batch):
                connection.sendall(message(numbers, symbols))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
