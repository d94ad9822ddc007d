"""Has a connection gone without the event loop having said so?

uvloop misses a reset that arrives in the same poll as the last data: it takes the descriptor out of its poll set and
calls neither `eof_received` nor `connection_lost`. Asking the socket itself costs one system call.
"""

import socket
from asyncio import BaseTransport


def is_lost(transport: BaseTransport) -> bool:
    """Whether the peer has ended the connection and nothing is left to read; False once it is closed here."""
    known = transport.get_extra_info("socket")
    descriptor = known.fileno() if known is not None else -1
    if descriptor < 0:
        return False
    borrowed = socket.socket(fileno=descriptor)
    try:
        return borrowed.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
    finally:
        borrowed.detach()  # it is the transport's to close
