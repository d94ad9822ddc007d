"""Frames and calls beyond the shared vectors, their meaning worked out from the specification by hand."""

import struct
from typing import Any

import pytest

from support.frame_items import Call, Item

INSTRUMENTS = [
    {"symbol": symbol, "exchange": exchange, "token": token}
    for symbol, exchange, token in (
        ("SBIN", "NSE", "3045"),
        ("TWIN", "BSE", "3045"),  # SBIN's token on other exchanges
        ("TWIN28AUG25FUT", "NFO", "3045"),
        ("SENSEX28AUG2581000PE", "BFO", "1104523"),
        ("USDINR27AUG25FUT", "CDS", "1185"),
        ("NIFTY", "NSE_INDEX", "26000"),
        ("SENSEX", "BSE_INDEX", "999901"),
    )
]
PLACES = {
    "SBIN": (1, b"3045"), "TWIN": (3, b"3045"), "TWIN28AUG25FUT": (2, b"3045"), "NIFTY": (1, b"26000"),
    "SENSEX28AUG2581000PE": (4, b"1104523"), "USDINR27AUG25FUT": (13, b"1185"), "SENSEX": (3, b"999901"),
}  # fmt: skip
EXCHANGES = {each["symbol"]: each["exchange"] for each in INSTRUMENTS}
STAMP, EPOCH = 1_438_940_983, 1_754_453_983_000
"""2025-08-06 09:49:43 on a clock in India, in seconds since 1980 and epoch ms."""


def tick(symbol: str, mode: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "exchange": EXCHANGES[symbol], "mode": mode} | fields


def ltp(symbol: str, price: int, stamp: int = STAMP, mode: int = 1, token: bytes | None = None) -> bytes:
    exchange_type, text = PLACES[symbol]
    return struct.pack("<BB25sQQq", mode, exchange_type, text if token is None else token, 99, stamp, price)


def quote(symbol: str, *values: float, stamp: int = STAMP) -> bytes:
    """Price, quantity, average, volume, total buy and sell, open, high, low, close."""
    last, quantity, average, volume, buy, sell, *day = values
    return ltp(symbol, int(last), stamp, 2) + struct.pack("<3q2d4q", quantity, average, volume, buy, sell, *day)


def snap(
    symbol: str, values: tuple[float, ...], traded: int, oi: int, rows: list[tuple[int, int, int, int]], *limits: int
) -> bytes:
    """`rows`: flag, quantity, price, orders; `limits`: upper, lower and those of 52 weeks."""
    book = b"".join(struct.pack("<HqqH", *each) for each in rows)
    return quote(symbol, *values) + struct.pack("<Qqd", traded, oi, 12.5) + book + struct.pack("<4q", *limits)


NOBODY = (0, 0, 0, 0)
SBIN = tick("SBIN", "LTP", ltp=812.35, timestamp=EPOCH)
VALUES = (41_265, 20, 39_820, 61_240, 5800.9, 0.0, 45_500, 47_030, 37_115, 44_890)
SAID = {
    "ltp": 412.65, "timestamp": EPOCH, "last_trade_quantity": 20, "avg_trade_price": 398.2, "volume": 61_240,
    "total_buy_quantity": 5800, "total_sell_quantity": 0, "open": 455.0, "high": 470.3, "low": 371.15, "close": 448.9,
}  # fmt: skip
FULL_SBIN = snap("SBIN", VALUES, 1, 1, [NOBODY] * 10, 0, 0, 0, 0)

