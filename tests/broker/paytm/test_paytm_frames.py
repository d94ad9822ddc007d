"""Frames and calls beyond the shared vectors, their meaning worked out from the specification's tables."""

import json
import struct
from typing import Any

import pytest

from broker import vector_cases
from support.frame_items import Call, Item

INSTRUMENTS = [
    *vector_cases.load("paytm")["instruments"],
    {"symbol": "ADANIENT", "exchange": "NSE", "token": "25", "instrumenttype": "EQ"},
    {"symbol": "BANKNIFTY", "exchange": "NSE_INDEX", "token": "25", "instrumenttype": "INDEX"},
    {"symbol": "SENSEX26NOV26FUT", "exchange": "BFO", "token": "861200", "instrumenttype": "FUT"},
    {"symbol": "SBIN29DEC26817.5PE", "exchange": "NFO", "token": "71844", "instrumenttype": "PE"},
    {"symbol": "SETFNIFBK", "exchange": "BSE", "token": "590108", "instrumenttype": "ETF"},
]
EXCHANGES = {row["symbol"]: row["exchange"] for row in INSTRUMENTS}
CLOCK = 1_479_896_130
"""2026-11-23 10:15:30 in India, counted from 1980."""
MOMENT = 1_795_409_130_000
TOP = 2**32 - 2


def tick(symbol: str, mode: str, exchange: str = "", **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "exchange": exchange or EXCHANGES[symbol], "mode": mode, **fields}


def ltp(kind: int, token: int, last: float, clock: int) -> bytes:
    return struct.pack("<BfIIBBff", kind, last, clock, token, 1, 1, -12.5, -0.31)


def block(token: int, last: float, clock: int, counts: tuple[int, ...], *prices: float) -> bytes:
    """From the last price on. Counts: last, volume, buy, sell; prices: average, open, close, high, low."""
    quantity, volume, buy, sell = counts
    average, open_, close, high, low = prices
    head = struct.pack("<fIIBBIfIII", last, clock, token, 1, 2, quantity, average, volume, buy, sell)
    return head + struct.pack("<8f", open_, close, high, low, -1.25, -18.4, 1608.8, 1114.85)


def full(book: list[tuple[int, int, int, int, float, float]], rest: bytes, oi: int) -> bytes:
    levels = b"".join(struct.pack("<IIhhff", *level) for level in book).ljust(100, b"\0")
    return b"\x3f" + levels + rest + struct.pack("<Ii", oi, -40)


def index_quote(token: int, *prices: float) -> bytes:
    return struct.pack("<BfIBB", 65, prices[0], token, 0, 2) + struct.pack("<8f", *prices[1:], -0.4, -100.5, 9e4, 7e4)


def index_full(token: int, clock: int, *prices: float) -> bytes:
    return struct.pack("<BfIBB6fI", 66, prices[0], token, 0, 3, *prices[1:], -0.4, -100.5, clock)


SHARE = ltp(61, 2885, 1546.35, CLOCK)
SHARE_TICK = tick("RELIANCE", "LTP", "NSE", ltp=1546.35, ltt=MOMENT)
TRADED = (1, 2, 3, 4)
ABB_PRICES = (5200.0, 5190.0, 5180.5, 5222.0, 5170.05)
ABB_QUOTE = b"\x3e" + block(13, 5210.5, CLOCK, TRADED, *ABB_PRICES)
ABB_FIELDS: dict[str, Any] = {
    "ltp": 5210.5, "ltt": MOMENT, "avg_trade_price": 5200.0, "open": 5190.0, "close": 5180.5, "high": 5222.0,
    "low": 5170.05, "last_trade_quantity": 1, "volume": 2, "total_buy_quantity": 3, "total_sell_quantity": 4,
}  # fmt: skip

