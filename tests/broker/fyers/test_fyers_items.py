"""Frames and calls in the manner of the shared vectors, worked out from FYERS' specification alone."""

import json
from typing import Any

import pytest

from broker import vector_cases
from tickmux.decode import decode_document
from tickmux.simulator.fyers import wire as wire

ROWS = {row["symbol"]: row for row in vector_cases.load("fyers")["instruments"]}
NONE = -2147483648
TIME = 1754453723
NAMES = (
    "ltp", "volume", "ltt", "timestamp", "bid_size", "ask_size", "bid", "ask", "last_trade_quantity", "buy", "sell",
    "average", "oi", "low", "high", "year_high", "year_low", "lower", "upper", "open", "close",
)  # fmt: skip


def tick(symbol: str, mode: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "exchange": ROWS[symbol]["exchange"], "mode": mode, **fields}


def quote(**values: int) -> list[int]:
    """The 21 values of an `sf` topic; what is not named is not available."""
    assert values.keys() <= set(NAMES)
    return [values.get(name, NONE) for name in NAMES]


def snap(topic_id: int, topic: str, values: list[int], multiplier: int = 1, precision: int = 2) -> bytes:
    return wire.snapshot_item(topic_id, topic, values, multiplier, precision, ("seg", "tok", "A WHOLLY OTHER NAME"))


def data(*items: bytes, number: int = 1) -> bytes:
    return wire.data_frame(number, items)


def item(name: str, frames: list[bytes | str], *expect: dict[str, Any], **more: Any) -> dict[str, Any]:
    shown = [{"text": frame} if isinstance(frame, str) else {"hex": frame.hex()} for frame in frames]
    return {"name": name, "feed": "hsm", "frames": shown, "expect": list(expect), **more}


SBIN, FUTURE, PUT, USDINR = "sf|nse_cm|3045", "sf|nse_fo|53216", "sf|bse_fo|1104523", "sf|cde_fo|1185"
BOOK = "dp|nse_cm|3045"
ACCEPTED = wire.response(1, (1, b"K"), (2, b"\x02"))


def book(prices: list[int], sizes: list[int], orders: list[int]) -> list[int]:
    """A `dp` topic's values: both sides of each list one after the other, five and five."""
    return [*prices, *sizes, *orders]


FULL_BOOK = book(
    [10000, 9995, 9990, 9985, 9980, 10005, 10010, 10015, 10020, 10025],
    [10, 20, 30, 40, 50, 60, 70, 80, 90, 100],
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
)


def side(*levels: tuple[float, int, int]) -> list[dict[str, Any]]:
    return [{"price": price, "quantity": size, "orders": orders} for price, size, orders in levels]


BUY = ((100.0, 10, 1), (99.95, 20, 2), (99.9, 30, 3), (99.85, 40, 4), (99.8, 50, 5))
SELL = ((100.05, 60, 6), (100.1, 70, 7), (100.15, 80, 8), (100.2, 90, 9), (100.25, 100, 10))

