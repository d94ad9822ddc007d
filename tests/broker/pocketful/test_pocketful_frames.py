"""Frames and calls beyond the shared vectors, their meaning worked out from the specification's tables."""

import struct
from typing import Any

import pytest

from broker import vector_cases
from support.frame_items import Call, Item

INSTRUMENTS = [
    *vector_cases.load("pocketful")["instruments"],
    {"symbol": "SBIN", "exchange": "BSE", "token": "3045"},
    {"symbol": "GOLD05DEC25FUT", "exchange": "MCX", "token": "3045"},
    {"symbol": "MIDCPNIFTY30SEP25FUT", "exchange": "NFO", "token": "4294967295"},
]
CODES = {"NSE": 1, "NSE_INDEX": 1, "NFO": 2, "CDS": 3, "MCX": 4, "BSE": 6, "BSE_INDEX": 6, "BFO": 7}
TOKENS = {(row["symbol"], row["exchange"]): int(row["token"]) for row in INSTRUMENTS}
AT = 1_754_453_723
TOP = 2**32 - 1

SBIN, SBIN_BSE, NIFTY, SENSEX = ("SBIN", "NSE"), ("SBIN", "BSE"), ("NIFTY", "NSE_INDEX"), ("SENSEX", "BSE_INDEX")
RELIANCE, GOLD = ("RELIANCE", "BSE"), ("GOLD05DEC25FUT", "MCX")
FUTURE, CALL, PUT = ("NIFTY28AUG25FUT", "NFO"), ("NIFTY28AUG2525000CE", "NFO"), ("SENSEX28AUG2581000PE", "BFO")
DOLLAR, LAST_TOKEN = ("USDINR27AUG25FUT", "CDS"), ("MIDCPNIFTY30SEP25FUT", "NFO")
Name = tuple[str, str]


