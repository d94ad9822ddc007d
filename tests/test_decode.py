"""`tickmux decode`: documents in, lines out, and what it does with bad ones."""

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import tickmux.decode
from tickmux.capture import CaptureError, read_document, read_frame_lines, read_instruments
from tickmux.cli.decode import decode
from tickmux.codec import BinaryText, Credentials, Decoded, Event, FeedCodec, Frame, HttpRequest
from tickmux.decode import decode_document
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter, Channel, Endpoint, Stream
from tickmux.websocket_proxy.broker_factory import UnknownBroker

VECTORS = Path(__file__).parent / "vectors"
SBIN = {"symbol": "SBIN", "exchange": "NSE", "token": "1"}
INFY = {"symbol": "INFY", "exchange": "NSE", "token": 2}
NIFTY = {"symbol": "NIFTY", "exchange": "NSE_INDEX", "token": "3"}
UNNAMED = {"symbol": "NOWHERE", "exchange": "MCX", "token": "none"}


class WordCodec(FeedCodec):
    """Every frame is words. Incoming text `<token> <price>…` is a tick for each pair."""

    def __init__(self, channel: str) -> None:
        super().__init__()
        self.channel = channel
        self.user = "nobody"

    def wire_key(self, instrument: Instrument) -> Hashable:
        return int(instrument.token)

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [f"{self.channel} {self.user} + {kind} {self._names(instruments)}"]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [f"{self.channel} {self.user} - {kind} {self._names(instruments)}"]

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        self.user = credentials["user"]
        return [] if self.channel == "silent" else [f"hello {self.user}"]

    def heartbeat_frames(self) -> list[Frame]:
        return [b"\x00\xff", BinaryText(b"beat")]

    def close_frames(self) -> list[Frame]:
        return [HttpRequest("DELETE", "/session"), HttpRequest("PUT", "http://else/x", {"A": "1"}, {"b": [1]})]

    def call_frames(self, call: Mapping[str, Any]) -> list[Frame]:
        if call["op"] == "boast":
            return [f"{call['word']} {self._names(call['instruments'])}"]
        return super().call_frames(call)

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, bytes):
            return Decoded(event=Event.HEARTBEAT, replies=[frame[::-1]])
        if frame == "!":
            return Decoded(event=Event.MALFORMED)
        if frame == "kinds":
            return Decoded(message="", ticks=[self._tick(each, len(kind)) for each, kind in self.kinds.items()])
        words = frame.split()
        pairs = zip(words[::2], words[1::2], strict=True)
        return Decoded(ticks=[self._tick(self.routes[int(key)], float(price)) for key, price in pairs])

    def _tick(self, instrument: Instrument, price: float) -> Tick:
        return Tick(instrument=instrument, mode=Mode.LTP, ltp=price)

    def _names(self, instruments: Sequence[Instrument]) -> str:
        return ",".join(instrument.symbol for instrument in instruments)


class WordAdapter(BaseBrokerWebSocketAdapter):
    """`main` carries `l`, `q`, `dd` (5 levels) and `ddd` (20); 50 levels come over `deep` beside `q`."""

    name = "words"
    exchanges = ("NSE", "NSE_INDEX")
    default_urls = {"feed": "ws://feed.test/"}
    channels = {name: Channel(symbols=10, connections=1, batch=2) for name in ("main", "deep", "silent")}

    def depth_levels(self, exchange: str) -> tuple[int, ...]:
        return () if exchange == "NSE_INDEX" else (5, 20, 50)

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        if instrument.exchange == "NSE_INDEX":
            return (Stream("main", "q"),)
        if mode is not Mode.DEPTH:
            return (Stream("main", "lq"[mode - 1]), Stream("silent", "s"))
        return {
            5: (Stream("main", "dd"),),
            20: (Stream("main", "ddd"),),
            50: (Stream("main", "q"), Stream("deep", "dddd")),
        }[depth]

    def codec(self, channel: str) -> FeedCodec:
        return WordCodec(channel)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        if credentials.get("user") == "asks":
            await http.get("http://broker.test/where")
        return Endpoint(f"{self.urls['feed']}?user={credentials['user']}", rest_base="http://rest.test/api")


@pytest.fixture(autouse=True)
def words_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    real = tickmux.decode.load_broker

    class Words:
        adapter = WordAdapter

    monkeypatch.setattr(tickmux.decode, "load_broker", lambda name: Words if name == "words" else real(name))


def document(**parts: Any) -> dict[str, Any]:
    return {"broker": "words", "instruments": [SBIN, INFY, NIFTY, UNNAMED], **parts}