HSM = [
    item("the acknowledgement interval may have any length", [
        wire.response(1, (1, b"K"), (2, b"\x00\x00\x00\x00\x00\x01"), (3, b'{"sf":[]}')),
        data(snap(1, SBIN, quote(ltp=81235)), number=77),
    ], tick("SBIN", "QUOTE", ltp=812.35), replies=[{"hex": "0009" "03" "01" "01" "0004" "0000004d"}]),
    item("acknowledgements count data frames alone, from the last one", [
        ACCEPTED, data(number=5), wire.response(9), data(number=6), data(number=7), wire.response(4, (1, b"K")),
        data(number=8),
    ], event="ack", replies=[{"hex": "00090301010004" "00000006"}, {"hex": "00090301010004" "00000008"}]),
    item("no interval, no acknowledgement", [wire.response(1, (1, b"K")), data(number=1), data(number=2)],
         event="ack"),
    item("every status but K refuses", [
        wire.response(kind, (1, b"N")) for kind in (5, 7, 8, 12)], event="error"),
    item("BSE option: open interest, no circuits that are not positive", [data(snap(65535, PUT, quote(
        ltp=51240, oi=0, lower=0, upper=-1, ltt=0, timestamp=TIME, volume=0, buy=20, sell=0, close=50000)))],
         tick("SENSEX28AUG2581000PE", "QUOTE", ltp=512.4, oi=0, timestamp=TIME * 1000, volume=0,
              total_buy_quantity=20, total_sell_quantity=0, close=500.0)),
    item("cash: the open interest field means nothing", [data(snap(1, SBIN, quote(ltp=81235, oi=4)))],
         tick("SBIN", "QUOTE", ltp=812.35)),
    item("currency keeps its four decimals over updates", [
        data(snap(3, USDINR, quote(ltp=876425, close=875875), 100, 2)),
        data(wire.update_item(3, quote(ltp=876450))), data(wire.lite_item(3, 876475))],
         tick("USDINR27AUG25FUT", "QUOTE", ltp=87.6425, close=87.5875),
         tick("USDINR27AUG25FUT", "QUOTE", ltp=87.645, close=87.5875),
         tick("USDINR27AUG25FUT", "QUOTE", ltp=87.6475, close=87.5875)),
    item("precision alone makes a scale, too", [data(snap(3, USDINR, quote(ltp=876425), 1, 4))],
         tick("USDINR27AUG25FUT", "QUOTE", ltp=87.6425)),
    item("a second snapshot forgets what the first one said, and takes its own scale", [
        data(snap(7, SBIN, quote(ltp=81235, volume=9, high=81500))), data(snap(7, SBIN, quote(ltp=8123600), 100)),
        data(wire.update_item(7, quote(ltp=8123700)))],
         tick("SBIN", "QUOTE", ltp=812.35, volume=9, high=815.0), tick("SBIN", "QUOTE", ltp=812.36),
         tick("SBIN", "QUOTE", ltp=812.37)),
    item("a topic id passes to another topic", [
        data(snap(7, SBIN, quote(ltp=81235))), data(snap(7, FUTURE, quote(ltp=2471280))),
        data(wire.update_item(7, quote(ltp=2471300)))],
         tick("SBIN", "QUOTE", ltp=812.35), tick("NIFTY28AUG25FUT", "QUOTE", ltp=24712.8),
         tick("NIFTY28AUG25FUT", "QUOTE", ltp=24713.0)),
    item("an update before any snapshot is passed over", [
        data(wire.update_item(7, quote(ltp=1)), wire.lite_item(7, 2), snap(7, SBIN, quote(ltp=81235)))],
         tick("SBIN", "QUOTE", ltp=812.35)),
    item("a snapshot and its updates of what is not subscribed are read over", [
        data(snap(1, "sf|nse_cm|1594", quote(ltp=150000)), snap(2, "sf|bse_cm|3045", quote(ltp=5)),
             snap(3, SBIN, quote(ltp=81235)), wire.update_item(1, quote(ltp=1)),
             wire.update_item(3, quote(ltp=81240)))],
         tick("SBIN", "QUOTE", ltp=812.35), tick("SBIN", "QUOTE", ltp=812.4)),
    item("index of BSE: six values, nothing is zero; more values are ignored", [
        data(snap(4, "if|bse_cm|SENSEX", [8123450, 8100025, TIME, 0, NONE, 8110000, 5, 6]))],
         tick("SENSEX", "QUOTE", ltp=81234.5, close=81000.25, timestamp=TIME * 1000, open=81100.0)),
    item("an index update of two values", [
        data(snap(4, "if|nse_cm|Nifty 50", [2459615, 2464955, TIME, 2464920, 2452490, 2459605])),
        data(wire.update_item(4, [2459740, NONE]))],
         tick("NIFTY", "QUOTE", ltp=24596.15, close=24649.55, timestamp=TIME * 1000, high=24649.2, low=24524.9,
              open=24596.05),
         tick("NIFTY", "QUOTE", ltp=24597.4, close=24649.55, timestamp=TIME * 1000, high=24649.2, low=24524.9,
              open=24596.05)),
    item("a book loses a side, level by level, and gets it back", [
        data(snap(5, BOOK, FULL_BOOK)),
        data(wire.update_item(5, book([NONE] * 10, [0, 0, 0, 0, 0, *[NONE] * 5], [NONE] * 10))),
        data(wire.update_item(5, book([9970, *[NONE] * 9], [7, *[NONE] * 9], [0, *[NONE] * 9])))],
         tick("SBIN", "DEPTH", depth={"buy": side(*BUY), "sell": side(*SELL)}),
         tick("SBIN", "DEPTH", depth={"buy": [], "sell": side(*SELL)}),
         tick("SBIN", "DEPTH", depth={"buy": side((99.7, 7, 0)), "sell": side(*SELL)})),
    item("a book without any level keeps its two empty lists", [data(snap(5, BOOK, [0] * 30))],
         tick("SBIN", "DEPTH", depth={"buy": [], "sell": []})),
    item("quote and book of one instrument are told apart", [
        data(snap(5, BOOK, FULL_BOOK), snap(6, SBIN, quote(ltp=81235)), wire.update_item(5, [10001]))],
         tick("SBIN", "DEPTH", depth={"buy": side(*BUY), "sell": side(*SELL)}), tick("SBIN", "QUOTE", ltp=812.35),
         tick("SBIN", "DEPTH", depth={"buy": side((100.01, 10, 1), *BUY[1:]), "sell": side(*SELL)})),
    item("an unknown item ends the frame, the next frame is read", [
        data(snap(6, SBIN, quote(ltp=81235)), b"\x5a\x00\x01", wire.lite_item(6, 81300)),
        data(wire.lite_item(6, 81240))],
         tick("SBIN", "QUOTE", ltp=812.35), tick("SBIN", "QUOTE", ltp=812.4)),
    item("an update that is cut does not count in part", [
        data(snap(6, SBIN, quote(ltp=81235))), data(wire.update_item(6, quote(ltp=81240)))[:-3],
        data(wire.update_item(6, quote(volume=5)))],
         tick("SBIN", "QUOTE", ltp=812.35), tick("SBIN", "QUOTE", ltp=812.35, volume=5), event="malformed"),
    item("a snapshot that is cut in its last text", [data(snap(6, SBIN, quote(ltp=81235)))[:-1]], event="malformed"),
    item("frames without type or header", [b"", b"\x00\x01", bytes.fromhex("000506000000")], event="malformed"),
    item("a custom message about the log-in", [
        wire.response(51, (1, b"\x00\x00\x2a\xf9"), (2, b"bad"), (3, b"\x01"))], event="auth_error"),
    item("a custom message with fields that nobody knows", [
        wire.response(51, (9, b"x"), (1, b"\xff\xff\xff\xff"), (2, b"busy"), (7, b""))], event="error"),
    item("text on the binary feed is nothing", ["pong"]),
]  # fmt: skip


