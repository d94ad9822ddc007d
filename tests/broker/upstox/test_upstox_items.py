"""Frames and calls in the manner of the shared vectors, worked out from Upstox's specification alone."""

import json
from typing import Any

import pytest

from broker import vector_cases
from broker.upstox.upstox_wire import (
    candle,
    double,
    entry,
    index,
    initial,
    integer,
    levels,
    live,
    ltpc,
    market,
    message,
    text,
)
from tickmux.decode import decode_document

NOW = 1_755_507_611_000
ROWS = {
    "SBIN": ("NSE", "NSE_EQ|INE062A01020"),
    "RELIANCE": ("BSE", "BSE_EQ|INE002A01018"),
    "NIFTY28AUG25FUT": ("NFO", "NSE_FO|53001"),
    "SENSEX28AUG2581000PE": ("BFO", "BSE_FO|53001"),
    "USDINR27AUG25FUT": ("CDS", "NCD_FO|5132"),
    "EURINR27AUG25102.75CE": ("BCD", "BCD_FO|5132"),
    "CRUDEOIL19AUG25FUT": ("MCX", "MCX_FO|447552"),
    "NIFTY": ("NSE_INDEX", "NSE_INDEX|Nifty 50"),
    "SENSEX": ("BSE_INDEX", "BSE_INDEX|SENSEX"),
    "US500": ("GLOBAL_INDEX", "GLOBAL_INDEX|^GSPC"),
}


def key(symbol: str) -> str:
    return ROWS[symbol][1]


def tick(symbol: str, mode: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "exchange": ROWS[symbol][0], "mode": mode, "timestamp": NOW, **fields}


def item(name: str, frames: list[bytes | str], *expect: dict[str, Any], event: str | None = None) -> dict[str, Any]:
    shown = [{"text": frame} if isinstance(frame, str) else {"hex": frame.hex()} for frame in frames]
    return {"name": name, "frames": shown, "expect": list(expect), **({"event": event} if event else {})}


def frame(*entries: tuple[str, bytes], kind: int = 1) -> bytes:
    """A FeedResponse of several instruments."""
    return integer(1, kind) + b"".join(entry(key(symbol), feed) for symbol, feed in entries) + integer(3, NOW)


BOOK = levels((100.5, 10, 100.75, 5), (100.25, 20, 101.0, 6))
SHOWN = {
    "buy": [{"price": 100.5, "quantity": 10}, {"price": 100.25, "quantity": 20}],
    "sell": [{"price": 100.75, "quantity": 5}, {"price": 101.0, "quantity": 6}],
}
LTPC = message(1, ltpc(100.5, NOW - 2000, 7, 99.25))
LAST = {"ltp": 100.5, "ltt": NOW - 2000, "last_trade_quantity": 7, "close": 99.25}
DAY = message(4, candle("I1", 1.0, 2.0, 0.5, 1.5), candle("1d", 98.0, 102.5, 97.75, 100.5, 900))
OHL = {"open": 98.0, "high": 102.5, "low": 97.75}
WHOLE = market(
    LTPC,
    message(2, BOOK),
    DAY,
    double(5, 99.9),
    integer(6, 900),
    double(7, 5000.0),
    double(9, 30.0),
    double(10, 11.0),
)
TOTALS = {"avg_trade_price": 99.9, "volume": 900, "total_buy_quantity": 30, "total_sell_quantity": 11}