def tick(name: Name, mode: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": name[0], "exchange": name[1], "mode": mode, **fields}


def head(mode: int, name: Name) -> bytes:
    return struct.pack(">bbI", mode, CODES[name[1]], TOKENS[name])


def compact(
    name: Name, last: int, traded: int = AT, low: int = 0, high: int = 0, oi: int = 0, change: int = -5
) -> bytes:
    return head(2, name) + struct.pack(">IiIIIIIII", last, change, traded, low, high, oi, 111, 222, 333)


def detailed(name: Name, **said: int) -> bytes:
    """Fields by what they are; those that are not said are zero."""
    get = said.get
    return head(1, name) + struct.pack(
        ">4I4IQQ6I2I2I2I",
        *(get("last", 0), get("traded", 0), get("quantity", 0), get("volume", 0)),
        *(get("bid", 0), get("bid_size", 0), get("ask", 0), get("ask_size", 0)),
        *(get("buy", 0), get("sell", 0)),
        *(get("average", 0), get("stamp", 0), get("open", 0), get("high", 0), get("low", 0), get("close", 0)),
        *(get("year_high", 0), get("year_low", 0)),
        *(get("lower", 0), get("upper", 0)),
        *(get("oi", 0), get("oi_before", 0)),
    )


Level = tuple[int, int, int]
"""Orders, price, quantity."""


def snap(name: Name, bids: list[Level], asks: list[Level], tail: tuple[int, ...]) -> bytes:
    """Tail: average, open, high, low, close, buy, sell, volume."""
    columns = b""
    for side in (bids, asks):
        rows = side + [(0, 0, 0)] * (5 - len(side))
        columns += b"".join(struct.pack(">5I", *column) for column in zip(*rows, strict=True))
    return head(4, name) + columns + struct.pack(">5IQQI", *tail)


NOTHING = (0,) * 8

INCOMING = [
    Item("6: a compact frame of an index has no open interest", [compact(NIFTY, 2459615, low=0, high=0, oi=7)],
         [tick(NIFTY, "LTP", ltp=24596.15, ltt=AT * 1000)]),
    Item("6: a compact frame without a last price is no tick", [compact(FUTURE, 0, low=5, high=9, oi=3)], []),
    Item("6: an open interest of zero is one, a time of zero is none", [compact(FUTURE, 2461280, traded=0)],
         [tick(FUTURE, "LTP", ltp=24612.8, oi=0)]),
    Item("5: open interest and token are unsigned", [compact(LAST_TOKEN, 1_999_999_999, oi=TOP - 1, high=TOP, low=1)],
         [tick(LAST_TOKEN, "LTP", ltp=19999999.99, ltt=AT * 1000, oi=TOP - 1, lower_circuit=0.01)]),
    Item("5: the tail of a longer frame is ignored", [compact(SBIN, 81235) + b"\x01\x01tail"],
         [tick(SBIN, "LTP", ltp=812.35, ltt=AT * 1000)]),
    Item("5: a byte too few is malformed", [compact(SBIN, 81235)[:-1]], [], "malformed"),
    Item("5: a detailed frame of 101 bytes is malformed", [detailed(SBIN, last=81235)[:-1]], [], "malformed"),
    Item("5: a snap quote of 165 bytes is malformed", [snap(SBIN, [], [], NOTHING)[:-1]], [], "malformed"),
    Item("5: a mode without anything behind it is malformed", [b"\x02"], [], "malformed"),
    Item("9: one token on three exchanges", [compact(SBIN, 100), compact(SBIN_BSE, 200), compact(GOLD, 30000)],
         [tick(SBIN, "LTP", ltp=1.0, ltt=AT * 1000), tick(SBIN_BSE, "LTP", ltp=2.0, ltt=AT * 1000),
          tick(GOLD, "LTP", ltp=300.0, ltt=AT * 1000, oi=0)]),
    Item("8: other exchange codes are dropped",
         [b"\x02" + code + compact(SBIN, 100)[2:] for code in (b"\x00", b"\x02", b"\x05", b"\x08", b"\xff")], []),
    Item("6: a future before its first trade keeps zero quantities and loses zero prices",
         [detailed(FUTURE, stamp=AT, close=2466120, lower=2219510, upper=2712730, buy=75, sell=0)],
         [tick(FUTURE, "QUOTE", timestamp=AT * 1000, close=24661.2, lower_circuit=22195.1, upper_circuit=27127.3,
               volume=0, last_trade_quantity=0, total_buy_quantity=75, total_sell_quantity=0, oi=0)]),
    Item("5: totals have 64 bits, the volume 32 unsigned ones",
         [detailed(RELIANCE, last=139180, volume=TOP - 1, quantity=TOP - 2, buy=2**40 + 1, sell=2**33, oi=55)],
         [tick(RELIANCE, "QUOTE", ltp=1391.8, volume=TOP - 1, last_trade_quantity=TOP - 2,
               total_buy_quantity=2**40 + 1, total_sell_quantity=2**33)]),
    Item("6: an index leaves out every zero, and says what it has",
         [detailed(SENSEX, last=8071025, stamp=AT, volume=5, low=8000001)],
         [tick(SENSEX, "QUOTE", ltp=80710.25, timestamp=AT * 1000, volume=5, low=80000.01)]),
    Item("5: a currency's prices have seven decimals in every channel",
         [detailed(DOLLAR, last=876425000, open=876500000, close=875000000, average=876437500, upper=902475000,
                   quantity=1, volume=9, oi=4),
          snap(DOLLAR, [(2, 876400000, 15)], [(1, 876450000, 3)], (876437500, 876500000, 0, 0, 875000000, 8, 9, 10))],
         [tick(DOLLAR, "QUOTE", ltp=87.6425, open=87.65, close=87.5, avg_trade_price=87.64375, upper_circuit=90.2475,
               last_trade_quantity=1, volume=9, total_buy_quantity=0, total_sell_quantity=0, oi=4),
          tick(DOLLAR, "DEPTH", avg_trade_price=87.64375, open=87.65, close=87.5, total_buy_quantity=8,
               total_sell_quantity=9, volume=10,
               depth={"buy": [{"price": 87.64, "quantity": 15, "orders": 2}],
                      "sell": [{"price": 87.645, "quantity": 3, "orders": 1}]})]),
    Item("6: levels without a price or a quantity are dropped, orders are as they are",
         [snap(CALL, [(0, 18345, 75), (3, 0, 150), (2, 18330, 0), (1, 18325, 225)], [(4, 18355, 0)],
               (0, 0, 0, 0, 17800, 300, 0, 0))],
         [tick(CALL, "DEPTH", close=178.0, total_buy_quantity=300, total_sell_quantity=0, volume=0,
               depth={"buy": [{"price": 183.45, "quantity": 75, "orders": 0},
                              {"price": 183.25, "quantity": 225, "orders": 1}], "sell": []})]),
    Item("6: an empty book is one", [snap(PUT, [], [], NOTHING)],
         [tick(PUT, "DEPTH", total_buy_quantity=0, total_sell_quantity=0, volume=0, depth={"buy": [], "sell": []})]),
    Item("6: a snap quote of an index has no book, whatever stands there",
         [snap(NIFTY, [(1, 2459000, 5)], [(1, 2460000, 5)], (0, 2459605, 0, 0, 2464955, 0, 0, 0))],
         [tick(NIFTY, "QUOTE", open=24596.05, close=24649.55)]),
    Item("5: a trade update is an order's", [b"\x33" + bytes(4) + b'{"a":1}'], [], "order"),
    Item("5: other modes are ignored",
         [bytes([mode]) + compact(SBIN, 81235)[1:] for mode in (0, 3, 9, 10, 14, 58, 128, 255)], []),
    Item("5: a text is no tick", ['{"status":"error"}', "x", compact(SBIN, 81235)],
         [tick(SBIN, "LTP", ltp=812.35, ltt=AT * 1000)]),
    Item("6: frames keep no state", [detailed(SBIN, last=81235, open=81000, quantity=9), compact(SBIN, 81240)],
         [tick(SBIN, "QUOTE", ltp=812.35, open=810.0, last_trade_quantity=9, volume=0, total_buy_quantity=0,
               total_sell_quantity=0),
          tick(SBIN, "LTP", ltp=812.4, ltt=AT * 1000)]),
]  # fmt: skip


@pytest.mark.parametrize("item", INCOMING, ids=lambda item: item.name)
def test_frames_mean_what_the_specification_says(item: Item) -> None:
    item.check("pocketful", INSTRUMENTS)


def test_the_frames_have_the_documented_sizes() -> None:
    assert [len(compact(SBIN, 1)), len(detailed(SBIN)), len(snap(SBIN, [], [], NOTHING))] == [42, 102, 166]


def wish(action: str, channel: str, *names: Name) -> dict[str, Any]:
    return {"a": action, "v": [[CODES[name[1]], TOKENS[name]] for name in names], "m": channel}


def call(op: str, *names: Name, **more: Any) -> dict[str, Any]:
    return {"op": op, "instruments": [list(name) for name in names], **more}


CALLS = [
    Call("3: login and token are escaped in the address",
         {"op": "connect", "credentials": {"client_id": "A&B", "access_token": "x+y/z="}},
         url="wss://trade.pocketful.in/ws/v1/feeds?login_id=A%26B&access_token=x%2By%2Fz%3D"),
    Call("2: the feed's host is that of the login",
         {"op": "connect", "credentials": {"client_id": "A", "access_token": "t", "flow": "direct"}},
         url="wss://algo.pocketful.in/ws/v1/feeds?login_id=A&access_token=t"),
    Call("4: depth for indices is the quote alone", call("subscribe", NIFTY, SENSEX, mode="DEPTH"),
         [wish("subscribe", "marketdata", NIFTY, SENSEX)]),
    Call("4: depth for shares and an index, a request a channel", call("subscribe", SBIN, NIFTY, CALL, mode="DEPTH"),
         [wish("subscribe", "marketdata", SBIN, NIFTY, CALL), wish("subscribe", "full_snapquote", SBIN, CALL)]),
    Call("4: and so at its end", call("unsubscribe", NIFTY, SBIN, mode="DEPTH"),
         [wish("unsubscribe", "marketdata", NIFTY, SBIN), wish("unsubscribe", "full_snapquote", SBIN)]),
    Call("4: shares and currency in LTP", call("subscribe", SBIN, SBIN_BSE, DOLLAR, mode="LTP"),
         [wish("subscribe", "compact_marketdata", SBIN, SBIN_BSE, DOLLAR)]),
    Call("4: LTP ends", call("unsubscribe", GOLD, mode="LTP"), [wish("unsubscribe", "compact_marketdata", GOLD)]),
    Call("4: an end of an index's depth", call("unsubscribe", NIFTY, mode="DEPTH"),
         [wish("unsubscribe", "marketdata", NIFTY)]),
    Call("4: from QUOTE to DEPTH", call("set_mode", SBIN, CALL, mode="DEPTH", **{"from": "QUOTE"}),
         [wish("subscribe", "full_snapquote", SBIN, CALL)]),
    Call("4: from DEPTH to QUOTE the book goes", call("set_mode", SBIN, mode="QUOTE", **{"from": "DEPTH"}),
         [wish("unsubscribe", "full_snapquote", SBIN)]),
    Call("4: from LTP to DEPTH", call("set_mode", PUT, mode="DEPTH", **{"from": "LTP"}),
         [wish("subscribe", "marketdata", PUT), wish("subscribe", "full_snapquote", PUT),
          wish("unsubscribe", "compact_marketdata", PUT)]),
    Call("4: from DEPTH to LTP", call("set_mode", PUT, mode="LTP", **{"from": "DEPTH"}),
         [wish("subscribe", "compact_marketdata", PUT), wish("unsubscribe", "marketdata", PUT),
          wish("unsubscribe", "full_snapquote", PUT)]),
    Call("4: an index has one list", call("set_mode", NIFTY, mode="DEPTH", **{"from": "QUOTE"})),
    Call("3: nothing right after open, nothing before a close", {"op": "disconnect"}),
]  # fmt: skip


@pytest.mark.parametrize("item", CALLS, ids=lambda item: item.name)
def test_calls_send_what_the_specification_says(item: Call) -> None:
    item.check("pocketful", INSTRUMENTS)