def lines(**parts: Any) -> list[dict[str, Any]]:
    return list(decode_document(document(**parts)))


def sent(call: dict[str, Any], *, extra: Mapping[str, Any] | None = None, **item: Any) -> dict[str, Any]:
    (line,) = decode_document(document(outgoing=[{"name": "x", "call": call, **item}], **(extra or {})))
    assert line.pop("name") == "x"
    return line


def texts(call: dict[str, Any], **item: Any) -> list[str]:
    line = sent(call, **item)
    assert "error" not in line, line["error"]
    return [frame["text"] for frame in line["frames"]]


def call(op: str, *symbols: str, **more: Any) -> dict[str, Any]:
    names = [[symbol, "NSE_INDEX" if symbol == "NIFTY" else "NSE"] for symbol in symbols]
    return {"op": op, "instruments": names, **more}


# -- incoming --------------------------------------------------------------------------------------------


def test_an_items_ticks_and_replies_make_one_line() -> None:
    (line,) = lines(incoming=[{"name": "a", "frames": [{"text": "1 10.5 2 20"}, {"hex": "0A0b"}, {"text": "3 7"}]}])
    assert line == {
        "name": "a",
        "ticks": [
            {"symbol": "SBIN", "exchange": "NSE", "mode": "LTP", "ltp": 10.5},
            {"symbol": "INFY", "exchange": "NSE", "mode": "LTP", "ltp": 20.0},
            {"symbol": "NIFTY", "exchange": "NSE_INDEX", "mode": "LTP", "ltp": 7.0},
        ],
        "event": None,
        "replies": [{"hex": "0b0a"}],
    }


def test_an_event_is_told_without_ticks_or_where_it_is_trouble() -> None:
    def event(*frames: dict[str, str]) -> str | None:
        (line,) = lines(incoming=[{"frames": list(frames)}])
        found: str | None = line["event"]
        return found

    beat, tick, trouble = {"hex": "00"}, {"text": "1 5"}, {"text": "!"}
    assert event(beat) == event({"text": ""}, beat) == "heartbeat"
    assert event(beat, tick) is event(tick, beat) is None
    assert event(trouble, tick) == event(tick, trouble, beat) == "malformed"
    assert event({"text": ""}) is None


def subscribed(item: Mapping[str, Any]) -> dict[str, int]:
    """Symbol -> length of its kind's name, which the codec reports as a price."""
    (line,) = lines(incoming=[{**item, "frames": [{"text": "kinds"}]}])
    return {tick["symbol"]: int(tick["ltp"]) for tick in line["ticks"]}


def test_everything_is_subscribed_in_the_greatest_depth_that_the_channel_serves_alone() -> None:
    assert subscribed({}) == {"SBIN": 3, "INFY": 3, "NIFTY": 1}
    assert subscribed({"channel": "deep"}) == {"SBIN": 4, "INFY": 4}
    assert subscribed({"feed": "deep"}) == {"SBIN": 4, "INFY": 4}


def test_an_item_may_say_what_is_subscribed() -> None:
    assert subscribed({"mode": "depth", "depth_level": 5}) == {"SBIN": 2, "INFY": 2, "NIFTY": 1}
    assert subscribed({"mode": 2, "instruments": [["SBIN", "NSE"]]}) == {"SBIN": 1}


def test_items_have_a_codec_each_unless_the_capture_is_continuous() -> None:
    incoming = [{"text": "1 1"}, {"text": "2 2"}]
    assert [line["name"] for line in lines(incoming=incoming)] == ["0", "1"]
    made: list[str] = []
    original = WordAdapter.codec
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WordAdapter, "codec", lambda self, name: made.append(name) or original(self, name))
        lines(incoming=incoming)
        assert len(made) == 2
        lines(incoming=incoming, continuous=True)
        assert len(made) == 3


def test_a_codec_that_fails_costs_its_frame_and_is_named() -> None:
    (line,) = lines(incoming=[{"name": "a", "frames": [{"text": "1"}, {"text": "9 1"}, {"text": "1 5"}]}])
    assert [tick["ltp"] for tick in line["ticks"]] == [5.0]
    assert line["event"] == "malformed"
    assert line["error"].startswith("frame 0: ValueError")
    assert "frame 1: KeyError: 9" in line["error"]


# -- outgoing --------------------------------------------------------------------------------------------


def test_subscriptions_are_sent_by_kind_in_batches_without_what_the_channel_cannot_serve() -> None:
    assert texts(call("subscribe", "SBIN", "NIFTY", "INFY", mode="LTP")) == [
        "main nobody + l SBIN,INFY",
        "main nobody + q NIFTY",
    ]
    assert texts(call("subscribe", "SBIN", "NIFTY", "INFY", mode="QUOTE")) == [
        "main nobody + q SBIN,NIFTY",
        "main nobody + q INFY",
    ]
    assert texts({"op": "subscribe", "mode": "LTP", "instruments": [["NOWHERE", "MCX"]]}) == []