INCOMING = [
    Item(
        "6: a quote before the first trade: prices and time absent, quantities of zero passed on",
        [b"\x3e" + block(500325, 0.0, 0, (0, 0, 900, 0), 0.0, 0.0, 1538.15, 0.0, 0.0)],
        [
            tick(
                "RELIANCE", "QUOTE", "BSE", close=1538.15, last_trade_quantity=0, volume=0, total_buy_quantity=900,
                total_sell_quantity=0,
            )
        ],
    ),
    Item(
        "5: a full packet of a share has an open interest of zero, quantities are unsigned",
        [full([], block(2885, 1546.35, CLOCK, (TOP, TOP, TOP, TOP), 1541.07, 1540.0, 1538.15, 1551.8, 1533.2), 0)],
        [
            tick(
                "RELIANCE", "DEPTH", "NSE", ltp=1546.35, ltt=MOMENT, avg_trade_price=1541.07, open=1540.0,
                close=1538.15, high=1551.8, low=1533.2, last_trade_quantity=TOP, volume=TOP, total_buy_quantity=TOP,
                total_sell_quantity=TOP, oi=0, depth={"buy": [], "sell": []},
            )
        ],
    ),
    Item(
        "5, 6: an option of three bids and one offer, whose levels without a price are dropped side by side",
        [
            full(
                [
                    (750, 0, 3, 0, 61.25, 0.0),
                    (1500, 2250, 4, 5, 61.2, 61.4),
                    (0, 0, 1, 0, 61.0, 0.0),
                    (0, 900, 0, 2, 0.0, 0.0),
                ],
                block(71844, 61.3, CLOCK, (750, 37500, 2250, 2250), 60.85, 58.0, 62.15, 66.6, 55.05),
                TOP,
            )
        ],
        [
            tick(
                "SBIN29DEC26817.5PE", "DEPTH", ltp=61.3, ltt=MOMENT, avg_trade_price=60.85, open=58.0, close=62.15,
                high=66.6, low=55.05, last_trade_quantity=750, volume=37500, total_buy_quantity=2250,
                total_sell_quantity=2250, oi=TOP,
                depth={
                    "buy": [
                        {"price": 61.25, "quantity": 750, "orders": 3},
                        {"price": 61.2, "quantity": 1500, "orders": 4},
                        {"price": 61.0, "quantity": 0, "orders": 1},
                    ],
                    "sell": [{"price": 61.4, "quantity": 2250, "orders": 5}],
                },
            )
        ],
    ),
    Item(
        "5 IDENTITY: share 25 and index 25 in one frame",
        [ltp(61, 25, 2410.05, CLOCK) + ltp(64, 25, 58120.35, CLOCK)],
        [
            tick("ADANIENT", "LTP", ltp=2410.05, ltt=MOMENT),
            tick("BANKNIFTY", "LTP", ltp=58120.35, timestamp=MOMENT),
        ],
    ),
    Item("5 IDENTITY: index packets of a share's number are nobody's", [index_quote(2885, *[100.0] * 5)], []),
    Item("5 IDENTITY: a share's packet of an index's number is nobody's", [ltp(61, 51, 100.0, CLOCK)], []),
    Item(
        "5: an index's LTP without a time",
        [ltp(64, 51, 85231.92, 0)],
        [tick("SENSEX", "LTP", ltp=85231.92)],
    ),
    Item(
        "6: a full index packet serves QUOTE; before the opening it has no day",
        [index_full(13, 0, 26068.15, 0.0, 26192.15, 0.0, 0.0)],
        [tick("NIFTY", "QUOTE", ltp=26068.15, close=26192.15)],
    ),
    Item(
        "5: packets of all six types end to end",
        [
            SHARE
            + ABB_QUOTE
            + full([(75, 150, 1, 2, 85010.0, 85015.05)], block(861200, 5210.5, CLOCK, TRADED, *ABB_PRICES), 7)
            + ltp(64, 13, 26068.15, CLOCK)
            + index_quote(51, 85231.92, 85500.0, 85632.68, 85700.25, 85190.1)
            + index_full(25, CLOCK, 58120.35, 58200.0, 58300.05, 58310.0, 58001.1)
        ],
        [
            SHARE_TICK,
            tick("ABB", "QUOTE", **ABB_FIELDS),
            tick(
                "SENSEX26NOV26FUT", "DEPTH", **ABB_FIELDS, oi=7,
                depth={
                    "buy": [{"price": 85010.0, "quantity": 75, "orders": 1}],
                    "sell": [{"price": 85015.05, "quantity": 150, "orders": 2}],
                },
            ),
            tick("NIFTY", "LTP", ltp=26068.15, timestamp=MOMENT),
            tick("SENSEX", "QUOTE", ltp=85231.92, open=85500.0, close=85632.68, high=85700.25, low=85190.1),
            tick(
                "BANKNIFTY", "QUOTE", ltp=58120.35, timestamp=MOMENT, open=58200.0, close=58300.05, high=58310.0,
                low=58001.1,
            ),
        ],
    ),
    Item("5 ERRORS: a cut packet keeps those before it", [SHARE + ABB_QUOTE[:-1]], [SHARE_TICK], "malformed"),
    Item("5 ERRORS: an unknown type ends the frame", [SHARE + b"\x43" + SHARE], [SHARE_TICK], "malformed"),
    Item("5 ERRORS: a type byte alone", [b"\x3d"], [], "malformed"),
    Item("5 ERRORS: an empty frame gives nothing", [b""], []),
    Item("6: packets of others around ours", [ltp(61, 7, 1.0, CLOCK) + SHARE + ltp(64, 7, 1.0, 0)], [SHARE_TICK]),
    Item("5: a plain text is an error, ticks go on", ["Session limit reached", SHARE], [SHARE_TICK], "error"),
    Item("5: a text that is a list is an error", ['[{"message":"x"}]'], [], "error"),
    Item(
        "6: no state: a later packet has only its own fields",
        [ABB_QUOTE, ltp(61, 13, 5211.0, CLOCK + 1)],
        [tick("ABB", "QUOTE", **ABB_FIELDS), tick("ABB", "LTP", ltp=5211.0, ltt=MOMENT + 1000)],
    ),
]  # fmt: skip


