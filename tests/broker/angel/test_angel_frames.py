"""Frames and calls beyond the shared vectors, their meaning worked out from the specification by hand."""

import struct
from typing import Any

import pytest

from support.frame_items import Call, Item

ROWS = (
    ("SBIN", "NSE", "3045", 1),
    ("TWIN", "BSE", "3045", 3),
    ("NIFTY28AUG25FUT", "NFO", "53216", 2),
    ("SENSEX28AUG2581000PE", "BFO", "1104523", 4),
    ("CRUDEOIL14AUG255600CE", "MCX", "452201", 5),
    ("USDINR26SEP2588.25CE", "CDS", "7002", 13),
    ("NIFTY", "NSE_INDEX", "99926000", 1),
    ("BANKNIFTY", "NSE_INDEX", "26009", 1),  # the short token
    ("SENSEX", "BSE_INDEX", "99919000", 3),
    ("MCXBULLDEX", "MCX_INDEX", "99920003", 5),
)
INSTRUMENTS = [{"symbol": symbol, "exchange": exchange, "token": token} for symbol, exchange, token, _ in ROWS]
PLACES = {symbol: (kind, token) for symbol, _, token, kind in ROWS}
EXCHANGES = {symbol: exchange for symbol, exchange, *_ in ROWS}
STAMP = 1_755_507_611_250  # 2025-08-18 09:00:11.250 UTC
TRADED = 1_755_507_610
GARBAGE = 2.2e-308


def tick(symbol: str, mode: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "exchange": EXCHANGES[symbol], "mode": mode} | fields


def ltp(symbol: str, price: int, mode: int = 1, stamp: int = STAMP) -> bytes:
    kind, token = PLACES[symbol]
    return struct.pack("<BB25sqqq", mode, kind, token.encode(), 900, stamp, price)


def quote(symbol: str, price: int, *values: float, mode: int = 2, stamp: int = STAMP) -> bytes:
    """`values`: last quantity, average, volume, total buy and sell, open, high, low, close."""
    return ltp(symbol, price, mode, stamp) + struct.pack("<qqqddqqqq", *values)


def level(side: int, quantity: int, price: int, orders: int) -> bytes:
    return struct.pack("<hqqH", side, quantity, price, orders)


def snap(head: bytes, traded: int, oi: int, levels: list[bytes], upper: int = 0, lower: int = 0) -> bytes:
    book = b"".join(levels).ljust(200, b"\0")
    return head + struct.pack("<qqd", traded, oi, GARBAGE) + book + struct.pack("<qqqq", upper, lower, 99_999, 1)


def book20(
    symbol: str, buy: list[tuple[int, int, int]], sell: list[tuple[int, int, int]], stamp: int = STAMP
) -> bytes:
    kind, token = PLACES[symbol]
    head = struct.pack("<BB25sqq", 4, kind, token.encode(), stamp, STAMP + 5_999)
    sides = (b"".join(struct.pack("<iih", *row) for row in side).ljust(200, b"\0") for side in (buy, sell))
    return head + b"".join(sides)


def rung(price: float, quantity: int, orders: int) -> dict[str, float]:
    return {"price": price, "quantity": quantity, "orders": orders}


QUOTED = (150, 139_21, 98_653_275, 1_842_300.0, 2_210_475.0, 120_00, 168_90, 101_35, 131_05)
FIELDS = {
    "last_trade_quantity": 150, "avg_trade_price": 139.21, "volume": 98_653_275, "total_buy_quantity": 1_842_300,
    "total_sell_quantity": 2_210_475, "open": 120.0, "high": 168.9, "low": 101.35, "close": 131.05,
}  # fmt: skip
NONE = (0, 0, 0, 0.0, 0.0, 0, 0, 0, 0)
ZEROS = {"last_trade_quantity": 0, "volume": 0, "total_buy_quantity": 0, "total_sell_quantity": 0}