ITEMS = [
    Item(
        "6: one token on three exchange types",
        [ltp("TWIN", 1), ltp("TWIN28AUG25FUT", 2), ltp("SBIN", 81_235)],
        [
            tick("TWIN", "LTP", ltp=0.01, timestamp=EPOCH),
            tick("TWIN28AUG25FUT", "LTP", ltp=0.02, timestamp=EPOCH),
            SBIN,
        ],
    ),
    Item("6: a packet of LTP without a price is no tick", [ltp("SBIN", 0)], []),
    Item("5: a time of 0 is none", [ltp("SBIN", 81_235, 0)], [tick("SBIN", "LTP", ltp=812.35)]),
    Item(
        "5: the length selects the layout, byte 0 does not",
        [ltp("SBIN", 81_235, mode=3), quote("SBIN", *VALUES)[:51], b"\x01" + quote("SBIN", *VALUES)[1:]],
        [SBIN, tick("SBIN", "LTP", ltp=412.65, timestamp=EPOCH), tick("SBIN", "QUOTE", **SAID)],
    ),
    Item(
        "5: a token that is no text is a number of 32 bits",
        [ltp("SBIN", 81_235, token=struct.pack("<I", 3045)), ltp("SBIN", 1, token=struct.pack("<I", 3046))],
        [SBIN],
    ),
    Item(
        "6: a quote before the first trade: prices of 0 are absent, quantities of 0 are not",
        [quote("SBIN", 0, 0, 0, 0, 0.0, 15.0, 0, 0, 0, 80_905, stamp=0)],
        [
            tick(
                "SBIN", "QUOTE", last_trade_quantity=0, volume=0, total_buy_quantity=0, total_sell_quantity=15,
                close=809.05,
            )
        ],
    ),
    Item(
        "6: the open interest of a share is left out, that of a contract is not, a 0 neither",
        [
            snap("SBIN", VALUES, STAMP - 1, 77, [NOBODY] * 10, 0, 0, 9, 9),
            snap("SENSEX28AUG2581000PE", VALUES, 0, 0, [NOBODY] * 10, 148_905, 5, 9, 9),
        ],
        [
            tick("SBIN", "DEPTH", **SAID, ltt=EPOCH - 1000, depth={"buy": [], "sell": []}),
            tick(
                "SENSEX28AUG2581000PE", "DEPTH", **SAID, oi=0, upper_circuit=1489.05, lower_circuit=0.05,
                depth={"buy": [], "sell": []},
            ),
        ],
    ),
    Item(
        "6: a level counts with a price and a quantity, at whatever place of its side, whatever its flag",
        [
            snap(
                "TWIN28AUG25FUT", VALUES, STAMP, 1_250,
                [(0, 5, 0, 1), (1, 0, 41_260, 1), (0, 7, 41_255, 0), (1, 8, 41_250, 2), NOBODY,
                 (1, 1, 41_270, 65_535), NOBODY, NOBODY, NOBODY, (1, 2, 41_300, 4)],
                0, 0, 0, 0,
            )
        ],
        [
            tick(
                "TWIN28AUG25FUT", "DEPTH", **SAID, ltt=EPOCH, oi=1_250,
                depth={
                    "buy": [
                        {"price": 412.55, "quantity": 7, "orders": 0}, {"price": 412.5, "quantity": 8, "orders": 2},
                    ],
                    "sell": [
                        {"price": 412.7, "quantity": 1, "orders": 65_535},
                        {"price": 413.0, "quantity": 2, "orders": 4},
                    ],
                },
            )
        ],
    ),
    Item(
        "6: an index has neither book nor open interest, and no field of 0",
        [
            snap("SENSEX", (8_054_399, 0, 0, 5, 0.0, 0.0, 8_069_498, 0, 0, 8_071_025), 0, 7, [(1, 9, 9, 9)] * 10,
                 0, 0, 0, 0),
            ltp("NIFTY", 2_459_615),
        ],
        [
            tick("SENSEX", "QUOTE", ltp=80_543.99, timestamp=EPOCH, volume=5, open=80_694.98, close=80_710.25),
            tick("NIFTY", "LTP", ltp=24_596.15, timestamp=EPOCH),
        ],
    ),
    Item(
        "6: a currency contract has the divisor 100 and open interest",
        [snap("USDINR27AUG25FUT", (8_764, 1, 8_760, 9, 1.0, 2.0, 8_750, 8_770, 8_740, 8_745), STAMP, 11,
              [(1, 3, 8_763, 1)] + [NOBODY] * 4 + [(0, 4, 8_765, 2)] + [NOBODY] * 4, 8_900, 8_600, 0, 0)],
        [
            tick(
                "USDINR27AUG25FUT", "DEPTH", ltp=87.64, timestamp=EPOCH, last_trade_quantity=1, avg_trade_price=87.6,
                volume=9, total_buy_quantity=1, total_sell_quantity=2, open=87.5, high=87.7, low=87.4, close=87.45,
                ltt=EPOCH, oi=11, upper_circuit=89.0, lower_circuit=86.0,
                depth={
                    "buy": [{"price": 87.63, "quantity": 3, "orders": 1}],
                    "sell": [{"price": 87.65, "quantity": 4, "orders": 2}],
                },
            )
        ],
    ),
    Item(
        "5: a wrapped packet of each size, in both byte orders, with a rest behind it",
        [
            struct.pack(">HH", 1, 51) + ltp("SBIN", 81_235),
            struct.pack("<HH", 1, 51) + ltp("SBIN", 81_235) + b"\0\0\0",
            struct.pack("<HH", 1, 123) + quote("SBIN", *VALUES),
        ],
        [SBIN, SBIN, tick("SBIN", "QUOTE", **SAID)],
    ),
    Item(
        "10: every packet of a wrapped frame counts, not the first alone",
        [
            struct.pack(">HH", 3, 51) + ltp("SBIN", 81_235) + ltp("TWIN", 0) + ltp("SBIN", 81_235),
            struct.pack("<HH", 2, 51) + ltp("SBIN", 81_235) + struct.pack("<H", 123) + quote("SBIN", *VALUES),
        ],
        [SBIN, SBIN, SBIN, tick("SBIN", "QUOTE", **SAID)],
    ),
    Item(
        "5: a wrapped frame that ends too early keeps its whole packets",
        [struct.pack(">HH", 2, 51) + ltp("SBIN", 81_235) + ltp("SBIN", 1)[:50]],
        [SBIN],
        "malformed",
    ),
    Item("5: a wrapped frame of another size", [struct.pack(">HH", 1, 50) + ltp("SBIN", 1)], [], "malformed"),
    *(
        Item(f"5: {size} bytes are no packet", [FULL_SBIN[:size]], [], "malformed")
        for size in (0, 1, 50, 52, 122, 124, 378)
    ),
    Item(
        "5: a long number in place of a token, and an exchange type that nobody has",
        [ltp("SBIN", 1, token=b"3045304530453045304530453"), b"\x01\x05" + ltp("SBIN", 1)[2:]],
        [],
    ),
    Item(
        "5: orders and trades are told as what they are",
        ['{"order_status":"trade","orderData":{"a":1}}'],
        [],
        "order",
    ),
    Item("5: JSON of another kind is a notice", ['{"type":"info","data":"x"}'], [], "ack"),
    Item("10: an error that is not about the login", ['{"type":"error","data":"Invalid token list"}'], [], "error"),
]  # fmt: skip