INCOMING = [
    item("market_info of every kind is no tick", [
        integer(1, 2) + integer(3, NOW) + message(
            4,
            *(message(1, text(1, name), integer(2, n)) for n, name in enumerate(("NSE_EQ", "NSE_FO", "NCD_FO"))),
            message(2, text(1, "NSE_EQ"), message(2, text(1, "CLOSED"), integer(2, NOW))),
            message(3, text(1, "NSE_EQ"), message(2, text(1, "OPEN"), integer(2, NOW))),
        )
    ]),
    item("an empty binary frame is an empty message", [b""]),
    item("BSE equity: no open interest whatever is sent", [live(key("RELIANCE"), WHOLE)],
         tick("RELIANCE", "DEPTH", **LAST, **OHL, **TOTALS, depth=SHOWN)),
    item("BSE option: open interest in units", [live(key("SENSEX28AUG2581000PE"), WHOLE)],
         tick("SENSEX28AUG2581000PE", "DEPTH", **LAST, **OHL, **TOTALS, oi=5000, depth=SHOWN)),
    item("equal numbers of two exchanges stay apart", [
        frame(("NIFTY28AUG25FUT", message(1, ltpc(24700.05))), ("SENSEX28AUG2581000PE", message(1, ltpc(512.4))),
              ("USDINR27AUG25FUT", message(1, ltpc(87.6425))), ("EURINR27AUG25102.75CE", message(1, ltpc(0.0025))))
    ],
         tick("NIFTY28AUG25FUT", "LTP", ltp=24700.05), tick("SENSEX28AUG2581000PE", "LTP", ltp=512.4),
         tick("USDINR27AUG25FUT", "LTP", ltp=87.6425), tick("EURINR27AUG25102.75CE", "LTP", ltp=0.0025)),
    item("index by indexFF: QUOTE without volume and totals", [live(key("SENSEX"), index(
        message(1, ltpc(81234.5, NOW - 1000, 0, 81000.25)),
        message(2, candle("1d", 81100.0, 81300.0, 80900.5, 81234.5))))],
         tick("SENSEX", "QUOTE", ltp=81234.5, ltt=NOW - 1000, close=81000.25,
              open=81100.0, high=81300.0, low=80900.5)),
    item("global index in ltpc", [live(key("US500"), message(1, ltpc(6400.1, NOW - 9, 0, 6380.0)))],
         tick("US500", "LTP", ltp=6400.1, ltt=NOW - 9, close=6380.0)),
    item("option_greeks: oi of MCX, none of the greeks", [live(key("CRUDEOIL19AUG25FUT"), message(
        3, message(1, ltpc(5683.0, NOW - 5, 1, 5704.0)), message(2, integer(1, 3), double(2, 5682.0)),
        message(3, double(1, 0.5), double(2, -3.0)), integer(4, 8123), double(5, 11264.0), double(6, 0.2)))],
         tick("CRUDEOIL19AUG25FUT", "QUOTE", ltp=5683.0, ltt=NOW - 5, last_trade_quantity=1, close=5704.0,
              volume=8123, oi=11264)),
    item("option_greeks before the first trade: neither price nor volume is no tick", [
        live(key("NIFTY28AUG25FUT"), message(3, message(1, ltpc(cp=24600.0)), double(5, 75.0)))]),
    item("a contract not yet traded has a book and no price", [
        initial(key("NIFTY28AUG25FUT"), market(
            message(1, ltpc(cp=24600.0)), message(2, BOOK), double(9, 30.0), double(10, 11.0)))],
         tick("NIFTY28AUG25FUT", "DEPTH", close=24600.0, total_buy_quantity=30, total_sell_quantity=11, depth=SHOWN)),
    item("upper circuit: the sell side is empty, its total is zero", [
        live(key("SBIN"), market(LTPC, message(2, levels((100.5, 900, 0.0, 0))), double(9, 900.0)))],
         tick("SBIN", "DEPTH", **LAST, total_buy_quantity=900, total_sell_quantity=0,
              depth={"buy": [{"price": 100.5, "quantity": 900}], "sell": []})),
    item("lower circuit behind a full book: the buy total falls to zero, the sell total stays", [
        live(key("SBIN"), WHOLE), live(key("SBIN"), market(message(2, levels((0.0, 0, 90.0, 40)))))],
         tick("SBIN", "DEPTH", **LAST, **OHL, **TOTALS, depth=SHOWN),
         tick("SBIN", "DEPTH", **LAST, **OHL, avg_trade_price=99.9, volume=900, total_buy_quantity=0,
              total_sell_quantity=11, depth={"buy": [], "sell": [{"price": 90.0, "quantity": 40}]})),
    item("an empty marketLevel empties the book and both totals", [
        live(key("SBIN"), WHOLE), live(key("SBIN"), market(message(2)))],
         tick("SBIN", "DEPTH", **LAST, **OHL, **TOTALS, depth=SHOWN),
         tick("SBIN", "DEPTH", **LAST, **OHL, avg_trade_price=99.9, volume=900, total_buy_quantity=0,
              total_sell_quantity=0, depth={"buy": [], "sell": []})),
    item("a second snapshot clears what was known", [
        initial(key("SBIN"), WHOLE), initial(key("SBIN"), market(message(1, ltpc(101.0)), integer(6, 950)))],
         tick("SBIN", "DEPTH", **LAST, **OHL, **TOTALS, depth=SHOWN),
         tick("SBIN", "DEPTH", ltp=101.0, volume=950)),
    item("a live ltpc feed behind a full one is an LTP tick", [
        live(key("SBIN"), WHOLE), live(key("SBIN"), message(1, ltpc(101.25, NOW, 3)))],
         tick("SBIN", "DEPTH", **LAST, **OHL, **TOTALS, depth=SHOWN),
         tick("SBIN", "LTP", ltp=101.25, ltt=NOW, last_trade_quantity=3, close=99.25)),
    item("ltpc without a price is no tick, later parts come on top", [
        live(key("SBIN"), message(1, ltpc(cp=99.25))), live(key("SBIN"), message(1, ltpc(100.5)))],
         tick("SBIN", "LTP", ltp=100.5, close=99.25)),
    item("an entry without a feed and one of a stranger are passed over", [
        integer(1, 1) + entry(key("SBIN"), integer(4, 1)) + entry("NSE_EQ|INE000000000", message(1, ltpc(5.0)))
        + entry(key("NIFTY"), index(message(1, ltpc(24600.5)))) + integer(3, NOW)],
         tick("NIFTY", "QUOTE", ltp=24600.5)),
    item("no currentTs: no timestamp", [integer(1, 1) + entry(key("SBIN"), message(1, ltpc(100.5)))],
         {name: value for name, value in tick("SBIN", "LTP", ltp=100.5).items() if name != "timestamp"}),
    item("candles without a day leave the day as it was", [
        live(key("SBIN"), WHOLE), live(key("SBIN"), market(message(4, candle("I1", 5.0, 6.0, 4.0, 5.5))))],
         tick("SBIN", "DEPTH", **LAST, **OHL, **TOTALS, depth=SHOWN),
         tick("SBIN", "DEPTH", **LAST, **OHL, **TOTALS, depth=SHOWN)),
    item("a frame that breaks in its second entry gives nothing of the first", [
        frame(("SBIN", message(1, ltpc(100.5))))[:-7] + b"\x12\x7f\x0a", live(key("SBIN"), message(1, ltpc(101.0)))],
         tick("SBIN", "LTP", ltp=101.0), event="malformed"),
    item("a refusal of REST's kind", ['{"status":"error","errors":[{"error_code":"UDAPI10005","message":"slow"}]}'],
         event="error"),
    item("an expired token as text", ['{"status":"error","errors":[{"errorCode":"UDAPI100050","message":"over"}]}'],
         event="auth_error"),
    item("an extended token as text", ['{"status":"failed","errors":[{"error_code":"UDAPI100067"}]}'],
         event="auth_error"),
    item("other texts are ignored", ["hello", "[]", '{"status":"success"}']),
]  # fmt: skip