INCOMING = [
    Item(
        "5: every price of a currency snap quote has 7 decimals",
        [snap(quote("USDINR26SEP2588.25CE", 1_275_000, 5, 1_250_000, 4_100, 900.0, 800.0, 1_200_000, 1_300_000,
                    1_150_000, 1_225_000, mode=3),
              TRADED, 77_000, [level(1, 10, 1_250_000, 2), level(0, 30, 1_275_000, 1)], 5_000_000, 2_500)],
        [
            tick(
                "USDINR26SEP2588.25CE", "DEPTH", ltp=0.1275, timestamp=STAMP, ltt=TRADED * 1000,
                last_trade_quantity=5, avg_trade_price=0.125, volume=4_100, total_buy_quantity=900,
                total_sell_quantity=800, open=0.12, high=0.13, low=0.115, close=0.1225, oi=77_000,
                upper_circuit=0.5, lower_circuit=0.00025,
                depth={"buy": [rung(0.125, 10, 2)], "sell": [rung(0.1275, 30, 1)]},
            )
        ],
    ),
    Item(
        "6: a quote of an option on MCX; mode 2 has no trade time and no open interest",
        [quote("CRUDEOIL14AUG255600CE", 142_65, *QUOTED)],
        [tick("CRUDEOIL14AUG255600CE", "QUOTE", ltp=142.65, timestamp=STAMP, **FIELDS)],
    ),
    Item(
        "6: open interest of 0 stays on BFO, circuits of 0 are absent, a time in milliseconds is taken as such",
        [snap(quote("SENSEX28AUG2581000PE", 142_65, *QUOTED, mode=3), STAMP, 0, [])],
        [
            tick(
                "SENSEX28AUG2581000PE", "DEPTH", ltp=142.65, timestamp=STAMP, ltt=STAMP, **FIELDS, oi=0,
                depth={"buy": [], "sell": []},
            )
        ],
    ),
    Item(
        "6: before the first trade: prices and times of 0 are absent, quantities of 0 stay, the lists too",
        [snap(quote("SBIN", 0, *NONE, mode=3, stamp=0), 0, 444, [])],
        [tick("SBIN", "DEPTH", **ZEROS, depth={"buy": [], "sell": []})],
    ),
    Item(
        "6: a quote without a price still says the rest, an LTP frame says nothing",
        [quote("SBIN", 0, *NONE), ltp("SBIN", 0)],
        [tick("SBIN", "QUOTE", timestamp=STAMP, **ZEROS)],
    ),
    Item(
        "5: levels by their flag, whatever their place; a level of another flag is on neither side",
        [snap(quote("NIFTY28AUG25FUT", 142_65, *QUOTED, mode=3), TRADED, 5,
              [level(0, 75, 142_70, 1), level(1, 150, 142_60, 2), level(0, 225, 142_75, 3), level(7, 1, 1, 1),
               level(1, 300, 142_55, 40_000), level(1, 0, 142_50, 1), level(0, 9, 0, 1)])],
        [
            tick(
                "NIFTY28AUG25FUT", "DEPTH", ltp=142.65, timestamp=STAMP, ltt=TRADED * 1000, **FIELDS, oi=5,
                depth={
                    "buy": [rung(142.6, 150, 2), rung(142.55, 300, 40_000)],
                    "sell": [rung(142.7, 75, 1), rung(142.75, 225, 3)],
                },
            )
        ],
    ),
    Item(
        "5: ten equal flags: by place, five to buy and five to sell",
        [snap(quote("SBIN", 142_65, *QUOTED, mode=3), TRADED, 5,
              [level(1, 10 + place, 142_60 + place, place) for place in range(10)])],
        [
            tick(
                "SBIN", "DEPTH", ltp=142.65, timestamp=STAMP, ltt=TRADED * 1000, **FIELDS,
                depth={
                    "buy": [rung(142.6 + place / 100, 10 + place, place) for place in range(5)],
                    "sell": [rung(142.6 + place / 100, 10 + place, place) for place in range(5, 10)],
                },
            )
        ],
    ),
    Item(
        "6: an index of MCX in snap quote is a QUOTE without zeros, book and open interest",
        [snap(quote("MCXBULLDEX", 16_550_50, 0, 0, 0, 0.0, 0.0, 16_500_00, 0, 0, 16_400_25, mode=3), 0, 88,
              [level(1, 1, 1, 1)])],
        [tick("MCXBULLDEX", "QUOTE", ltp=16_550.5, timestamp=STAMP, open=16_500.0, close=16_400.25)],
    ),
    Item(
        "9: an index under its short token; a quote keeps what is not 0",
        [quote("BANKNIFTY", 54_321_05, 0, 0, 77, 0.0, 0.0, 0, 0, 0, 54_000_00), ltp("NIFTY", 24_980_65),
         ltp("SENSEX", 81_785_74)],
        [
            tick("BANKNIFTY", "QUOTE", ltp=54_321.05, timestamp=STAMP, volume=77, close=54_000.0),
            tick("NIFTY", "LTP", ltp=24_980.65, timestamp=STAMP),
            tick("SENSEX", "LTP", ltp=81_785.74, timestamp=STAMP),
        ],
    ),
    Item(
        "6: one token on two exchange types is two instruments; a third type and an unknown one are nobody's",
        [ltp("SBIN", 812_35), ltp("TWIN", 5_00), b"\x01\x02" + ltp("SBIN", 1)[2:], b"\x01\x07" + ltp("SBIN", 1)[2:]],
        [tick("SBIN", "LTP", ltp=812.35, timestamp=STAMP), tick("TWIN", "LTP", ltp=5.0, timestamp=STAMP)],
    ),
    Item(
        "5: the token ends at the first NUL, a frame may be longer than its layout",
        [ltp("SBIN", 812_35)[:6] + b"\0left over" + ltp("SBIN", 812_35)[16:] + b"more"],
        [tick("SBIN", "LTP", ltp=812.35, timestamp=STAMP)],
    ),
    Item(
        "5: a price has a sign and 8 bytes",
        [ltp("NIFTY28AUG25FUT", -37_63), ltp("NIFTY28AUG25FUT", 4_294_967_300)],
        [tick("NIFTY28AUG25FUT", "LTP", ltp=-37.63, timestamp=STAMP)],  # nothing costs the second one's 43 million
    ),
    Item(
        "5: no frame adds to another's tick",
        [quote("SBIN", 812_35, *QUOTED), ltp("SBIN", 812_40)],
        [
            tick("SBIN", "QUOTE", ltp=812.35, timestamp=STAMP, **FIELDS),
            tick("SBIN", "LTP", ltp=812.4, timestamp=STAMP),
        ],
    ),
    Item("5: an LTP frame that is one byte short", [ltp("SBIN", 1)[:-1]], [], "malformed"),
    Item("5: a quote that is one byte short", [quote("SBIN", 1, *QUOTED)[:-1]], [], "malformed"),
    Item("5: twenty levels that are one byte short", [book20("SBIN", [], [])[:-1]], [], "malformed"),
    Item("5: mode 0", [b"\0" * 60], []),
    Item("5: nothing", [b""], [], "malformed"),
    Item(
        "5: twenty levels: rows without price or quantity are dropped, the time at 27 counts",
        [book20("SBIN", [(500, 812_30, 3), (0, 812_25, 4), (7, 0, 1)], [(410, 812_35, 2)]),
         book20("SBIN", [], [], stamp=0)],
        [
            tick(
                "SBIN", "DEPTH", timestamp=STAMP,
                depth={"buy": [rung(812.3, 500, 3)], "sell": [rung(812.35, 410, 2)]},
            ),
            tick("SBIN", "DEPTH", depth={"buy": [], "sell": []}),
        ],
    ),
    Item("4: twenty levels exist on NSE's cash market only", [book20("TWIN", [(1, 1, 1)], [])], []),
    Item(
        "10: a malformed request",
        ['{"correlationID":"1","errorCode":"E1001","errorMessage":"Invalid Request Payload."}'],
        [],
        "error",
    ),
    Item("10: an error after a tick", [ltp("SBIN", 1_00), '{"errorCode":"E1002","errorMessage":"full"}'],
         [tick("SBIN", "LTP", ltp=1.0, timestamp=STAMP)], "error"),
    Item("2: a code of a dead session", ['{"errorCode":"AG8002","errorMessage":"Token Expired"}'], [], "auth_error"),
]  # fmt: skip