# -- fifty levels ------------------------------------------------------------------------------------------


def deep(symbol: str, bids: list[bytes], asks: list[bytes], totals: Any = (None, None), time: int = TIME) -> Any:
    row = ROWS[symbol]
    depth = wire.depth_message((bids, asks), *totals)
    return row["token"], wire.feed_message(depth, time, row["token"], 3, row["brsymbol"], snapshot=False)


def tbt(name: str, frames: list[bytes | str], *expect: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**item(name, frames, *expect, **more), "feed": "tbt"}


level = wire.level_message
START = wire.socket_message(
    [deep("SBIN", [level(0, 81230, 520, 7), level(1, 81225, 40, 2)], [level(0, 81235, 310, 3)], (560, 310))],
    snapshot=True,
)
BIDS, ASKS = side((812.3, 520, 7), (812.25, 40, 2)), side((812.35, 310, 3))


def deep_tick(symbol: str, bids: Any, asks: Any, **fields: Any) -> dict[str, Any]:
    return tick(symbol, "DEPTH", **{"timestamp": TIME * 1000, **fields}, depth={"buy": bids, "sell": asks})


TOTALS = {"total_buy_quantity": 560, "total_sell_quantity": 310}

TBT = [
    tbt("a difference changes what it has, a zero is a zero", [START, wire.socket_message(
        [deep("SBIN", [level(0, None, 500, None), level(1, None, 0, None)], [], (500, 0), TIME + 1)],
        snapshot=False)],
        deep_tick("SBIN", BIDS, ASKS, **TOTALS),
        deep_tick("SBIN", side((812.3, 500, 7)), ASKS, timestamp=(TIME + 1) * 1000, total_buy_quantity=500,
                  total_sell_quantity=0)),
    tbt("levels that nobody can place are passed over", [START, wire.socket_message(
        [deep("SBIN", [level(50, 1, 1, 1), level(4_000_000_000, 1, 1, 1), level(0, 1, 1, 1)[:-2]],
              [level(49, 81990, 5, 1)])], snapshot=False)],
        deep_tick("SBIN", BIDS, ASKS, **TOTALS),
        deep_tick("SBIN", BIDS, [*ASKS, *side((819.9, 5, 1))], **TOTALS)),
    tbt("a second snapshot clears the book before it", [START, wire.socket_message(
        [deep("SBIN", [level(0, 81200, 1, 1)], [])], snapshot=True)],
        deep_tick("SBIN", BIDS, ASKS, **TOTALS), deep_tick("SBIN", side((812.0, 1, 1)), [])),
    tbt("milliseconds, microseconds and no time", [
        wire.socket_message([deep("SBIN", [], [], time=TIME * 1000 + 7)], snapshot=True),
        wire.socket_message([deep("SBIN", [], [], time=TIME * 1_000_000 + 8_123)], snapshot=True),
        wire.socket_message([deep("SBIN", [], [], time=0)], snapshot=True)],
        deep_tick("SBIN", [], [], timestamp=TIME * 1000 + 7), deep_tick("SBIN", [], [], timestamp=TIME * 1000 + 8),
        tick("SBIN", "DEPTH", depth={"buy": [], "sell": []})),
    tbt("the ticker names the instrument, whatever the map's key says", [wire.socket_message(
        [("1", deep("NIFTY28AUG2525000CE", [level(0, 9640, 75, 1)], [])[1])], snapshot=True)],
        deep_tick("NIFTY28AUG2525000CE", side((96.4, 75, 1)), [])),
    tbt("a stranger and a feed without a book give nothing", [
        wire.socket_message(
            [("1", b"\x5a\x08NSE:X-EQ" + b"\x2a\x00"), ("2", b"\x5a\x0bNSE:SBIN-EQ")], snapshot=True)]),
    tbt("an error tells no tick, even beside a feed", [START + b"\x22\x05limit\x28\x01"], event="error"),
    tbt("a response without feeds acknowledges", [b"\x08\x08\x22\x02ok", '{"s":"ok"}'], event="ack"),
    tbt("a ping of the server", [b""], event="heartbeat"),
    tbt("bytes that do not parse", [START[:-5], START], deep_tick("SBIN", BIDS, ASKS, **TOTALS), event="malformed"),
]  # fmt: skip


