"""Frames and calls beyond the shared vectors, their meaning worked out from the specification by hand."""

import struct
from typing import Any

import pytest

from support.frame_items import Call, Item

ROWS = (
    ("SBIN", "NSE", 3045, 1),
    ("RELIANCE", "NSE", 2885, 1),
    ("ABB", "NSE", 13, 1),
    ("RELIANCE", "BSE", 500325, 4),
    ("NIFTY28AUG25FUT", "NFO", 53001, 2),
    ("SENSEX26AUG2582000PE", "BFO", 1133456, 8),
    ("EURINR29AUG25102.75CE", "CDS", 2885, 3),
    ("USDINR27AUG25FUT", "BCD", 13, 7),
    ("CRUDEOIL19AUG25FUT", "MCX", 447552, 5),
    ("NIFTY", "NSE_INDEX", 13, 0),
    ("SENSEX", "BSE_INDEX", 51, 0),
)
INSTRUMENTS = [{"symbol": symbol, "exchange": exchange, "token": str(token)} for symbol, exchange, token, _ in ROWS]
PLACES = {(symbol, exchange): (segment, token) for symbol, exchange, token, segment in ROWS}
SBIN, RELIANCE, BSE_RELIANCE, ABB = ("SBIN", "NSE"), ("RELIANCE", "NSE"), ("RELIANCE", "BSE"), ("ABB", "NSE")
FUTURE, PUT, EURINR = ("NIFTY28AUG25FUT", "NFO"), ("SENSEX26AUG2582000PE", "BFO"), ("EURINR29AUG25102.75CE", "CDS")
USDINR, CRUDE, NIFTY, SENSEX = (
    ("USDINR27AUG25FUT", "BCD"), ("CRUDEOIL19AUG25FUT", "MCX"), ("NIFTY", "NSE_INDEX"), ("SENSEX", "BSE_INDEX"),
)  # fmt: skip
Name = tuple[str, str]

WIRE_TIME = 1_755_527_411  # 14:30:11 on an Indian clock, as if that were UTC
LTT = 1_755_507_611_000
DAY_CLOSE = 555.0
"""Stands where the packets have today's close, which is not the previous one."""


