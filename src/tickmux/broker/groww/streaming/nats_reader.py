"""The server's half of the NATS client protocol: a byte stream in, whole operations out (specification section 5).

One WebSocket frame may hold several operations, and an operation may be cut anywhere between frames. Bounds: a
line of `MAX_LINE`, a payload of `MAX_PAYLOAD` bytes. What breaks the protocol ends the stream: nobody can tell
any more where an operation begins, and looking for the next `MSG` could find one inside a payload.
"""

from typing import NamedTuple

MAX_LINE = 65_536
MAX_PAYLOAD = 1 << 20
"""NATS servers' own default; a book has some 300 bytes."""

_END = b"\r\n"
_VERBS = (b"MSG", b"HMSG", b"PING", b"PONG", b"INFO", b"+OK", b"-ERR")


class Operation(NamedTuple):
    """`verb` is upper case, and MSG for a message with headers, too, whose headers are gone.

    argument: the subject of a message; what stands behind the verb of anything else.
    """

    verb: bytes
    argument: bytes
    payload: bytes = b""


class NatsReader:
    """One connection's stream. `fault` says why it has ended; empty while it goes on."""

    def __init__(self) -> None:
        self.fault = ""
        self._pending = bytearray()
        self._needed = 0

    def read(self, data: bytes) -> list[Operation]:
        """The operations that `data` completes; none once the stream is at fault."""
        if self.fault:
            return []
        pending = self._pending
        if pending:
            pending += data
            if len(pending) < self._needed:
                return []
            data = bytes(pending)
        operations: list[Operation] = []
        start, end = 0, len(data)
        while start < end:
            line_end = data.find(_END, start, start + MAX_LINE + 2)
            if line_end < 0:
                if end - start > MAX_LINE or not _may_be_a_line(data[start : start + 5]):
                    self.fault = "no line of the NATS protocol"
                self._needed = end - start + 1
                break
            body = line_end + 2
            line = data[start:line_end]
            words = line.split(None, 1)
            verb = words[0].upper() if words and line.startswith(words[0]) else b""
            if verb == b"MSG" or verb == b"HMSG":
                sizes = _sizes(words, verb == b"HMSG")
                if sizes is None:
                    self.fault = "a message without a sensible size"
                    break
                subject, headers, size = sizes
                close = body + size
                if close + 2 > end:
                    self._needed = close + 2 - start
                    break
                if data[close : close + 2] != _END:
                    self.fault = "a message that is longer than it says"
                    break
                operations.append(Operation(b"MSG", subject, data[body + headers : close]))
                start = close + 2
            elif verb in _VERBS:
                operations.append(Operation(verb, words[1] if len(words) > 1 else b""))
                start = body
            else:
                self.fault = "an operation that NATS does not have"
                break
        if self.fault or start == end:
            pending.clear()
        elif start:
            pending[:] = data[start:]
        elif not pending:
            pending += data
        return operations


def _sizes(words: list[bytes], with_headers: bool) -> tuple[bytes, int, int] | None:
    """(subject, bytes of headers, bytes of all) of a message's line; None where they make no sense."""
    arguments = words[1].split() if len(words) > 1 else []
    numbers = arguments[-2:] if with_headers else arguments[-1:]
    # Subject, sid and sometimes a reply subject, then the numbers.
    if len(arguments) - len(numbers) not in (2, 3) or not all(n.isdigit() and len(n) < 8 for n in numbers):
        return None
    headers, size = int(numbers[0]) if with_headers else 0, int(numbers[-1])
    return (arguments[0], headers, size) if headers <= size <= MAX_PAYLOAD else None


def _may_be_a_line(begin: bytes) -> bool:
    """Whether an unfinished line may become one: what cannot is not waited for."""
    word = begin.upper()
    return any(verb[: len(word)] == word[: len(verb)] for verb in _VERBS)
