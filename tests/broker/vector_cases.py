"""How results of `tickmux.decode` are held against the vector files' expectations.

Floats agree to 1e-6, fields exactly, except that a decoder may add what an earlier frame of the same item has
told. JSON text is compared as values, its lists in any order; `*` stands for any value; the frames of one call
come in any order.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

VECTORS = Path(__file__).parent.parent / "vectors"


def load(name: str) -> dict[str, Any]:
    """The vector file of a broker or a family."""
    document: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return document


# -- incoming --------------------------------------------------------------------------------------------


def assert_incoming(item: Mapping[str, Any], line: Mapping[str, Any]) -> None:
    """The line of an incoming item says what the item expects, no more and no less."""
    assert "error" not in line, line["error"]
    ticks, expected = line["ticks"], item["expect"]
    assert len(ticks) == len(expected), f"{len(ticks)} ticks, {len(expected)} expected: {ticks}"
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for number, (tick, wanted) in enumerate(zip(ticks, expected, strict=True)):
        earlier = known.setdefault((wanted["symbol"], wanted["exchange"]), {})
        where = f"tick {number} ({wanted['symbol']} {wanted['exchange']})"
        assert_same_tick(tick, wanted, earlier, where)
        earlier |= wanted
    assert line["event"] == item.get("event")
    replies = item.get("replies", item.get("reply", []))
    assert_frames(replies, line.get("replies", []))


def assert_same_tick(
    tick: Mapping[str, Any], wanted: Mapping[str, Any], earlier: Mapping[str, Any], where: str
) -> None:
    """`tick` has the fields of `wanted`; others only if `earlier` ticks of the instrument had the same value."""
    for field, value in wanted.items():
        assert field in tick, f"{where}: {field} is missing, {value} expected"
        assert same_value(tick[field], value), f"{where}: {field} is {tick[field]}, {value} expected"
    for field in tick.keys() - wanted.keys():
        assert field in earlier, f"{where}: {field} {tick[field]} appears from nowhere"
        assert same_value(tick[field], earlier[field]), f"{where}: {field} {tick[field]} is not {earlier[field]}"


def same_value(found: Any, wanted: Any) -> bool:
    """Equality to 1e-6 for numbers, at any depth; a missing key is a difference."""
    match wanted:
        case bool() | None | str():
            return bool(found == wanted)
        case int() if isinstance(found, int):
            return found == wanted
        case int() | float():
            return isinstance(found, int | float) and math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-6)
        case dict():
            return (
                isinstance(found, dict)
                and found.keys() == wanted.keys()
                and all(same_value(found[key], value) for key, value in wanted.items())
            )
        case list():
            return isinstance(found, list) and len(found) == len(wanted) and all(map(same_value, found, wanted))
    raise TypeError(f"no such thing in a tick: {wanted!r}")


# -- outgoing --------------------------------------------------------------------------------------------


def assert_outgoing(item: Mapping[str, Any], line: Mapping[str, Any]) -> None:
    """The line of an outgoing item has the frames and the URL that the item expects."""
    assert "error" not in line, line["error"]
    compare = str(item.get("compare", ""))
    if compare.startswith("nats_connect"):
        assert_nats_connect(item, line)
    elif compare.startswith("nats_stream"):
        assert nats_stream(line["frames"]) == nats_stream(item["frames"])
    else:
        assert_frames(item.get("frames", []), line["frames"])
    if "url" in item:
        assert split_url(line["url"]) == split_url(item["url"])


def assert_frames(expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> None:
    """The same frames in any order."""
    left = list(found)
    for frame in expected:
        match = next((each for each in left if same_frame(each, frame)), None)
        assert match is not None, f"no frame {frame} among {list(found)}"
        left.remove(match)
    assert not left, f"frames that are not expected: {left}"


def same_frame(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    if "hex" in wanted:
        return str(found.get("hex", "")) == wanted["hex"].lower()
    if "http" in wanted:
        return "http" in found and same_request(found["http"], wanted["http"])
    if "ws" in wanted:
        return "ws" in found and split_url(found["ws"]["url"]) == split_url(wanted["ws"]["url"])
    if "text" not in found or found.get("opcode") != wanted.get("opcode"):
        return False
    try:
        meant = json.loads(wanted["text"])
    except ValueError:
        return bool(found["text"] == wanted["text"])
    try:
        return same_json(json.loads(found["text"]), meant)
    except ValueError:
        return False


def same_request(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    headers = {name.lower(): value for name, value in found["headers"].items()}
    return (
        found["method"] == wanted["method"]
        and split_url(found["url"]) == split_url(wanted["url"])
        and all(headers.get(name.lower()) == value for name, value in wanted.get("headers", {}).items())
        and same_json(found.get("json"), wanted.get("json"))
    )


def same_json(found: Any, wanted: Any) -> bool:
    """Equal values; lists in any order, `*` anything that is not empty."""
    if wanted == "*":
        return found not in (None, "", [], {})
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and found.keys() == wanted.keys()
            and all(same_json(found[key], value) for key, value in wanted.items())
        )
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return False
        left = list(found)
        for value in wanted:
            match = next((number for number, each in enumerate(left) if same_json(each, value)), None)
            if match is None:
                return False
            del left[match]
        return True
    return type(found) is type(wanted) and bool(found == wanted)


def split_url(url: str) -> tuple[Any, ...]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc, parts.path, sorted(parse_qsl(parts.query, keep_blank_values=True))


def nats_stream(frames: Sequence[Mapping[str, str]]) -> list[str]:
    """The lines that the frames make up, without PING; runs of spaces count as one."""
    data = b"".join(bytes.fromhex(frame["hex"]) if "hex" in frame else frame["text"].encode() for frame in frames)
    assert data.endswith(b"\r\n"), data
    return [" ".join(line.split()) for line in data.decode().split("\r\n")[:-1] if line != "PING"]


def assert_nats_connect(item: Mapping[str, Any], line: Mapping[str, Any]) -> None:
    (wanted,), (found,) = nats_stream(item["frames"]), nats_stream(line["frames"])
    assert found.startswith("CONNECT ")
    meant, said = (json.loads(text.removeprefix("CONNECT ")) for text in (wanted, found))
    assert {key: said.get(key) for key in ("jwt", "verbose", "pedantic", "protocol")} == {
        key: meant[key] for key in ("jwt", "verbose", "pedantic", "protocol")
    }
    assert said["sig"].translate(str.maketrans("-_", "+/")).rstrip("=") == meant["sig"].rstrip("=")