@pytest.mark.parametrize("item", INCOMING, ids=lambda item: item.name)
def test_frames_mean_what_the_specification_says(item: Item) -> None:
    item.check("paytm", INSTRUMENTS)


def preferences(*wishes: str) -> str:
    """A frame of preferences such as `ADD LTP EQUITY NSE 2885`."""
    names = ("actionType", "modeType", "scripType", "exchangeType", "scripId")
    objects = [dict(zip(names, wish.split(), strict=True)) for wish in wishes]
    return json.dumps(objects, separators=(",", ":"))


def call(op: str, *symbols: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "instruments": [[symbol, EXCHANGES[symbol]] for symbol in symbols], **more}


CALLS = [
    Call(
        "3: the token is escaped in the address",
        {"op": "connect", "credentials": {"public_access_token": "a+b/c=&d"}},
        url="wss://developer-ws.paytmmoney.com/broadcast/user/v1/data?x_jwt_token=a%2Bb%2Fc%3D%26d",
    ),
    Call("7: no application heartbeat", {"op": "heartbeat"}),
    Call("3: no farewell", {"op": "disconnect"}),
    Call(
        "4, 8: derivatives of BSE, an ETF of BSE",
        call("subscribe", "SENSEX26NOV26FUT", "SETFNIFBK", "SBIN29DEC26817.5PE", mode="DEPTH"),
        [preferences("ADD FULL FUTURE BSE 861200", "ADD FULL ETF BSE 590108", "ADD FULL OPTION NSE 71844")],
    ),
    Call(
        "4: an index in DEPTH is a full one",
        call("subscribe", "NIFTY", "SENSEX", mode="DEPTH"),
        [preferences("ADD FULL INDEX NSE 13", "ADD FULL INDEX BSE 51")],
    ),
    Call(
        "4: a mode goes with what was added",
        call("unsubscribe", "BANKNIFTY", "ADANIENT", mode="DEPTH"),
        [preferences("REMOVE FULL INDEX NSE 25", "REMOVE FULL EQUITY NSE 25")],
    ),
    Call(
        "4: a change of mode removes and adds in one frame",
        call("set_mode", "NIFTY29DEC26FUT", "NIFTY", mode="DEPTH", **{"from": "LTP"}),
        [
            preferences(
                "REMOVE LTP FUTURE NSE 44498", "REMOVE LTP INDEX NSE 13", "ADD FULL FUTURE NSE 44498",
                "ADD FULL INDEX NSE 13",
            )
        ],
    ),
    Call(
        "4: and so down again",
        call("set_mode", "NIFTYBEES", mode="QUOTE", **{"from": "DEPTH"}),
        [preferences("REMOVE FULL ETF NSE 10576", "ADD QUOTE ETF NSE 10576")],
    ),
]  # fmt: skip


@pytest.mark.parametrize("item", CALLS, ids=lambda item: item.name)
def test_calls_send_what_the_specification_says(item: Call) -> None:
    item.check("paytm", INSTRUMENTS)
