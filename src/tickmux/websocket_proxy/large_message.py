"""A request too long to be decoded in one go, decoded a piece at a time; pure.

A request of ten thousand symbols is half a megabyte of JSON, which would hold the event loop for more than ten
milliseconds. `decoded` is a generator: after each piece the caller may let others run. Its pieces end where one item
of the list ends and another begins. Such a place is found by trial: a piece that is cut anywhere else is no JSON,
since a string or a bracket stays open in it.

Bounds: a piece is `PIECE` bytes, or `_LONGEST` if its items are long; the message around the list is `_AROUND` bytes.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tickmux.errors import RequestError
from tickmux.websocket_proxy.protocol import BadRequest, not_json, too_many_items

PIECE = 16 << 10
"""Messages up to this size are decoded whole."""
_LONGEST = 64 << 10
_AROUND = 16 << 10
_TRIALS = 8
"""Places at which a piece is cut on trial, and ends of the list that are tried."""

_decode = msgspec.json.Decoder().decode
_LIST = re.compile(rb'"(?:symbols|instruments)"\s*:\s*\[')
_ITEM_ENDS = re.compile(rb'[}"\]]\s*,')


def decoded(frame: bytes, max_items: int) -> Iterator[dict[str, Any] | None]:
    """Yields None after each piece, and at last the message as a dict. Raises BadRequest."""
    begins = _LIST.search(frame, 0, _AROUND)
    if begins is None:
        raise not_json(f"a message of {len(frame)} bytes must have its list of symbols within the first {_AROUND}")
    message, ends = _around(frame, begins.end())
    request_id = message.get("request_id")
    entries: list[Any] = []
    at = begins.end()
    while at < ends:
        piece, at = _piece(frame, at, ends)
        entries += piece
        if len(entries) > max_items:
            refusal = too_many_items(len(entries), max_items)
            known = request_id if isinstance(request_id, (str, int, float)) else None
            raise BadRequest(refusal.code, refusal.message, known if not isinstance(known, str) else known[:256])
        yield None
    message["symbols" if "symbols" in message else "instruments"] = entries
    yield message


def _around(frame: bytes, begins: int) -> tuple[dict[str, Any], int]:
    """The message without its list, and where the list ends."""
    head = frame[:begins]
    end = len(frame)
    found = None
    for _ in range(_TRIALS):
        end = frame.rfind(b"]", begins, end)
        if end < 0 or len(frame) - end > _AROUND:
            break
        try:
            message = _decode(head + frame[end:])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
        if isinstance(message, dict) and message.get("symbols", message.get("instruments")) == []:
            found = message, end  # the first of these ends is the list's; a later one is of a list behind it
    if found is None:
        raise not_json("its list of symbols does not end, or too much stands behind it")
    return found


def _piece(frame: bytes, at: int, ends: int) -> tuple[list[Any], int]:
    """The items from `at`, about `PIECE` bytes of them, and where the next begins."""
    if ends - at <= PIECE:
        return _items(frame[at:ends]), ends
    looked_from = at + PIECE
    for _ in range(_TRIALS):
        found = _ITEM_ENDS.search(frame, looked_from, min(at + _LONGEST, ends))
        if found is None:
            break
        cut = found.end()
        try:
            return _items(frame[at : cut - 1]), cut
        except RequestError:
            looked_from = cut
    if ends - at <= _LONGEST:
        return _items(frame[at:ends]), ends
    raise not_json("its list of symbols holds something that is no instrument")


def _items(text: bytes) -> list[Any]:
    try:
        items: list[Any] = _decode(b"[" + text + b"]")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise not_json(error) from None
    return items