def tick(name: Name, mode: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": name[0], "exchange": name[1], "mode": mode} | fields


def head(code: int, size: int, name: Name | tuple[int, int]) -> bytes:
    segment, token = PLACES.get(name, name)  # type: ignore[arg-type]
    return struct.pack("<BHBI", code, size, segment, token)


def ticker(name: Name, price: float, traded: int = WIRE_TIME) -> bytes:
    return head(2, 16, name) + struct.pack("<fI", price, traded)


def close(name: Name, price: float) -> bytes:
    return head(6, 16, name) + struct.pack("<fI", price, 123)


def interest(name: Name, oi: int) -> bytes:
    return head(5, 12, name) + struct.pack("<I", oi)


def common(price: float, quantity: int, average: float, volume: int, sell: int, buy: int, traded: int) -> bytes:
    return struct.pack("<fHIfIII", price, quantity, traded, average, volume, sell, buy)


def quote(name: Name, *values: Any, day: tuple[float, float, float], traded: int = WIRE_TIME) -> bytes:
    """`values`: price, quantity, average, volume, total sell, total buy; `day`: open, high, low."""
    return head(4, 50, name) + common(*values, traded) + struct.pack("<ffff", day[0], DAY_CLOSE, *day[1:])


def full(name: Name, *values: Any, oi: int, day: tuple[float, float, float], levels: bytes = b"") -> bytes:
    interests = struct.pack("<III", oi, 9_999_999, 1)
    prices = struct.pack("<ffff", day[0], DAY_CLOSE, *day[1:])
    return head(8, 162, name) + common(*values, WIRE_TIME) + interests + prices + levels.ljust(100, b"\0")


def level(bid: tuple[int, int, float], ask: tuple[int, int, float]) -> bytes:
    """Each side: quantity, orders, price."""
    return struct.pack("<IIHHff", bid[0], ask[0], bid[1], ask[1], bid[2], ask[2])


def rung(price: float, quantity: int, orders: int) -> dict[str, float]:
    return {"price": price, "quantity": quantity, "orders": orders}


def side(name: Name, code: int, rows: list[tuple[float, int, int]], last: int = 0, pad: int = 0) -> bytes:
    body = b"".join(struct.pack("<dII", *row) for row in rows) + bytes(pad)
    segment, token = PLACES[name]
    return struct.pack("<HBBII", 12 + len(body), code, segment, token, last) + body


def twenty(name: Name, code: int, *rows: tuple[float, int, int]) -> bytes:
    return side(name, code, [*rows, *[(0.0, 0, 0)] * (20 - len(rows))], last=77)


NO_DAY = (0.0, 0.0, 0.0)
ZEROS = {"last_trade_quantity": 0, "volume": 0, "total_buy_quantity": 0, "total_sell_quantity": 0}
QUOTED = (99.5, 25, 99.25, 1000, 11, 22)
DAY = (98.0, 102.0, 97.0)
FIELDS = {
    "ltp": 99.5, "ltt": LTT, "last_trade_quantity": 25, "avg_trade_price": 99.25, "volume": 1000,
    "total_sell_quantity": 11, "total_buy_quantity": 22, "open": 98.0, "high": 102.0, "low": 97.0,
}  # fmt: skip

MAIN = [
    Item(
        "5.4: one id in several segments is several instruments",
        [ticker(NIFTY, 24_980.65) + ticker(ABB, 5_100.5) + ticker(USDINR, 87.2575) + ticker(RELIANCE, 1_412.15)
         + ticker(EURINR, 0.1275) + head(2, 16, (2, 13)) + bytes(8)],
        [
            tick(NIFTY, "LTP", ltp=24_980.65, ltt=LTT), tick(ABB, "LTP", ltp=5_100.5, ltt=LTT),
            tick(USDINR, "LTP", ltp=87.2575, ltt=LTT), tick(RELIANCE, "LTP", ltp=1_412.15, ltt=LTT),
            tick(EURINR, "LTP", ltp=0.1275, ltt=LTT),
        ],
    ),
    Item(
        "5.2: a quote of BSE's currency, four decimals; today's close is not the previous one",
        [quote(USDINR, 87.2575, 3, 87.2314, 812_340, 61_877, 54_210, day=(87.19, 87.305, 87.1525))],
        [
            tick(
                USDINR, "QUOTE", ltp=87.2575, ltt=LTT, last_trade_quantity=3, avg_trade_price=87.2314, volume=812_340,
                total_sell_quantity=61_877, total_buy_quantity=54_210, open=87.19, high=87.305, low=87.1525,
            )
        ],
    ),
    Item(
        "5.2: a full packet of a BFO option, its open interest is the first of three, one side may end early",
        [full(PUT, *QUOTED, oi=7_120, day=DAY,
              levels=level((20, 1, 99.45), (40, 2, 99.55)) + level((0, 0, -0.01), (60, 3, 99.6))
              + level((5, 1, -0.01), (0, 7, 99.7)))],
        [
            tick(
                PUT, "DEPTH", **FIELDS, oi=7_120,
                depth={"buy": [rung(99.45, 20, 1)], "sell": [rung(99.55, 40, 2), rung(99.6, 60, 3)]},
            )
        ],
    ),
    Item(
        "5.2: a full packet of a share has no open interest; before the first trade prices are absent",
        [full(SBIN, 0.0, 0, 0.0, 0, 0, 0, oi=5, day=NO_DAY)],
        [tick(SBIN, "DEPTH", ltt=LTT, **ZEROS, depth={"buy": [], "sell": []})],
    ),
    Item(
        "5.5: open interest of a full packet shows in the quotes after it, of 0 too",
        [full(FUTURE, *QUOTED, oi=0, day=DAY), quote(FUTURE, *QUOTED, day=DAY)],
        [tick(FUTURE, "DEPTH", **FIELDS, oi=0, depth={"buy": [], "sell": []}), tick(FUTURE, "QUOTE", **FIELDS, oi=0)],
    ),
    Item(
        "5.5: open interest repeats no LTP tick, and none at all before a tick",
        [interest(FUTURE, 5), ticker(FUTURE, 99.5), interest(FUTURE, 6), quote(FUTURE, *QUOTED, day=DAY)],
        [tick(FUTURE, "LTP", ltp=99.5, ltt=LTT), tick(FUTURE, "QUOTE", **FIELDS, oi=6)],
    ),
    Item(
        "5.5: open interest of a share or an index is nothing",
        [quote(SBIN, *QUOTED, day=DAY), interest(SBIN, 7), ticker(NIFTY, 99.5), interest(NIFTY, 7),
         ticker(SBIN, 99.5)],
        [tick(SBIN, "QUOTE", **FIELDS), tick(NIFTY, "LTP", ltp=99.5, ltt=LTT), tick(SBIN, "LTP", ltp=99.5, ltt=LTT)],
    ),
    Item(
        "5.5: the previous close repeats the last tick in its mode, book and all",
        [full(CRUDE, *QUOTED, oi=13, day=DAY, levels=level((6, 4, 99.0), (3, 2, 100.0))), close(CRUDE, 96.0)],
        [
            tick(CRUDE, "DEPTH", **FIELDS, oi=13, depth={"buy": [rung(99.0, 6, 4)], "sell": [rung(100.0, 3, 2)]}),
            tick(
                CRUDE, "DEPTH", **FIELDS, oi=13, close=96.0,
                depth={"buy": [rung(99.0, 6, 4)], "sell": [rung(100.0, 3, 2)]},
            ),
        ],
    ),
    Item(
        "5.5: a previous close of another segment is another's",
        [close(RELIANCE, 1_400.0) + close(EURINR, 0.1225), ticker(RELIANCE, 1_412.15), ticker(EURINR, 0.1275)],
        [
            tick(RELIANCE, "LTP", ltp=1_412.15, ltt=LTT, close=1_400.0),
            tick(EURINR, "LTP", ltp=0.1275, ltt=LTT, close=0.1225),
        ],
    ),
    Item(
        "6: a previous close of 0 is none",
        [close(SBIN, 0.0), ticker(SBIN, 812.35), close(SBIN, -0.01)],
        [tick(SBIN, "LTP", ltp=812.35, ltt=LTT)],
    ),
    Item(
        "5.4: no time of 0, and a price of -0.01 or 0 makes no LTP tick",
        [ticker(SBIN, 812.35, traded=0), ticker(SBIN, -0.01), ticker(SBIN, 0.0)],
        [tick(SBIN, "LTP", ltp=812.35)],
    ),
    Item(
        "6: an index quote: its zeros of quantity stay",
        [quote(SENSEX, 81_785.74, 0, 0.0, 0, 0, 0, day=(81_500.25, 81_900.5, 81_400.75))],
        [
            tick(
                SENSEX, "QUOTE", ltp=81_785.74, ltt=LTT, **ZEROS, open=81_500.25, high=81_900.5, low=81_400.75
            )
        ],
    ),
    Item(
        "5.1: known codes step by their size, whatever the length field says",
        [ticker(SBIN, 1.5).replace(b"\x02\x10\x00", b"\x02\x08\x00") + head(7, 0, (0, 13)) + head(3, 1, SBIN)
         + bytes(104) + ticker(SBIN, 2.5)],
        [tick(SBIN, "LTP", ltp=1.5, ltt=LTT), tick(SBIN, "LTP", ltp=2.5, ltt=LTT)],
    ),
    Item(
        "5.1: unknown codes and the index packet step by their length field",
        [head(1, 20, NIFTY) + bytes(12) + head(99, 9, SBIN) + b"x" + ticker(SBIN, 1.5)],
        [tick(SBIN, "LTP", ltp=1.5, ltt=LTT)],
    ),
    Item(
        "5.1: an unknown code that says too little drops the rest",
        [ticker(SBIN, 1.5) + head(99, 7, SBIN) + ticker(SBIN, 2.5)],
        [tick(SBIN, "LTP", ltp=1.5, ltt=LTT)],
        "malformed",
    ),
    Item(
        "5.1: an unknown code that says too much drops the rest",
        [ticker(SBIN, 1.5) + head(99, 60_000, SBIN) + ticker(SBIN, 2.5)],
        [tick(SBIN, "LTP", ltp=1.5, ltt=LTT)],
        "malformed",
    ),
    Item(
        "5.1: a heartbeat without a length drops the rest and says so to nobody",
        [ticker(SBIN, 1.5) + head(0, 0, (0, 0)) + ticker(SBIN, 2.5)],
        [tick(SBIN, "LTP", ltp=1.5, ltt=LTT)],
    ),
    Item("5.1: a heartbeat of 12 bytes", [head(0, 12, (0, 0)) + bytes(4)], [], "heartbeat"),
    Item(
        "5.1: a quote that ends early after a ticker", [ticker(SBIN, 1.5) + quote(SBIN, *QUOTED, day=DAY)[:-1]],
        [tick(SBIN, "LTP", ltp=1.5, ltt=LTT)], "malformed",
    ),
    Item("5.1: half a header", [b"\x02\x10\x00\x01"], [], "malformed"),
    Item("10: text is not expected", ["hello", '{"RequestCode":15}'], []),
    *(
        Item(f"5.6: reason {reason}", [head(50, 10, (0, 0)) + struct.pack("<H", reason)], [], event)
        for reason, event in (
            (800, "error"), (804, "error"), (806, "auth_error"), (808, "auth_error"), (809, "auth_error"),
            (810, "auth_error"), (811, "error"), (813, "error"), (814, "error"), (999, "error"),
        )
    ),
]  # fmt: skip

BOOK = tick(SBIN, "DEPTH", depth={"buy": [rung(812.3, 5, 1)], "sell": [rung(812.35, 6, 2)]})
BIDS, ASKS = twenty(SBIN, 41, (812.3, 5, 1)), twenty(SBIN, 51, (812.35, 6, 2))

DEEP = [
    Item("5.3: asks before bids, in two frames", [ASKS, BIDS], [BOOK], None, "depth20"),
    Item("5.3: half a book is none, and a used half is used up", [BIDS, ASKS, ASKS], [BOOK], None, "depth20"),
    Item(
        "5.3: the later bids replace the earlier, rows are sorted, those of nothing dropped",
        [twenty(FUTURE, 41, (1.0, 1, 1)) + twenty(FUTURE, 41, (99.5, 1, 1), (99.75, 2, 1), (99.6, 0, 3), (0.0, 4, 1)),
         twenty(FUTURE, 51, (101.0, 3, 1), (100.00004, 4, 1))],
        [
            tick(
                FUTURE, "DEPTH",
                depth={
                    "buy": [rung(99.75, 2, 1), rung(99.5, 1, 1)], "sell": [rung(100.0, 4, 1), rung(101.0, 3, 1)],
                },
            )
        ],
        None,
        "depth20",
    ),
    Item(
        "5.3: one id in two segments makes no book of both",
        [twenty(RELIANCE, 41, (1_412.0, 5, 1)) + side(EURINR, 51, [(0.1, 1, 1)] * 20)],
        [],
        None,
        "depth20",
    ),
    Item(
        "5.3: what follows a sound packet may be cut",
        [BIDS + ASKS + BIDS[:40]], [BOOK], "malformed", "depth20",
    ),
    Item("5.3: a length below the header", [BIDS + struct.pack("<HBBII", 11, 51, 1, 3045, 0) + ASKS], [],
         "malformed", "depth20"),
    Item("5.3: a code that is none", [BIDS + side(SBIN, 42, [(1.0, 1, 1)]) + ASKS], [BOOK], None, "depth20"),
    Item("5.3: a reason in 16 bytes is read after the header",
         [struct.pack("<HBBIIHH", 16, 50, 0, 0, 800, 806, 0)], [], "auth_error", "depth20"),
    Item("5.3: a reason in 12 bytes is read from the last field",
         [struct.pack("<HBBII", 12, 50, 0, 0, 805)], [], "error", "depth200"),
    Item(
        "5.3: as many of 200 rows as the header says, with padding",
        [side(FUTURE, 41, [(99.5, 1, 1), (99.0, 2, 2), (98.5, 3, 3)], last=2, pad=160)
         + side(FUTURE, 51, [(100.0, 4, 4)], last=9)],
        [
            tick(
                FUTURE, "DEPTH",
                depth={"buy": [rung(99.5, 1, 1), rung(99.0, 2, 2)], "sell": [rung(100.0, 4, 4)]},
            )
        ],
        None,
        "depth200",
    ),
]  # fmt: skip


def listed(code: int, *entries: tuple[str, str]) -> dict[str, Any]:
    rows = [{"ExchangeSegment": segment, "SecurityId": number} for segment, number in entries]
    return {"RequestCode": code, "InstrumentCount": len(rows), "InstrumentList": rows}


OUTGOING = [
    Call(
        "8: every segment has its name",
        {
            "op": "subscribe", "mode": "QUOTE",
            "instruments": [list(name) for name in (SBIN, BSE_RELIANCE, FUTURE, PUT, EURINR, USDINR, CRUDE, SENSEX)],
        },
        [
            listed(
                17, ("NSE_EQ", "3045"), ("BSE_EQ", "500325"), ("NSE_FNO", "53001"), ("BSE_FNO", "1133456"),
                ("NSE_CURRENCY", "2885"), ("BSE_CURRENCY", "13"), ("MCX_COMM", "447552"), ("IDX_I", "51"),
            )
        ],
        "", "main",
    ),
    Call(
        "4: full is not served for an index: quote in its place",
        {"op": "subscribe", "mode": "DEPTH", "instruments": [list(NIFTY), list(SBIN)]},
        [listed(17, ("IDX_I", "13")), listed(21, ("NSE_EQ", "3045"))],
        "", "main",
    ),
    Call(
        "4: 20 levels where there are none are 5",
        {"op": "subscribe", "mode": "DEPTH", "depth_level": 20, "instruments": [list(CRUDE)]},
        [listed(21, ("MCX_COMM", "447552"))],
        "", "main",
    ),
    Call(
        "4: beside 20 levels the main feed holds quotes",
        {"op": "subscribe", "mode": "DEPTH", "depth_level": 20, "instruments": [list(SBIN)]},
        [listed(17, ("NSE_EQ", "3045"))],
        "", "main",
    ),
    Call(
        "4: from full to ticker",
        {"op": "set_mode", "from": "DEPTH", "mode": "LTP", "instruments": [list(SBIN)]},
        [listed(15, ("NSE_EQ", "3045")), listed(22, ("NSE_EQ", "3045"))],
        "", "main",
    ),
    Call(
        "4: the end of LTP",
        {"op": "unsubscribe", "mode": "LTP", "instruments": [list(NIFTY)]}, [listed(16, ("IDX_I", "13"))], "", "main",
    ),
    Call(
        "4: the end of 200 levels has the short form",
        {"op": "unsubscribe", "mode": "DEPTH", "depth_level": 200, "instruments": [list(FUTURE)]},
        [{"RequestCode": 25, "ExchangeSegment": "NSE_FNO", "SecurityId": "53001"}],
        "", "depth200",
    ),
    Call("7: no heartbeat is sent", {"op": "heartbeat"}, [], "", "main"),
    *(
        Call(
            f"3: the address of {channel}",
            {"op": "connect", "client_id": "1100000001", "access_token": "a.b+c"},
            [],
            f"{base}token=a.b%2Bc&clientId=1100000001&authType=2",
            channel,
        )
        for channel, base in (
            ("main", "wss://api-feed.dhan.co?version=2&"),
            ("depth20", "wss://depth-api-feed.dhan.co/twentydepth?"),
            ("depth200", "wss://full-depth-api.dhan.co/?"),
        )
    ),
    Call("3: leaving a depth socket", {"op": "disconnect"}, [{"RequestCode": 12}], "", "depth20"),
]  # fmt: skip


@pytest.mark.parametrize("item", [pytest.param(item, id=item.name) for item in (*MAIN, *DEEP)])
@pytest.mark.parametrize("broker", ["dhan", "dhan_sandbox"])
def test_frames_mean_what_the_specification_says(broker: str, item: Item) -> None:
    item.check(broker, INSTRUMENTS)


@pytest.mark.parametrize("call", [pytest.param(call, id=call.name) for call in OUTGOING])
@pytest.mark.parametrize("broker", ["dhan", "dhan_sandbox"])
def test_calls_send_what_the_specification_says(broker: str, call: Call) -> None:
    call.check(broker, INSTRUMENTS)


@pytest.mark.parametrize("count", [101, 250])
def test_a_message_has_a_hundred_instruments_at_most(count: int) -> None:
    names = [f"S{number}" for number in range(count)]
    rows = [{"symbol": name, "exchange": "NSE", "token": str(number)} for number, name in enumerate(names)]
    entries = [("NSE_EQ", str(number)) for number in range(count)]
    sends = [listed(15, *entries[start : start + 100]) for start in range(0, count, 100)]
    Call(
        "batches", {"op": "subscribe", "mode": "LTP", "instruments": [[name, "NSE"] for name in names]}, sends
    ).check("dhan", rows)
