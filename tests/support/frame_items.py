"""Frames and calls whose meaning a test states itself, run through `tickmux.decode` as a vector file is.

Stricter than the vector files: a tick has exactly the fields that are expected, in every frame.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from broker import vector_cases
from tickmux.decode import decode_document

Tick = dict[str, Any]


class Item(NamedTuple):
    """Frames in, in order, for a fresh codec with everything subscribed; `event` is the last that counts."""

    name: str
    frames: Sequence[bytes | str]
    expect: Sequence[Tick]
    event: str | None = None
    channel: str = ""

    def check(self, broker: str, instruments: Sequence[Mapping[str, str]]) -> None:
        frames = [{"text": each} if isinstance(each, str) else {"hex": each.hex()} for each in self.frames]
        item = {"name": self.name, "frames": frames} | ({"channel": self.channel} if self.channel else {})
        (line,) = decode_document({"broker": broker, "instruments": list(instruments), "incoming": [item]})
        assert "error" not in line, line["error"]
        assert [tick.keys() for tick in line["ticks"]] == [tick.keys() for tick in self.expect], line["ticks"]
        assert vector_cases.same_value(line["ticks"], list(self.expect)), line["ticks"]
        assert line["event"] == self.event


class Call(NamedTuple):
    """A call and the JSON that it sends, a text of its own where it is none; `url` where it says where to connect."""

    name: str
    call: Mapping[str, Any]
    sends: Sequence[Any] = ()
    url: str = ""
    channel: str = ""

    def check(self, broker: str, instruments: Sequence[Mapping[str, str]]) -> None:
        item = {"name": self.name, "call": self.call} | ({"channel": self.channel} if self.channel else {})
        (line,) = decode_document({"broker": broker, "instruments": list(instruments), "outgoing": [item]})
        assert "error" not in line, line["error"]
        texts = [frame["text"] for frame in line["frames"]]
        assert [json.loads(text) if text[:1] == "{" else text for text in texts] == list(self.sends)
        assert vector_cases.split_url(line.get("url", "")) == vector_cases.split_url(self.url)
