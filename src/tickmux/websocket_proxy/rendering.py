"""A topic's payload as one lane's frame; pure. Anything but the default is rendered once per lane, not per client."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from tickmux.login import IST
from tickmux.websocket_proxy.frames import binary_frame, spliced_text_frame, text_frame
from tickmux.websocket_proxy.subscription_index import LaneKey, Topic

_decode = msgspec.json.Decoder().decode
_encode_json = msgspec.json.encode
_encode_msgpack = msgspec.msgpack.encode


def render(topic: Topic[Any], lane: LaneKey, payload: bytes, count: int, *, snapshot: bool = False) -> bytes:
    """The frame that shows `payload` to a lane; `count` is the payload's number within its topic."""
    plain = lane.format == "envelope" and lane.encoding == "json"
    if plain and not lane.sequence and not snapshot:
        return spliced_text_frame(topic.prefix, payload)
    marks = {**({"seq": count} if lane.sequence else {}), **({"snapshot": True} if snapshot else {})}
    if plain:
        tail = _encode_json(marks)[1:-1]
        return spliced_text_frame(topic.prefix, b"".join((payload, b",", tail)))
    data = _decode(payload)
    message = (
        {**_flat(data), **marks}
        if lane.format == "flat"
        else {**_decode(topic.prefix + b"0}"), "data": data, **marks}
    )
    return encode_frame(message, lane.encoding)


def encode_frame(message: object, encoding: str) -> bytes:
    """Any message as a frame of the client's encoding: JSON in a text frame, or msgpack in a binary one."""
    if encoding == "msgpack":
        return binary_frame(_encode_msgpack(message))
    return text_frame(_encode_json(message))


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    """The flat format: the data alone, without its mode, with its time in ISO 8601 as clocks in India show it."""
    flat = {name: value for name, value in data.items() if name != "mode"}
    stamp = flat.get("timestamp")
    if isinstance(stamp, (int, float)) and 0 <= stamp < 253_402_300_800_000:
        flat["timestamp"] = (
            datetime.fromtimestamp(stamp / 1000, UTC).astimezone(IST).isoformat(timespec="milliseconds")
        )
    return flat