@pytest.mark.parametrize(
    ("more", "channel", "kind"),
    [
        ({"mode": "DEPTH"}, "main", "dd"),
        ({"mode": "depth", "depth_level": 20}, "main", "ddd"),
        ({"mode": 3, "depth_level": 30}, "main", "ddd"),
        ({"mode": 3, "depth": 50}, "main", "q"),
        ({"mode": "DEPTH", "depth_level": 50}, "deep", "dddd"),
        ({"mode": "DEPTH"}, "deep", "dddd"),
        ({}, "main", "q"),
    ],
)
def test_mode_and_depth_choose_the_stream_of_the_channel(more: dict[str, Any], channel: str, kind: str) -> None:
    assert texts(call("subscribe", "SBIN", **more), channel=channel) == [f"{channel} nobody + {kind} SBIN"]


def test_a_book_of_its_own_socket_is_meant_where_the_item_names_none() -> None:
    assert texts(call("subscribe", "SBIN", mode="DEPTH", depth_level=50)) == ["deep nobody + dddd SBIN"]
    assert texts(call("subscribe", "SBIN", mode="DEPTH", depth_level=20)) == ["main nobody + ddd SBIN"]


def test_what_is_given_up_was_subscribed_before_unseen() -> None:
    assert texts(call("unsubscribe", "SBIN", mode="QUOTE")) == ["main nobody - q SBIN"]
    assert texts(call("unsubscribe", "SBIN")) == ["main nobody - dd SBIN"]
    assert texts(call("unsubscribe", "SBIN", mode="DEPTH", depth_level=20)) == ["main nobody - ddd SBIN"]


@pytest.mark.parametrize("op", ["set_mode", "change_mode"])
@pytest.mark.parametrize("key", ["mode", "to"])
def test_a_change_of_mode_is_sent_only_where_the_kind_differs(op: str, key: str) -> None:
    assert texts(call(op, "SBIN", "NIFTY", **{"from": "LTP", key: "DEPTH"})) == [
        "main nobody + dd SBIN",
        "main nobody - l SBIN",
    ]
    assert texts(call(op, "SBIN", **{"from": "DEPTH", key: "QUOTE", "depth_level": 20})) == [
        "main nobody + q SBIN",
        "main nobody - ddd SBIN",
    ]


@pytest.mark.parametrize(
    "earlier",
    [
        {"before": [call("subscribe", "SBIN", mode="QUOTE")]},
        {"before": {"name": "first", "call": call("subscribe", "SBIN", mode="QUOTE")}},
        {"after": "subscribe QUOTE [SBIN NSE] as the first call"},
    ],
)
def test_earlier_calls_are_made_first_and_not_shown(earlier: dict[str, Any]) -> None:
    assert texts(call("subscribe", "SBIN", mode="QUOTE"), **earlier) == []
    assert texts(call("subscribe", "SBIN", mode="LTP"), **earlier) == []
    raised = ["main nobody + dd SBIN", "main nobody - q SBIN"]
    assert texts(call("subscribe", "SBIN", mode="DEPTH"), **earlier) == raised
    assert texts(call("unsubscribe", "SBIN", mode="QUOTE"), **earlier) == ["main nobody - q SBIN"]


def test_a_mode_that_is_given_up_leaves_the_lower_one() -> None:
    earlier = "subscribe QUOTE [SBIN NSE, INFY NSE], then subscribe DEPTH [SBIN NSE]"
    lowered = ["main nobody + q SBIN", "main nobody - dd SBIN"]
    assert texts(call("unsubscribe", "SBIN", mode="DEPTH"), after=earlier) == lowered


def test_what_a_call_says_beside_its_instruments_reaches_the_codec_as_credentials() -> None:
    assert texts(call("subscribe", "SBIN", user="ann")) == ["main ann + q SBIN"]
    assert texts(call("subscribe", "SBIN", credentials={"user": "ann"})) == ["main ann + q SBIN"]
    assert sent(call("subscribe", "SBIN"), extra={"user": "ann"})["frames"] == [{"text": "main ann + q SBIN"}]
    assert texts({"op": "connect", "user": 5}) == ["hello 5"]
    assert texts({"op": "open", "credentials": {"user": "ann"}}) == ["hello ann"]


