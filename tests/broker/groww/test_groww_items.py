"""Frames and calls in the manner of the shared vectors, worked out from Groww's specification alone."""

from typing import Any

import pytest

from broker import vector_cases
from broker.groww.groww_wire import book, double, field, index_value, integer, live_price, msg
from tickmux.decode import decode_document

ROWS = {row["symbol"]: row for row in vector_cases.load("groww")["instruments"]}
FOLDERS = {
    "NSE": "/ld/eq/nse/", "BSE": "/ld/eq/bse/", "NFO": "/ld/fo/nse/", "BFO": "/ld/fo/bse/",
    "NSE_INDEX": "/ld/indices/nse/", "BSE_INDEX": "/ld/indices/bse/",
}  # fmt: skip
NOW = 1756266300123
FUTURE, OPTION, PUT = "NIFTY28AUG25FUT", "NIFTY28AUG2525000CE", "SENSEX28AUG2581000PE"


def subject(symbol: str, word: str = "price") -> str:
    return f"{FOLDERS[ROWS[symbol]['exchange']]}{word}.{ROWS[symbol]['token']}"


def tick(symbol: str, mode: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "exchange": ROWS[symbol]["exchange"], "mode": mode, **fields}


def item(name: str, frames: list[bytes], *expect: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "frames": [{"hex": frame.hex()} for frame in frames], "expect": list(expect), **more}


def price(symbol: str, **fields: float) -> bytes:
    return msg(subject(symbol), live_price(**fields))


PONG = {"hex": b"PONG\r\n".hex()}
SBIN_TICK = tick("SBIN", "LTP", ltp=812.3, timestamp=NOW)
SBIN = price("SBIN", ltp=812.3, time=NOW)
ENVELOPE = field(1, b"SBI") + integer(2, 0) + integer(3, 1)