def request(action: int, mode: int, **groups: list[str]) -> dict[str, Any]:
    """`groups`: `t1=["3045"]` for exchange type 1."""
    wanted = [{"exchangeType": int(name[1:]), "tokens": tokens} for name, tokens in groups.items()]
    return {"correlationID": "", "action": action, "params": {"mode": mode, "tokenList": wanted}}


ALL = [[each["symbol"], each["exchange"]] for each in INSTRUMENTS]

CALLS = [
    Call(
        "4: a depth of everything, grouped by exchange type, currency by its own",
        {"op": "subscribe", "mode": "DEPTH", "instruments": ALL},
        [request(1, 3, t1=["3045", "26000"], t3=["3045", "999901"], t2=["3045"], t4=["1104523"], t13=["1185"])],
    ),
    Call(
        "4: an end names the mode of the subscription",
        {"op": "unsubscribe", "mode": "LTP", "instruments": ALL[:2]},
        [request(0, 1, t1=["3045"], t3=["3045"])],
    ),
    Call(
        "4: down from depth to a quote",
        {"op": "set_mode", "from": "DEPTH", "mode": "QUOTE", "instruments": ALL[4:5]},
        [request(0, 3, t13=["1185"]), request(1, 2, t13=["1185"])],
    ),
    Call("7: no text heartbeat", {"op": "heartbeat"}),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_frames_mean_what_the_specification_says(item: Item) -> None:
    item.check("mstock", INSTRUMENTS)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_calls_send_what_the_specification_says(call: Call) -> None:
    call.check("mstock", INSTRUMENTS)