def test_frames_are_written_as_text_hex_or_request() -> None:
    assert sent({"op": "ping"}) == {"frames": [{"hex": "00ff"}, {"text": "beat", "opcode": "binary"}]}
    assert sent({"op": "heartbeat"}) == sent({"op": "ping"})
    expected = [
        {"http": {"method": "DELETE", "url": "http://rest.test/api/session", "headers": {}}},
        {
            "http": {
                "method": "PUT",
                "url": "http://else/x",
                "headers": {"Content-Type": "application/json", "A": "1"},
                "json": {"b": [1]},
            }
        },
    ]
    assert sent({"op": "close"}) == {"frames": expected}
    assert sent({"op": "disconnect"}) == {"frames": expected}


def test_a_connection_without_an_opening_frame_shows_its_address() -> None:
    connect = {"op": "connect", "credentials": {"user": "ann"}}
    assert sent(connect, channel="silent") == {"frames": [], "url": "ws://feed.test/?user=ann"}
    written = sent(connect, channel="silent", extra={"format": {"ws": "handshake URL"}})
    assert written == {"frames": [{"ws": {"url": "ws://feed.test/?user=ann"}}]}


def test_an_address_that_only_the_broker_knows_is_not_shown_and_nobody_is_asked() -> None:
    assert sent({"op": "connect", "user": "asks"}, channel="silent") == {"frames": []}


def test_other_operations_are_the_codecs_own() -> None:
    assert texts(call("boast", "SBIN", word="best")) == ["best SBIN"]
    line = sent({"op": "dance"})
    assert line["frames"] == []
    assert "dance" in line["error"]


def test_a_call_that_fails_is_named_and_the_next_one_is_made() -> None:
    bad = {"name": "bad", "call": {"op": "subscribe", "instruments": [["TCS", "NSE"]]}}
    worse = {"name": "worse", "call": {"op": "connect"}}
    first, second, third = lines(outgoing=[bad, worse, {"name": "good", "call": call("subscribe", "SBIN")}])
    assert "TCS on NSE" in first["error"]
    assert "log in again" in second["error"]
    assert third == {"name": "good", "frames": [{"text": "main nobody + q SBIN"}]}


# -- documents that are none -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"broker": None}, "no `broker`"),
        ({"broker": 5}, "no `broker`"),
        ({"instruments": None}, "`instruments` is not a list"),
        ({"instruments": ["SBIN"]}, r"instruments\[0\] is not an object"),
        ({"instruments": [{"symbol": "SBIN", "exchange": "NSE"}]}, r"instruments\[0\] has no `token`"),
        ({"instruments": [{"symbol": 5, "exchange": "NSE", "token": "1"}]}, r"instruments\[0\]: "),
        ({"incoming": {}}, "`incoming` is not a list"),
        ({"incoming": [5]}, r"incoming\[0\] is not an object"),
        ({"incoming": [{"frames": "00"}]}, "`frames` is not a list"),
        ({"incoming": [{"frames": [{}]}]}, r"incoming\[0\]: frame 0 has neither"),
        ({"incoming": [{"frames": [{"hex": "0"}]}]}, "pairs of hexadecimal digits"),
        ({"incoming": [{"frames": [{"text": 5}]}]}, "neither `hex` nor `text`"),
        ({"incoming": [{"name": "lost"}]}, "neither `hex` nor `text`"),
        ({"incoming": [{"frames": [], "channel": "moon"}]}, "no channel 'moon', only main, deep, silent"),
        ({"incoming": [{"frames": [], "channel": ["main"]}]}, "no channel"),
        ({"outgoing": [{"name": "x"}]}, r"outgoing\[0\] has no `call`"),
        ({"outgoing": [{"call": {"op": 1}}]}, "no `call` with an `op`"),
    ],
)
def test_a_bad_document_is_refused_before_any_line(parts: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CaptureError, match=complaint):
        decode_document(document(**parts))


@pytest.mark.parametrize("broker", ["nosuch", "_nosuch", "_index", "../zerodha", "_os.path"])
def test_a_broker_that_does_not_exist_is_named(broker: str) -> None:
    with pytest.raises(UnknownBroker, match="no broker is called"):
        decode_document(document(broker=broker))


