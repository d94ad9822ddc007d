"""Frames and calls beyond the shared vectors, their meaning worked out from the specification by hand."""

import json
import struct
from typing import Any

import pytest

from broker.kotak import kotak_wire as wire
from broker.kotak.kotak_wire import LOGIN, index, login_answer, mini, packet, picture, row
from support.frame_items import Call, Item

INSTRUMENTS = [
    {"symbol": symbol, "exchange": exchange, "token": token, "brsymbol": brsymbol}
    for symbol, exchange, token, brsymbol in (
        ("TCS", "NSE", "11536", "TCS-EQ"),
        ("TWIN", "BSE", "11536", "TWIN"),  # TCS's token on another exchange
        ("TWIN29DEC26FUT", "NFO", "11536", "TWIN26DECFUT"),
        ("SENSEX26NOV2685000CE", "BFO", "861203", "SENSEX26N2685000CE"),
        ("USDINR29DEC26FUT", "CDS", "1482", "USDINR26DECFUT"),
        ("CRUDEOIL18DEC26FUT", "MCX", "499095", "CRUDEOIL18DEC26FUT"),
        ("NIFTY", "NSE_INDEX", "26000", "Nifty 50"),
        ("INDIAVIX", "NSE_INDEX", "26017", "INDIA VIX"),
        ("SENSEX", "BSE_INDEX", "1", "SENSEX"),
    )
]
EXCHANGES = {each["symbol"]: each["exchange"] for each in INSTRUMENTS}
STAMP = 1_795_409_130


def tick(symbol: str, mode: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "exchange": EXCHANGES[symbol], "mode": mode} | fields


def levels(*rows: tuple[float, int, int]) -> list[dict[str, Any]]:
    return [{"price": price, "quantity": quantity, "orders": orders} for price, quantity, orders in rows]


def index_packet(
    token: int, name: bytes, prices: tuple[int, int, int, int, int], time: int, exchange_id: int
) -> bytes:
    """Open, previous close, high, low and value, then the time."""
    body = struct.pack("<I5iQ", token, *prices, time) + bytes(25) + name.ljust(21, b"\0")
    return packet(7207, exchange_id, 0, body)


NOTHING = {
    "volume": 0, "last_trade_quantity": 0, "total_buy_quantity": 0, "total_sell_quantity": 0, "oi": 0,
}  # fmt: skip
TCS = tick("TCS", "LTP", ltp=3421.9, ltt=1000, last_trade_quantity=1)
TCS_FRAME = mini(11536, 342_190)

