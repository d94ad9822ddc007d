"""A topic's payload as one lane's frame; pure. Anything but the default is rendered once per lane, not per client."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from tickmux.login import IST
from tickmux.websocket_proxy.frames import binary_frame, spliced_text_frame, text_frame
from tickmux.websocket_proxy.subscription_index import LaneKey, Topic, envelope_prefix

_decode = msgspec.json.Decoder().decode
_encode_json = msgspec.json.encode
_encode_msgpack = msgspec.msgpack.encode


def render(topic: Topic[Any], lane: LaneKey, payload: bytes, count: int, *, snapshot: bool = False) -> bytes:
    """The frame that shows `payload` to a lane; `count` is the payload's number within its topic."""
    plain = lane.format == "envelope" and lane.encoding == "json"
    prefix = topic.prefix
    if lane.alias:
        prefix, payload = _called(topic, lane.alias, payload)
    if plain and not lane.sequence and not snapshot:
        return spliced_text_frame(prefix, payload)
    marks = {**({"seq": count} if lane.sequence else {}), **({"snapshot": True} if snapshot else {})}
    if plain:
        tail = _encode_json(marks)[1:-1]
        return spliced_text_frame(prefix, b"".join((payload, b",", tail)))
    data = _decode(payload)
    message = (
        {**_flat(data), **marks} if lane.format == "flat" else {**_decode(prefix + b"0}"), "data": data, **marks}
    )
    return encode_frame(message, lane.encoding)


def _called(topic: Topic[Any], alias: str, payload: bytes) -> tuple[bytes, bytes]:
    """The envelope and the payload under another name; a payload of ours begins with its symbol."""
    prefix = envelope_prefix(topic.key._replace(symbol=alias), topic.broker)
    own = b'{"symbol":' + _encode_json(topic.key.symbol)
    if payload.startswith(own):
        return prefix, b'{"symbol":' + _encode_json(alias) + payload[len(own) :]
    return prefix, _encode_json({**_decode(payload), "symbol": alias})


def encode_frame(message: object, encoding: str) -> bytes:
    """Any message as a frame of the client's encoding: JSON in a text frame, or msgpack in a binary one."""
    if encoding == "msgpack":
        return binary_frame(_encode_msgpack(message))
    return text_frame(_encode_json(message))


def encode_part(entries: list[dict[str, Any]], encoding: str) -> bytes:
    """Entries of a long list, to be put together with others by `joined`: encoded a slice at a time."""
    if encoding == "msgpack":
        return b"".join(map(_encode_msgpack, entries))
    return _encode_json(entries)[1:-1]


def joined(parts: list[bytes], count: int, encoding: str) -> msgspec.Raw:
    """The list of `count` entries that `encode_part` has made `parts` of, as a value of a message."""
    if encoding == "msgpack":
        header = b"\xdd" + count.to_bytes(4, "big")  # array 32
        return msgspec.Raw(header + b"".join(parts))
    return msgspec.Raw(b"[" + b",".join(filter(None, parts)) + b"]")


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    """The flat format: the data alone, without its mode, with its time in ISO 8601 as clocks in India show it."""
    flat = {name: value for name, value in data.items() if name != "mode"}
    stamp = flat.get("timestamp")
    if isinstance(stamp, (int, float)) and 0 <= stamp < 253_402_300_800_000:
        flat["timestamp"] = (
            datetime.fromtimestamp(stamp / 1000, UTC).astimezone(IST).isoformat(timespec="milliseconds")
        )
    return flat