@pytest.mark.parametrize("data", [b"", b"[]", b"5", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_json_object_is_no_document(data: bytes) -> None:
    with pytest.raises(CaptureError):
        read_document(data)


KEYS = [
    "name", "frames", "hex", "text", "channel", "mode", "depth_level", "before", "call", "op",
    "instruments", "from", "credentials", "symbol", "exchange", "token",
]  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["subscribe", "DEPTH", "00ff"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=200)
@given(ANYTHING, ANYTHING, ANYTHING)
def test_any_document_is_read_or_refused(instruments: object, incoming: object, outgoing: object) -> None:
    rows = instruments if isinstance(instruments, list) else [SBIN]
    for parts in ({"incoming": incoming}, {"outgoing": outgoing}, {"incoming": [{"frames": incoming}]}):
        try:
            found = lines(**{"instruments": rows, **parts})
        except CaptureError:
            continue
        assert all(isinstance(line["name"], str) for line in found)


def test_instrument_rows_are_a_json_array_or_json_lines() -> None:
    assert read_instruments(b'[{"token":"1"},{"token":"2"}]') == [{"token": "1"}, {"token": "2"}]
    assert read_instruments(b'{"token":"1"}\n{"token":"2"}\n') == [{"token": "1"}, {"token": "2"}]
    with pytest.raises(CaptureError, match="JSON lines"):
        read_instruments(b"token,symbol\n")


def test_plain_lines_are_binary_when_they_are_hexadecimal() -> None:
    text = '00 ff\n{"type":"order"}\n\nhex:0a0b\ntext:beef\nbeef\nabc\n'
    assert read_frame_lines(text) == [
        {"hex": "00 ff"},
        {"text": '{"type":"order"}'},
        {"hex": "0a0b"},
        {"text": "beef"},
        {"hex": "beef"},
        {"text": "abc"},
    ]


# -- the command -----------------------------------------------------------------------------------------

ZERODHA_ROW = '{"symbol":"SBIN","exchange":"NSE","token":"779521"}\n'
ZERODHA_TICK = {"symbol": "SBIN", "exchange": "NSE", "mode": "LTP", "ltp": 812.35}
application = typer.Typer()
application.command()(decode)


def run(*arguments: str | Path, stdin: str = "") -> tuple[int, list[dict[str, Any]], str]:
    result = CliRunner().invoke(application, [str(each) for each in arguments], input=stdin)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_the_command_prints_a_line_for_each_item_of_a_vector_file() -> None:
    code, found, complaints = run(VECTORS / "zerodha.json")
    expected = json.loads((VECTORS / "zerodha.json").read_text())
    assert (code, complaints) == (0, "")
    assert [line["name"] for line in found] == [item["name"] for item in expected["incoming"] + expected["outgoing"]]
    assert found[0] == {"name": expected["incoming"][0]["name"], "ticks": [ZERODHA_TICK], "event": None}


def test_the_command_decodes_lines_of_a_users_own_capture(tmp_path: Path) -> None:
    (rows := tmp_path / "rows.jsonl").write_text(ZERODHA_ROW)
    (frames := tmp_path / "frames.txt").write_text(
        '00\n00010008000be50100013d53\n{"type":"order","data":{"order_id":"7"}}\n'
    )
    code, found, _ = run("--broker", "zerodha", "--instruments", rows, frames)
    assert code == 0
    assert [(line["name"], line["ticks"], line["event"]) for line in found] == [
        ("0", [], "heartbeat"),
        ("1", [ZERODHA_TICK], None),
        ("2", [], "order"),
    ]
    _, from_stdin, _ = run(
        "--broker", "zerodha", "--instruments", rows, "-", stdin='{"type":"order","data":{"order_id":"7"}}'
    )
    assert [(line["event"], line["orders"]) for line in from_stdin] == [("order", [{"orderid": "7"}])]


def test_options_complete_a_document(tmp_path: Path) -> None:
    (rows := tmp_path / "rows.json").write_text(f"[{ZERODHA_ROW}]")
    (capture := tmp_path / "capture.json").write_text('{"incoming":[{"hex":"00010008000be50100013d53"}]}')
    code, found, _ = run(capture, "--broker", "zerodha", "--instruments", rows, "--channel", "main")
    assert (code, found) == (0, [{"name": "0", "ticks": [ZERODHA_TICK], "event": None}])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        ("not json", "not a JSON document"),
        ('{"instruments":[],"incoming":[]}', "no `broker`"),
        ('{"broker":"zerotha","instruments":[],"incoming":[]}', "did you mean zerodha"),
        ('{"broker":"zerodha","instruments":[],"incoming":[{"frames":[{"hex":"xyz"}]}]}', "hexadecimal"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, content: str | None, complaint: str) -> None:
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(content)
    code, found, complaints = run(path)
    assert (code, found) == (2, [])
    assert complaint in complaints
    assert complaints.count("\n") == 1


def test_a_folder_is_bad_input_too(tmp_path: Path) -> None:
    code, found, complaints = run(tmp_path)
    assert (code, found, complaints.count("\n")) == (2, [], 1)
