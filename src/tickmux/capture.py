"""Reading a vector file or a capture: the JSON that `tickmux.decode` runs through a codec, checked. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tickmux.instrument import Instrument
from tickmux.tick import Mode

_EARLIER_CALL = re.compile(r"(subscribe|unsubscribe) (\w+) \[([^\]]*)\]")  # `subscribe QUOTE [SBIN NSE, INFY NSE]`
_CALL_WORDS = frozenset({"op", "mode", "from", "to", "instruments", "credentials"})


class CaptureError(ValueError):
    """The document is not what this module reads; the message says where and what is wrong."""


def read_document(data: bytes) -> dict[str, Any]:
    """The document in `data`; raises CaptureError when it is no JSON object."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CaptureError(f"not a JSON document: {error}") from None
    if not isinstance(document, dict):
        raise CaptureError("not a JSON object with `broker`, `instruments` and `incoming`")
    return document


def read_instruments(data: bytes) -> list[dict[str, Any]]:
    """The rows of an instrument file: a JSON array, or one JSON object a line as `instruments parse` prints."""
    try:
        rows = msgspec.json.decode(data) if data.lstrip()[:1] == b"[" else msgspec.json.Decoder().decode_lines(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CaptureError(f"instruments are neither a JSON array nor JSON lines: {error}") from None
    return list(rows) if isinstance(rows, list) else []


def read_frame_lines(text: str) -> list[dict[str, str]]:
    """Frames written one a line: `hex:…` or plain hexadecimal digits are binary, all else is text."""
    frames = []
    for line in text.splitlines():
        kind, colon, rest = line.partition(":")
        if colon and kind in ("hex", "text"):
            frames.append({kind: rest})
        elif line.strip():
            frames.append({"hex" if re.fullmatch(r"(?:[0-9a-fA-F]{2}\s*)+", line.strip()) else "text": line})
    return frames


def items(document: Mapping[str, Any], key: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    items = document.get(key, [])
    if not isinstance(items, list):
        raise CaptureError(f"`{key}` is not a list")
    for number, item in enumerate(items):
        where = f"{key}[{number}]"
        if not isinstance(item, dict):
            raise CaptureError(f"{where} is not an object")
        yield item, where


def item_name(item: Mapping[str, Any], number: int) -> str:
    return str(item.get("name", number))


def item_frames(item: Mapping[str, Any], where: str) -> list[bytes | str]:
    frames = item.get("frames", [item])  # a bare frame is an item of its own
    if not isinstance(frames, list):
        raise CaptureError(f"{where}: `frames` is not a list")
    found: list[bytes | str] = []
    for number, frame in enumerate(frames):
        place = f"{where}: frame {number}"
        match frame:
            case {"hex": str(digits)}:
                try:
                    found.append(bytes.fromhex(digits))
                except ValueError:
                    raise CaptureError(f"{place}: `hex` is not pairs of hexadecimal digits") from None
            case {"text": str(text)}:
                found.append(text)
            case _:
                raise CaptureError(f"{place} has neither `hex` nor `text`")
    return found


def item_call(item: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    call = item.get("call")
    if not isinstance(call, dict) or not isinstance(call.get("op"), str):
        raise CaptureError(f"{where} has no `call` with an `op`")
    return call


def instruments_of(rows: object) -> list[Instrument]:
    if not isinstance(rows, list):
        raise CaptureError("`instruments` is not a list")
    found = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise CaptureError(f"instruments[{number}] is not an object")
        try:
            found.append(msgspec.convert(row | {"token": str(row["token"])}, Instrument, strict=False))
        except KeyError:
            raise CaptureError(f"instruments[{number}] has no `token`") from None
        except msgspec.ValidationError as error:
            raise CaptureError(f"instruments[{number}]: {error}") from None
    return found


def chosen(names: object, by_name: Mapping[tuple[str, str], Instrument]) -> list[Instrument]:
    """The instruments of a call, given as [symbol, exchange] pairs or as objects."""
    chosen = []
    for name in names if isinstance(names, list | tuple) else ():
        match name:
            case [str(symbol), str(exchange)] | {"symbol": str(symbol), "exchange": str(exchange)}:
                if (symbol, exchange) not in by_name:
                    raise CaptureError(f"{symbol} on {exchange} is not one of the document's instruments")
                chosen.append(by_name[symbol, exchange])
            case _:
                raise CaptureError("a call's instruments are pairs of symbol and exchange")
    return chosen


def earlier_calls(calls: object) -> list[Mapping[str, Any]]:
    """Calls that came earlier: a list of calls, one call, or words like `subscribe QUOTE [SBIN NSE]`."""
    if isinstance(calls, str):
        return [
            {"op": op, "mode": mode, "instruments": [entry.split() for entry in names.split(",")]}
            for op, mode, names in _EARLIER_CALL.findall(calls)
        ]
    found = calls if isinstance(calls, list) else [calls]
    return [call.get("call", call) for call in found if isinstance(call, dict)]


def mode_of(word: object) -> Mode | None:
    """The mode of a name in any case, or of its number."""
    name = str(word).upper()
    return next((mode for mode in Mode if name in (mode.name, str(mode.value))), None)


def depth_of(call: Mapping[str, Any]) -> int | None:
    level = call.get("depth_level", call.get("depth"))
    return level if isinstance(level, int) and level > 0 else None


def session_values(call: Mapping[str, Any]) -> dict[str, str]:
    """What a call carries beside the instruments, as the named values of a broker session."""
    own = {name: value for name, value in call.items() if name not in _CALL_WORDS}
    credentials = call.get("credentials")
    found = own | credentials if isinstance(credentials, dict) else own
    return {name: str(value) for name, value in found.items() if isinstance(value, str | int | float)}