ITEMS = [
    Item("3.2: an answer of code 1119 opens the session as well", [login_answer(message_code=1119)], [], "ack"),
    Item("3.2: a binary frame before the answer is skipped", [TCS_FRAME, LOGIN, TCS_FRAME], [TCS]),
    Item("5.2: another answer to the login", ['{"message_code":1120,"message":"invalid session"}'], [], "auth_error"),
    Item("5.2: other text later is ignored", [LOGIN, '{"message_code":1300}', TCS_FRAME], [TCS]),
    Item(
        "5.2: the acknowledgement comes after the first data",
        [LOGIN, TCS_FRAME, '{"message_code":1109,"trading_symbols":{"nse_cm|11536":"TCS-EQ"}}'],
        [TCS],
    ),
    Item(
        "5.2: one token on three exchanges, told apart by exchange",
        [
            LOGIN,
            mini(11536, 1, exchange_id=5)
            + mini(11536, 2, exchange_id=2)
            + mini(11536, 3)
            + mini(11536, 4, exchange_id=9),
        ],
        [
            tick("TWIN", "LTP", ltp=0.01, ltt=1000, last_trade_quantity=1),
            tick("TWIN29DEC26FUT", "LTP", ltp=0.02, ltt=1000, last_trade_quantity=1),
            tick("TCS", "LTP", ltp=0.03, ltt=1000, last_trade_quantity=1),
        ],
    ),
    Item(
        "5.2: exchanges that the answer does not name have the divisor 100, others their own",
        [
            login_answer(exchanges={"cde_fo": {"value": 3, "divider": 10_000}}),
            mini(1482, 886_525, exchange_id=3) + mini(499095, 553_800, exchange_id=9, close=551_000),
        ],
        [
            tick("USDINR29DEC26FUT", "LTP", ltp=88.6525, ltt=1000, last_trade_quantity=1),
            tick("CRUDEOIL18DEC26FUT", "LTP", ltp=5538.0, close=5510.0, ltt=1000, last_trade_quantity=1),
        ],
    ),
    Item(
        "6: a mini touch line without a trade has neither price nor time, and a quantity of 0",
        [LOGIN, mini(11536, 0, close=341_130, quantity=0, traded=0)],
        [tick("TCS", "LTP", last_trade_quantity=0, close=3411.3)],
    ),
    Item(
        "5.2: a time before 1970 is none",
        [LOGIN, mini(11536, 1, traded=-2_208_988_800)],
        [tick("TCS", "LTP", ltp=0.01, last_trade_quantity=1)],
    ),
    Item(
        "5.2: prices of a mini touch line are unsigned, quantities have 64 bits",
        [LOGIN, mini(11536, 1_900_000_000, quantity=5_000_000_000)],
        [tick("TCS", "LTP", ltp=19_000_000.0, ltt=1000, last_trade_quantity=5_000_000_000)],
    ),
    Item(
        "5.2: a picture of level 2 is a quote, whose rows are not used",
        [
            LOGIN,
            picture(
                11536,
                2,
                {69: (4, 342_155), 29: (8, 5_000_000_000), 89: (4, 1), 93: (4, 1)},
                row(5, 342_150, 1) + row(6, 342_160, 2),
            ),
        ],
        [tick("TCS", "QUOTE", ltp=3421.55, **NOTHING | {"volume": 5_000_000_000})],
    ),
    Item(
        "6: a picture of nothing but zeros says its quantities only, and an empty book",
        [LOGIN, picture(861203, 8, {}, b"", exchange_id=6)],
        [tick("SENSEX26NOV2685000CE", "DEPTH", **NOTHING, depth={"buy": [], "sell": []})],
    ),
    Item(
        "5.2: rows of price 0 are dropped, those behind them stay; open interest is unsigned",
        [
            LOGIN,
            picture(
                861203,
                8,
                {103: (4, 4_000_000_000), 89: (4, 3), 93: (4, 2), 45: (8, STAMP)},
                row(10, 0, 1) + row(20, 41_000, 2) + row(30, 40_995, 3) + row(40, 41_010, 4) + row(0, 0, 0),
                exchange_id=6,
            ),
        ],
        [
            tick(
                "SENSEX26NOV2685000CE",
                "DEPTH",
                timestamp=STAMP * 1000,
                **NOTHING | {"oi": 4_000_000_000},
                depth={"buy": levels((410.0, 20, 2), (409.95, 30, 3)), "sell": levels((410.1, 40, 4))},
            )
        ],
    ),
    Item(
        "5.2: fewer rows than counted, buys come first; what is left of the packet is no row",
        [
            LOGIN,
            picture(
                11536,
                8,
                {89: (4, 5), 93: (4, 5)},
                b"".join(row(n, 100 - n, n) for n in range(1, 6)) + row(9, 101, 1) + bytes(15),
            ),
        ],
        [
            tick(
                "TCS",
                "DEPTH",
                **NOTHING,
                depth={"buy": levels(*(((100 - n) / 100, n, n) for n in range(1, 6))), "sell": levels((1.01, 9, 1))},
            )
        ],
    ),
    Item(
        "5.2: rows beyond those counted belong to nobody",
        [LOGIN, picture(11536, 8, {89: (4, 1), 93: (4, 1)}, row(1, 99, 1) + row(2, 101, 1) + row(3, 102, 1))],
        [tick("TCS", "DEPTH", **NOTHING, depth={"buy": levels((0.99, 1, 1)), "sell": levels((1.01, 2, 1))})],
    ),
    Item(
        "5.2: level 16 has as many rows as are sent, in currency's scale",
        [
            LOGIN,
            picture(
                1482,
                16,
                {89: (4, 2), 93: (4, 1)},
                row(10, 886_500_000, 1) + row(20, 886_475_000, 2) + row(5, 886_550_000, 1),
                exchange_id=3,
            ),
        ],
        [
            tick(
                "USDINR29DEC26FUT",
                "DEPTH",
                **NOTHING,
                depth={"buy": levels((88.65, 10, 1), (88.6475, 20, 2)), "sell": levels((88.655, 5, 1))},
            )
        ],
    ),
    Item(
        "5.2: every field of a picture stands at its offset",
        [
            LOGIN,
            picture(
                499095,
                4,
                {
                    13: (8, 101),
                    21: (8, 102),
                    29: (8, 103),
                    37: (8, STAMP),
                    45: (8, STAMP + 1),
                    53: (4, 201),
                    57: (4, 202),
                    61: (4, 203),
                    65: (4, 204),
                    69: (4, 205),
                    73: (8, 104),
                    81: (4, 206),
                    85: (4, 999),
                    97: (2, 999),
                    99: (4, 999),
                    103: (4, 105),
                    107: (8, 999),
                    115: (4, 999),
                    119: (4, 207),
                    123: (4, 208),
                    127: (4, 999),
                    131: (4, 999),
                    135: (4, 999),
                    139: (1, 99),
                    140: (4, 999),
                },
                b"",
                exchange_id=9,
            ),
        ],
        [
            tick(
                "CRUDEOIL18DEC26FUT",
                "QUOTE",
                total_buy_quantity=101,
                total_sell_quantity=102,
                volume=103,
                ltt=STAMP * 1000,
                timestamp=STAMP * 1000 + 1000,
                open=2.01,
                close=2.02,
                high=2.03,
                low=2.04,
                ltp=2.05,
                last_trade_quantity=104,
                avg_trade_price=2.06,
                oi=105,
                upper_circuit=2.07,
                lower_circuit=2.08,
            )
        ],
    ),
    Item(
        "5.2: an index by its number, whatever its name; a price and a time of 0 are absent",
        [LOGIN, index_packet(26017, b"VIX OF INDIA", (0, 1_234, 0, 0, 1_256), 0, 1)],
        [tick("INDIAVIX", "QUOTE", ltp=12.56, close=12.34)],
    ),
    Item(
        "5.2: an index of an unknown number by its name in any case, on its own exchange",
        [
            LOGIN,
            index_packet(7, b"nIFTY 50", (1, 2, 3, 4, 5), STAMP, 1)
            + index_packet(7, b"sensex", (0, 0, 0, 0, 6), 0, 5)
            + index_packet(7, b"sensex", (0, 0, 0, 0, 6), 0, 1),
        ],
        [
            tick("NIFTY", "QUOTE", ltp=0.05, open=0.01, close=0.02, high=0.03, low=0.04, timestamp=STAMP * 1000),
            tick("SENSEX", "QUOTE", ltp=0.06),
        ],
    ),
    Item(
        "5.2: a token of a share is no index's and the other way round",
        [LOGIN, index(11536, b"TCS", 5) + mini(26000, 5)],
        [],
        "ack",
    ),
    Item(
        "5.2: market close, another status and an auction's notice between ticks",
        [
            LOGIN,
            packet(6521, 1, 0, b"") + packet(104, 1, 0, bytes(24)) + TCS_FRAME + packet(105, 2, 0, b"\x02\x00OPENX"),
        ],
        [TCS],
    ),
    Item("5.2: market close", [LOGIN, packet(6521, 1, 8, b"")], [], "market_status"),
    Item("5.2: an auction's notice says nothing", [LOGIN, packet(104, 1, 1, bytes(45))], [], "ack"),
    Item("5.2: a level that is not known", [LOGIN, picture(11536, 3, {69: (4, 100)}, b"") + TCS_FRAME], [TCS]),
    Item(
        "5.2: bodies that are shorter than their tables",
        [
            LOGIN,
            packet(7208, 1, 1, bytes(44))
            + packet(7208, 1, 8, bytes(134))
            + packet(7207, 1, 0, bytes(77))
            + TCS_FRAME,
        ],
        [TCS],
    ),
    Item(
        "5.2: a length below 9 ends the frame",
        [LOGIN, TCS_FRAME + b"\x08\0" + TCS_FRAME],
        [TCS],
        "malformed",
    ),
    Item("5.2: a rest that is no header", [LOGIN, TCS_FRAME + b"\x09\x00"], [TCS], "malformed"),
    Item("5.2: a length beyond the frame", [LOGIN, TCS_FRAME[:-1]], [], "malformed"),
    Item("5.2: nothing is remembered between frames", [LOGIN, TCS_FRAME[:20], TCS_FRAME[20:]], [], "malformed"),
]