INCOMING = [
    item("BSE option: the exchange is in the subject alone", [
        msg(subject(PUT), field(1, b"SENSEX") + integer(2, 1) + live_price(ltp=412.5, oi=1240.0, time=NOW))],
         tick(PUT, "QUOTE", ltp=412.5, oi=1240, timestamp=NOW)),
    item("equal tokens of other folders are other instruments", [
        msg("/ld/eq/bse/price.3045", live_price(ltp=1.0)) + msg("/ld/fo/nse/price.3045", live_price(ltp=2.0))
        + msg("/ld/indices/nse/price.3045", index_value(3.0)) + SBIN], SBIN_TICK),
    item("the payload's symbol and exchange do not count", [
        msg(subject("SBIN"), field(1, b"RELIANCE") + integer(3, 0) + live_price(ltp=812.3, time=NOW))], SBIN_TICK),
    item("circuit limits and totals make a QUOTE", [
        price("SBIN", ltp=812.3, buy=412350.0, upper=888.05, lower=726.65, time=NOW)],
         tick("SBIN", "QUOTE", ltp=812.3, timestamp=NOW, total_buy_quantity=412350, upper_circuit=888.05,
              lower_circuit=726.65)),
    item("turnover and trade ranges are not told: LTP", [msg(subject("SBIN"), field(
        4, double(1, NOW), double(7, 6772604600.0), double(13, 812.3), double(15, 800.0), double(16, 820.0)))],
         SBIN_TICK),
    item("explicit zeros are as good as nothing", [
        price("SBIN", ltp=812.3, open=0.0, high=0.0, low=0.0, close=0.0, volume=0.0, buy=0.0, oi=0.0, time=0.0)],
         tick("SBIN", "LTP", ltp=812.3)),
    item("no last price, no tick", [price("SBIN", open=810.5, close=807.35, volume=5.0, time=NOW)]),
    item("a price in seconds is scaled, one with a fraction rounded", [
        price("SBIN", ltp=812.3, time=1756266300.0) + price("SBIN", ltp=812.3, time=1756266300.4567)
        + price("SBIN", ltp=812.3, time=NOW + 0.6)],
         tick("SBIN", "LTP", ltp=812.3, timestamp=1756266300000),
         tick("SBIN", "LTP", ltp=812.3, timestamp=1756266300457),
         tick("SBIN", "LTP", ltp=812.3, timestamp=NOW + 1)),
    item("a book in any order, with levels that are none", [msg(subject(FUTURE, "book"), book(
        [(3, 24710.0, 300.0), (1, 24712.0, 75.0), (2, 0.0, 150.0)], [(2, 24713.5, 0.0), (1, 24713.0, 225.0)], NOW))],
         tick(FUTURE, "DEPTH", timestamp=NOW, depth={
             "buy": [{"price": 24712.0, "quantity": 75}, {"price": 24710.0, "quantity": 300}],
             "sell": [{"price": 24713.0, "quantity": 225}]})),
    item("a book whose values come before their keys", [msg(subject("SBIN", "book"), field(5, field(
        2, field(2, double(1, 812.3), double(2, 113.0)), integer(1, 1))))],
         tick("SBIN", "DEPTH", depth={"buy": [{"price": 812.3, "quantity": 113}], "sell": []})),
    item("an empty book is empty", [msg(subject("RELIANCE", "book"), book(time=1756266300.0))],
         tick("RELIANCE", "DEPTH", timestamp=1756266300000, depth={"buy": [], "sell": []})),
    item("an index without a value is no tick", [
        msg(subject("NIFTY"), index_value(0.0, NOW)) + msg(subject("SENSEX"), field(6, double(2, 80792.14)))],
         tick("SENSEX", "LTP", ltp=80792.14)),
    item("a payload without an arm and an empty one are no ticks", [
        msg(subject("SBIN"), ENVELOPE) + msg(subject("SBIN"), b"")]),
    item("fields of newer schemas are skipped", [msg(subject("SBIN"), ENVELOPE + field(4, double(
        1, NOW), double(13, 812.3), double(17, 5.0), field(40, b"x")) + field(99, b"\xff\xff") + integer(100, 1))],
         SBIN_TICK),
    item("line ends inside a payload", [msg(subject("SBIN"), field(1, b"\r\nMSG x 1 0\r\n") + live_price(
        ltp=812.3, time=NOW)) + b"PING\r\n"], SBIN_TICK, reply=[PONG]),
    item("a reply subject, tabs, lower case and headers", [
        SBIN.replace(b"MSG ", b"msg\t").replace(b" 1 ", b"  1   _INBOX.7\t", 1),
        b"HMSG %b 4 _INBOX.7 12 %d\r\nNATS/1.0\r\n\r\n%b\r\n" % (
            subject("NIFTY").encode(), 12 + len(index_value(24698.35)), index_value(24698.35))],
         SBIN_TICK, tick("NIFTY", "LTP", ltp=24698.35)),
    item("an operation arrives byte by byte", [bytes([byte]) for byte in SBIN + b"PONG\r\n" + SBIN],
         SBIN_TICK, SBIN_TICK),
    item("a payload of which a part has come is waited for", [SBIN[:-4]]),
    item("a broken payload costs itself alone", [
        msg(subject("SBIN"), live_price(ltp=812.3)[:-1]) + SBIN], SBIN_TICK, event="malformed"),
    item("every PING is answered", [b"PING\r\nPI", b"NG\r\n"], event="heartbeat", reply=[PONG, PONG]),
    item("INFO may come again", [b'INFO {"server_id":"N","nonce":"abc"}\r\n', b'INFO {"ldm":true}\r\n'], event="ack"),
    item("a revoked user, in any case", [b"-ERR 'User Authentication REVOKED'\r\n"], event="auth_error"),
    item("an expired user", [b"-ERR 'User Authentication Expired'\r\n"], event="auth_error"),
    item("a log-in that took too long", [b"-ERR 'Authentication Timeout'\r\n"], event="auth_error"),
    item("one subject that is not permitted", [
        b"-ERR 'Permissions Violation for Subscription to \"/ld/eq/nse/price.3045\"'\r\n" + SBIN], SBIN_TICK,
        event="error"),
    item("a stale connection", [b"-ERR 'Stale Connection'\r\n"], event="error"),
    item("a verb that NATS does not have", [SBIN + b"HELLO\r\n"], SBIN_TICK, event="malformed"),
    item("a line without an end", [b"INFO " + b"x" * 66_000], event="malformed"),
    item("the buffer's rest is another connection's: a fresh one starts clean", [SBIN[30:]], event="malformed"),
]  # fmt: skip