# -- calls -------------------------------------------------------------------------------------------------


def named(*symbols: str) -> list[list[str]]:
    return [[symbol, ROWS[symbol]["exchange"]] for symbol in symbols]


def call(name: str, feed: str, op: str, *frames: Any, **more: Any) -> dict[str, Any]:
    before = {"before": more.pop("before")} if "before" in more else {}
    sent = [{"hex": frame.hex()} if isinstance(frame, bytes) else {"text": json.dumps(frame)} for frame in frames]
    return {"name": name, "feed": feed, **before, "call": {"op": op, **more}, "frames": sent}


def topics(kind: int, *names: str) -> bytes:
    listed = len(names).to_bytes(2, "big") + b"".join(bytes([len(name)]) + name.encode() for name in names)
    return wire.response(kind, (1, listed), (2, b"\x0b"))


DEPTH_AND_QUOTE = [
    {"op": "subscribe", "mode": "QUOTE", "instruments": named("SBIN")},
    {"op": "subscribe", "mode": "DEPTH", "instruments": named("SBIN")},
]

OUTGOING = [
    call("depth of several: all quotes before all books, an index has none", "hsm", "subscribe",
         topics(4, SBIN, "if|nse_cm|Nifty 50", "sf|mcx_fo|440939", BOOK, "dp|mcx_fo|440939"),
         mode="DEPTH", instruments=named("SBIN", "NIFTY", "CRUDEOIL19AUG25FUT")),
    call("from quote to depth: the book's topic alone", "hsm", "set_mode", topics(4, "dp|bse_fo|1104523"),
         **{"from": "QUOTE"}, mode="DEPTH", instruments=named("SENSEX28AUG2581000PE")),
    call("LTP and QUOTE are one topic", "hsm", "set_mode", **{"from": "LTP"}, mode="QUOTE",
         instruments=named("SBIN", "NIFTY")),
    call("the end of depth takes both topics", "hsm", "unsubscribe", topics(5, SBIN, BOOK), mode="DEPTH",
         instruments=named("SBIN")),
    call("the end of depth leaves the quote that is wanted still", "hsm", "unsubscribe", topics(5, BOOK),
         before=DEPTH_AND_QUOTE, mode="DEPTH", instruments=named("SBIN")),
    call("a channel of the deep feed is resumed once", "tbt", "subscribe",
         {"type": 1, "data": {"subs": 1, "symbols": ["NSE:NIFTY25AUG25000CE"], "mode": "depth", "channel": "1"}},
         before=[{"op": "subscribe", "mode": "DEPTH", "depth_level": 50, "instruments": named("SBIN")}],
         mode="DEPTH", depth_level=50, instruments=named("NIFTY28AUG2525000CE")),
]  # fmt: skip

INCOMING = [*HSM, *TBT]
LINES = {
    line["name"]: line
    for line in decode_document(
        {"broker": "fyers", "instruments": list(ROWS.values()), "incoming": INCOMING, "outgoing": OUTGOING}
    )
}


@pytest.mark.parametrize("wanted", INCOMING, ids=lambda wanted: wanted["name"])
def test_frames_mean_what_the_specification_says(wanted: dict[str, Any]) -> None:
    vector_cases.assert_incoming(wanted, LINES[wanted["name"]])


@pytest.mark.parametrize("wanted", OUTGOING, ids=lambda wanted: wanted["name"])
def test_calls_send_what_the_specification_says(wanted: dict[str, Any]) -> None:
    vector_cases.assert_outgoing(wanted, LINES[wanted["name"]])