CALLS = [
    Call(
        "4.2: twenty levels are the full depth",
        {"op": "subscribe", "mode": "DEPTH", "depth": 20, "instruments": [["TCS", "NSE"]]},
        [{"event": "subscribeFullDepth", "inputtoken": "nse_cm|11536", "ack_symbol": True}],
    ),
    Call(
        "4.2: each segment by its own word",
        {"op": "subscribe", "mode": "LTP", "instruments": [
            ["SENSEX26NOV2685000CE", "BFO"], ["USDINR29DEC26FUT", "CDS"], ["CRUDEOIL18DEC26FUT", "MCX"]]},
        [{"event": "subscribeScripsLite", "inputtoken": "bse_fo|861203,cde_fo|1482,mcx_fo|499095",
          "ack_symbol": True}],
    ),
    Call(
        "4.2: an index is subscribed by name in every mode",
        {"op": "subscribe", "mode": "DEPTH", "instruments": [["INDIAVIX", "NSE_INDEX"], ["SENSEX", "BSE_INDEX"]]},
        [{"event": "subscribeIndices", "inputtoken": "nse_cm|INDIA VIX,bse_cm|SENSEX", "ack_symbol": True}],
    ),
    Call(
        "4.2: the end of an index, without `ack_symbol`",
        {"op": "unsubscribe", "mode": "LTP", "instruments": [["NIFTY", "NSE_INDEX"]]},
        [{"event": "unsubscribeIndices", "inputtoken": "nse_cm|Nifty 50"}],
    ),
    Call(
        "4.2: a change of mode begins the new one and ends the old one",
        {"op": "set_mode", "from": "LTP", "mode": "DEPTH", "instruments": [["TCS", "NSE"]]},
        [
            {"event": "subscribeDepth", "inputtoken": "nse_cm|11536", "ack_symbol": True},
            {"event": "unsubscribeScripsLite", "inputtoken": "nse_cm|11536"},
        ],
    ),
    Call("7: there is no application heartbeat", {"op": "heartbeat"}),
]  # fmt: skip


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_frames_mean_what_the_specification_says(item: Item) -> None:
    item.check("kotak", INSTRUMENTS)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_calls_send_what_the_specification_says(call: Call) -> None:
    call.check("kotak", INSTRUMENTS)


def test_the_scales_of_the_answer_that_the_items_begin_with() -> None:
    exchanges = json.loads(LOGIN)["exchanges"].values()
    assert wire.DIVISORS.items() >= {each["value"]: each["divider"] for each in exchanges}.items()