def named(*symbols: str) -> list[list[str]]:
    return [[symbol, ROWS[symbol]["exchange"]] for symbol in symbols]


def call(name: str, op: str, lines: str, **more: Any) -> dict[str, Any]:
    before = {"before": more.pop("before")} if "before" in more else {}
    sent = [{"hex": lines.encode().hex()}] if lines else []
    compare = {"compare": "nats_stream"} if lines else {}
    return {"name": name, **before, **compare, "call": {"op": op, **more}, "frames": sent}


QUOTE_OF_TWO = {"op": "subscribe", "mode": "QUOTE", "instruments": named("SBIN", "NIFTY")}
DEPTH_OF_ONE = {"op": "subscribe", "mode": "DEPTH", "instruments": named("SBIN")}

OUTGOING = [
    call("depth in the order of the call, an index in between has no book", "subscribe",
         "SUB /ld/eq/nse/price.3045 1\r\nSUB /ld/eq/nse/book.3045 2\r\nSUB /ld/indices/bse/price.1 3\r\n"
         "SUB /ld/fo/bse/price.861201 4\r\nSUB /ld/fo/bse/book.861201 5\r\n",
         mode="DEPTH", instruments=named("SBIN", "SENSEX", PUT)),
    call("from QUOTE to DEPTH: the books alone", "set_mode", "SUB /ld/eq/nse/book.3045 3\r\n",
         before=[QUOTE_OF_TWO], **{"from": "QUOTE"}, mode="DEPTH", instruments=named("SBIN", "NIFTY")),
    call("from DEPTH to QUOTE: the book's number ends", "set_mode", "UNSUB 2\r\n", before=[DEPTH_OF_ONE],
         **{"from": "DEPTH"}, mode="QUOTE", instruments=named("SBIN")),
    call("LTP and QUOTE share a subject", "set_mode", "", before=[QUOTE_OF_TWO], **{"from": "QUOTE"}, mode="LTP",
         instruments=named("SBIN", "NIFTY")),
    call("the end of DEPTH leaves the QUOTE that is wanted still", "unsubscribe", "UNSUB 3\r\n",
         before=[QUOTE_OF_TWO, DEPTH_OF_ONE], mode="DEPTH", instruments=named("SBIN")),
    call("the end of everything", "unsubscribe", "UNSUB 1\r\nUNSUB 2\r\nUNSUB 3\r\n", before=[
        {"op": "subscribe", "mode": "DEPTH", "instruments": named("SBIN", "NIFTY")}],
         mode="DEPTH", instruments=named("SBIN", "NIFTY")),
    call("a number is never used twice", "subscribe", "SUB /ld/eq/nse/price.3045 3\r\n", before=[
        DEPTH_OF_ONE, {"op": "unsubscribe", "mode": "DEPTH", "instruments": named("SBIN")}],
         mode="LTP", instruments=named("SBIN")),
    {"name": "heartbeat", "call": {"op": "heartbeat"}, "frames": [{"hex": b"PING\r\n".hex()}]},
]  # fmt: skip

LINES = {
    line["name"]: line
    for line in decode_document(
        {"broker": "groww", "instruments": list(ROWS.values()), "incoming": INCOMING, "outgoing": OUTGOING}
    )
}


@pytest.mark.parametrize("wanted", INCOMING, ids=lambda wanted: wanted["name"])
def test_frames_mean_what_the_specification_says(wanted: dict[str, Any]) -> None:
    vector_cases.assert_incoming(wanted, LINES[wanted["name"]])


@pytest.mark.parametrize("wanted", OUTGOING, ids=lambda wanted: wanted["name"])
def test_calls_send_what_the_specification_says(wanted: dict[str, Any]) -> None:
    vector_cases.assert_outgoing(wanted, LINES[wanted["name"]])