def call(name: str, op: str, *frames: dict[str, Any], **more: Any) -> dict[str, Any]:
    before = {"before": more.pop("before")} if "before" in more else {}
    sent = [{"text": json.dumps(each), "opcode": "binary"} for each in frames]
    return {"name": name, **before, "call": {"op": op, **more}, "frames": sent}


def request(method: str, mode: str, *symbols: str) -> dict[str, Any]:
    data: dict[str, Any] = {"mode": mode} if mode else {}
    return {"guid": "*", "method": method, "data": {**data, "instrumentKeys": [key(symbol) for symbol in symbols]}}


def named(*symbols: str) -> list[list[str]]:
    return [[symbol, ROWS[symbol][0]] for symbol in symbols]


OUTGOING = [
    call("LTP of every kind of exchange is one frame", "subscribe",
         request("sub", "ltpc", "USDINR27AUG25FUT", "CRUDEOIL19AUG25FUT", "US500"),
         mode="LTP", instruments=named("USDINR27AUG25FUT", "CRUDEOIL19AUG25FUT", "US500")),
    call("an index has no book: depth is full at any number of levels", "subscribe", request("sub", "full", "NIFTY"),
         mode="DEPTH", depth_level=30, instruments=named("NIFTY")),
    call("twenty levels are five", "subscribe", request("sub", "full", "SBIN"),
         mode="DEPTH", depth_level=20, instruments=named("SBIN")),
    call("from five to thirty levels in place", "set_mode", request("change_mode", "full_d30", "SBIN"),
         **{"from": "QUOTE"}, mode="DEPTH", depth_level=30, instruments=named("SBIN")),
    call("down to LTP in place", "set_mode", request("change_mode", "ltpc", "SBIN", "NIFTY"),
         **{"from": "QUOTE"}, mode="LTP", instruments=named("SBIN", "NIFTY")),
    call("QUOTE and five levels are the same to Upstox", "set_mode",
         **{"from": "QUOTE"}, mode="DEPTH", instruments=named("SBIN")),
    call("the end of the richest mode leaves the poorer one", "unsubscribe", request("change_mode", "ltpc", "SBIN"),
         before=[{"op": "subscribe", "mode": "LTP", "instruments": named("SBIN")},
                 {"op": "subscribe", "mode": "DEPTH", "instruments": named("SBIN")}],
         mode="DEPTH", instruments=named("SBIN")),
    call("no heartbeat of the application", "heartbeat"),
]  # fmt: skip

DOCUMENT = {
    "broker": "upstox",
    "instruments": [
        {"symbol": symbol, "exchange": exchange, "token": token} for symbol, (exchange, token) in ROWS.items()
    ],
    "incoming": INCOMING,
    "outgoing": OUTGOING,
}
LINES = {line["name"]: line for line in decode_document(DOCUMENT)}


@pytest.mark.parametrize("wanted", INCOMING, ids=lambda wanted: wanted["name"])
def test_frames_mean_what_the_specification_says(wanted: dict[str, Any]) -> None:
    vector_cases.assert_incoming(wanted, LINES[wanted["name"]])


@pytest.mark.parametrize("wanted", OUTGOING, ids=lambda wanted: wanted["name"])
def test_calls_send_what_the_specification_says(wanted: dict[str, Any]) -> None:
    vector_cases.assert_outgoing(wanted, LINES[wanted["name"]])
