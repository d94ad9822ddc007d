"""Frames and calls beyond the shared vectors, their meaning worked out from the specification's tables."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from broker import vector_cases
from support.frame_items import Call, Item
from tickmux.decode import decode_document

INSTRUMENTS = [
    *vector_cases.load("samco")["instruments"],
    {"symbol": "SENSEX", "exchange": "BSE_INDEX", "token": "-53"},
    {"symbol": "SENSEX04SEP2580500CE", "exchange": "BFO", "token": "870044_BFO"},
    {"symbol": "GOLD05DEC25FUT", "exchange": "MCX", "token": "3045_MFO"},
]
EXCHANGES = {row["symbol"]: row["exchange"] for row in INSTRUMENTS}
TOKENS = {row["symbol"]: row["token"] for row in INSTRUMENTS}
SBIN, NIFTY, SENSEX, OPTION = "SBIN", "NIFTY", "SENSEX", "SENSEX04SEP2580500CE"
FUTURE, DOLLAR, GOLD = "NIFTY28AUG25FUT", "USDINR26SEP25FUT", "GOLD05DEC25FUT"
OPENING = 1_756_266_302_000
"""27 August 2025, 09:15:02 in India, 03:45:02 UTC."""


def tick(symbol: str, mode: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "exchange": EXCHANGES[symbol], "mode": mode, **fields}


def quote(symbol: str, **fields: Any) -> str:
    return json.dumps({"sym": TOKENS[symbol], **fields, "streaming_type": "quote"})


def wrapped(stream: str, **fields: Any) -> str:
    return json.dumps({"response": {"data": fields, "streaming_type": stream}})


def level(price: str, quantity: str, orders: str) -> dict[str, str]:
    return {"no": orders, "price": price, "qty": quantity}


def said(**fields: Any) -> str:
    return json.dumps(fields)


OFFER = level("233.65", "20", "0")
NO_BOOK = wrapped("quote2", symbol="3045_NSE", bidValues=[], askValues=[])
EMPTY = [level("0.00", "0", "0")] * 5
LAST = quote(SBIN, ltp="812.35")
LAST_TICK = tick(SBIN, "LTP", ltp=812.35)

INCOMING = [
    Item("5: separators and decimals in numbers",
         [quote(FUTURE, ltp="24,712.40", vol="18,42,375", oI="15,234,525.00", tBQ="45120.00", avgPr="1,24,733.41")],
         [tick(FUTURE, "QUOTE", ltp=24712.4, volume=1842375, oi=15234525, total_buy_quantity=45120,
               avg_trade_price=124733.41)]),
    Item("5: empty and zero are no value, for every field",
         [quote(SBIN, ltp="812.35", o="", h="0", l="0.00", c="0.0", vol="0", ltq="", tBQ="0", tSQ="0.00", oI="0",
                avgPr="", lttUTC="", ltt="", lTrdT="")], [LAST_TICK]),
    Item("6: what is no number loses nothing else",
         [quote(SBIN, ltp="812.35", o="NA", h="818.90", vol="--", ltq="null", oI=None, c={"x": 1}, tBQ=["5"])],
         [tick(SBIN, "QUOTE", ltp=812.35, high=818.9)]),
    Item("6: a quote without a last price is no tick", [quote(SBIN, ltp="0.00", c="807.35"), quote(SBIN, o="1")], []),
    Item("6: price and time alone make LTP", [quote(SBIN, ltp="812.35", ltt="27 Aug 2025, 09:15:02 AM")],
         [tick(SBIN, "LTP", ltp=812.35, ltt=OPENING)]),
    Item("6: the time of India where that in UTC cannot be read",
         [quote(SBIN, ltp="1", lttUTC="27 Aug 2025", ltt="27 Aug 2025, 09:15:02 AM"),
          quote(SBIN, ltp="1", lttUTC="", ltt="-", lTrdT="27/08/2025 09:15:02")],
         [tick(SBIN, "LTP", ltp=1.0, ltt=OPENING)] * 2),
    Item("5: twelve at night and at noon",
         [quote(SBIN, ltp="1", lttUTC="27 Aug 2025, 12:00:00 AM"),
          quote(SBIN, ltp="1", lttUTC="27 Aug 2025, 12:00:00 PM"),
          quote(SBIN, ltp="1", ltt="28 Aug 2025, 12:30:00 AM")],
         [tick(SBIN, "LTP", ltp=1.0, ltt=1_756_252_800_000), tick(SBIN, "LTP", ltp=1.0, ltt=1_756_296_000_000),
          tick(SBIN, "LTP", ltp=1.0, ltt=1_756_321_200_000)]),
    Item("6: a time that cannot be read is absent",
         [quote(SBIN, ltp="1", lttUTC="2025-08-27T03:45:02Z", ltt="27 Foo 2025, 01:00:00 AM")],
         [tick(SBIN, "LTP", ltp=1.0)]),
    Item("5: one number in two segments, and alone",
         [quote(SBIN, ltp="1"), quote(GOLD, ltp="2"), said(sym="3045", ltp="3", streaming_type="quote"),
          said(sym="3045_BSE", ltp="4", streaming_type="quote")],
         [tick(SBIN, "LTP", ltp=1.0), tick(GOLD, "LTP", ltp=2.0)]),
    Item("5: a currency's four decimals", [quote(DOLLAR, ltp="87.6975", l="87.5801")],
         [tick(DOLLAR, "QUOTE", ltp=87.6975, low=87.5801)]),
    Item("5: an index of BSE, by its listing id", [wrapped("quote", sym="-53", ltp="80710.25", c="80500.00")],
         [tick(SENSEX, "QUOTE", ltp=80710.25, close=80500.0)]),
    Item("5: the other names of the depth stream, flat and wrapped",
         [wrapped("marketDepth", symbol="870044_BFO", bidValues=[level("233.60", "40", "2")], askValues=[]),
          said(streaming_type="marketdata", symbol="870044_BFO", bidValues=[], askValues=[OFFER])],
         [tick(OPTION, "DEPTH", depth={"buy": [{"price": 233.6, "quantity": 40, "orders": 2}], "sell": []}),
          tick(OPTION, "DEPTH", depth={"buy": [], "sell": [{"price": 233.65, "quantity": 20}]})]),
    Item("6: levels without a price or a quantity are left out",
         [wrapped("quote2", symbol="3045_NSE", tbq="1,350", taq="0", ltt="05/09/2023 07:03:44",
                  bidValues=[level("812.30", "0", "3"), level("0", "5", "1"), level("812.20", "192", "x")],
                  askValues=EMPTY)],
         [tick(SBIN, "DEPTH", total_buy_quantity=1350, ltt=1_693_877_624_000,
               depth={"buy": [{"price": 812.2, "quantity": 192}], "sell": []})]),
    Item("6: a book has no last price even if one stands there",
         [wrapped("quote2", symbol="3045_NSE", ltp="812.35", bidValues=[], askValues=[])],
         [tick(SBIN, "DEPTH", depth={"buy": [], "sell": []})]),
    Item("5: day before month, in UTC first",
         [wrapped("quote2", symbol="3045_NSE", lttUTC="05/09/2023 01:33:44", ltt="05/09/2023 09:00:00", bidValues=[],
                  askValues=[])],
         [tick(SBIN, "DEPTH", ltt=1_693_877_624_000, depth={"buy": [], "sell": []})]),
    Item("5: empty pieces are skipped, a broken one is dropped alone", [f"\n\r\n{LAST}\r\n\n{{cut\n{LAST}"],
         [LAST_TICK, LAST_TICK], "malformed"),
    Item("10: an empty text is ignored", ["", "\n"], []),
    Item("5: the same in a binary frame", [f"{LAST}\n".encode()], [LAST_TICK]),
    Item("5: another stream is no market data", [quote(SBIN, ltp="1").replace('"quote"', '"quote3"')], [], "ack"),
    Item("5: no stream at all", [said(sym="3045_NSE", ltp="1")], [], "ack"),
    Item("10: success without data", [said(response={"status": "Success", "streaming_type": ""})], [], "ack"),
    Item("10: a failure that speaks of the session", [said(status="Failure", statusMessage="Invalid Session")], [],
         "auth_error"),
    Item("10: a failure that speaks of the token", [said(status="failure", statusMessage="Token has expired")], [],
         "auth_error"),
    Item("10: another failure leaves the connection and the ticks",
         [said(status="Failure", statusMessage="Symbol list is empty") + "\n" + LAST], [LAST_TICK], "error"),
    Item("5: state: a quote and a book complement each other, each with its own fields",
         [quote(SBIN, ltp="812.35", o="810.50"), NO_BOOK, LAST],
         [tick(SBIN, "QUOTE", ltp=812.35, open=810.5), tick(SBIN, "DEPTH", depth={"buy": [], "sell": []}),
          LAST_TICK]),
]  # fmt: skip


@pytest.mark.parametrize("item", INCOMING, ids=lambda item: item.name)
def test_frames_mean_what_the_specification_says(item: Item) -> None:
    item.check("samco", INSTRUMENTS)


def wish(action: str, stream: str, *symbols: str) -> dict[str, Any]:
    data = {"symbols": [{"symbol": TOKENS[symbol]} for symbol in symbols]}
    fields = {"streaming_type": stream, "data": data, "request_type": action, "response_format": "json"}
    return {"request": fields}


def call(op: str, *symbols: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "instruments": [[symbol, EXCHANGES[symbol]] for symbol in symbols], **more}


CALLS = [
    Call("3: nothing but the address", {"op": "connect", "credentials": {"session_token": "a%2Fb"}},
         url="wss://stream.samco.in"),
    Call("7: no application heartbeat", {"op": "heartbeat"}),
    Call("4: depth, of which an index has none", call("subscribe", SBIN, NIFTY, OPTION, mode="DEPTH"),
         [wish("subscribe", "quote", SBIN, NIFTY, OPTION), wish("subscribe", "quote2", SBIN, OPTION)]),
    Call("4: an end of everything leaves no list to restate", call("unsubscribe", SBIN, mode="DEPTH"),
         [wish("unsubscribe", "quote", SBIN), wish("unsubscribe", "quote2", SBIN)]),
    Call("4: from QUOTE to DEPTH only the book's list changes",
         call("set_mode", SBIN, GOLD, mode="DEPTH", **{"from": "QUOTE"}), [wish("subscribe", "quote2", SBIN, GOLD)]),
    Call("4: from DEPTH to LTP only the book's list changes",
         call("set_mode", DOLLAR, mode="LTP", **{"from": "DEPTH"}), [wish("unsubscribe", "quote2", DOLLAR)]),
    Call("4: from LTP to QUOTE nothing changes", call("set_mode", SBIN, mode="QUOTE", **{"from": "LTP"})),
]  # fmt: skip


@pytest.mark.parametrize("item", CALLS, ids=lambda item: item.name)
def test_calls_send_what_the_specification_says(item: Call) -> None:
    item.check("samco", INSTRUMENTS)


LATER = [
    ("4: a later wish restates both lists", [call("subscribe", SBIN, NIFTY, mode="DEPTH")],
     call("subscribe", OPTION, mode="DEPTH"),
     [wish("subscribe", "quote", SBIN, NIFTY, OPTION), wish("subscribe", "quote2", SBIN, OPTION)]),
    ("4: what is there already changes no list", [call("subscribe", SBIN, OPTION, mode="DEPTH")],
     call("subscribe", SBIN, mode="QUOTE"), []),
    ("4: a removal restates the rest of each list it was on",
     [call("subscribe", SBIN, OPTION, mode="DEPTH"), call("subscribe", NIFTY, mode="LTP")],
     call("unsubscribe", SBIN, mode="DEPTH"),
     [wish("unsubscribe", "quote", SBIN), wish("subscribe", "quote", OPTION, NIFTY),
      wish("unsubscribe", "quote2", SBIN), wish("subscribe", "quote2", OPTION)]),
    ("4: a removal from one list leaves the other",
     [call("subscribe", SBIN, mode="DEPTH"), call("subscribe", NIFTY, GOLD, mode="QUOTE")],
     call("unsubscribe", GOLD, mode="QUOTE"),
     [wish("unsubscribe", "quote", GOLD), wish("subscribe", "quote", SBIN, NIFTY)]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "before", "later", "sends"), LATER, ids=[name for name, *_ in LATER])
def test_lists_are_always_complete(
    name: str, before: list[Mapping[str, Any]], later: Mapping[str, Any], sends: list[Any]
) -> None:
    item = {"name": name, "before": before, "call": later}
    (line,) = decode_document({"broker": "samco", "instruments": INSTRUMENTS, "outgoing": [item]})
    texts = [frame["text"] for frame in line["frames"]]
    assert [json.loads(text) for text in texts] == sends
    assert all(text.endswith("}\n") for text in texts)