def request(action: int, mode: int, *groups: tuple[int, list[str]]) -> dict[str, Any]:
    listed = [{"exchangeType": kind, "tokens": tokens} for kind, tokens in groups]
    return {"correlationID": "abc", "action": action, "params": {"mode": mode, "tokenList": listed}}


NAMED = {symbol: [symbol, exchange] for symbol, exchange in EXCHANGES.items()}
OUTGOING = [
    Call(
        "4: an index of MCX travels on MCX's type, depth of an index is snap quote",
        {
            "op": "subscribe", "mode": "DEPTH", "correlation_id": "abc",
            "instruments": [NAMED["MCXBULLDEX"], NAMED["CRUDEOIL14AUG255600CE"], NAMED["SENSEX"]],
        },
        [request(1, 3, (5, ["99920003", "452201"]), (3, ["99919000"]))],
    ),
    Call(
        "4: twenty levels fall back to five where there are none",
        {
            "op": "subscribe", "mode": "DEPTH", "depth_level": 20, "correlation_id": "abc",
            "instruments": [NAMED["NIFTY28AUG25FUT"]],
        },
        [request(1, 3, (2, ["53216"]))],
    ),
    Call(
        "4: a change from snap quote to LTP: first the new, then the end of the old",
        {
            "op": "set_mode", "from": "DEPTH", "mode": "LTP", "correlation_id": "abc",
            "instruments": [NAMED["SBIN"], NAMED["TWIN"]],
        },
        [request(1, 1, (1, ["3045"]), (3, ["3045"])), request(0, 3, (1, ["3045"]), (3, ["3045"]))],
    ),
    Call(
        "4: the end of twenty levels is one of mode 4",
        {
            "op": "unsubscribe", "mode": "DEPTH", "depth_level": 20, "correlation_id": "abc",
            "instruments": [NAMED["SBIN"]],
        },
        [request(0, 4, (1, ["3045"]))],
    ),
    Call("7: the heartbeat is the word", {"op": "heartbeat"}, ["ping"]),
    Call(
        "3: the address says nothing of the session",
        {"op": "connect", "jwt": "j", "api_key": "k", "client_code": "c", "feed_token": "f"},
        url="wss://smartapisocket.angelone.in/smart-stream",
    ),
]  # fmt: skip


@pytest.mark.parametrize("item", [pytest.param(item, id=item.name) for item in INCOMING])
def test_frames_mean_what_the_specification_says(item: Item) -> None:
    item.check("angel", INSTRUMENTS)


@pytest.mark.parametrize("call", [pytest.param(call, id=call.name) for call in OUTGOING])
def test_calls_send_what_the_specification_says(call: Call) -> None:
    call.check("angel", INSTRUMENTS)
