"""Frames and calls beyond the shared vectors, their meaning worked out from the specification by hand."""

import json
import struct
from typing import Any

import pytest

from support.frame_items import Call, Item

INSTRUMENTS = [
    {"symbol": symbol, "exchange": exchange, "token": str(token)}
    for symbol, exchange, token in (
        ("SBIN", "NSE", 779521),
        ("RELIANCE", "BSE", 128083204),
        ("TWIN", "NSE", 128083201),  # the exchange token of RELIANCE on BSE
        ("NIFTY28AUG25FUT", "NFO", 13568258),
        ("SENSEX26AUG2582000PE", "BFO", 290164741),
        ("EURINR26SEP25102.75CE", "CDS", 1979139),
        ("USDINR27AUG25FUT", "BCD", 256006),
        ("CRUDEOIL19AUG25FUT", "MCX", 114573319),
        ("SILVER05SEP25FUT", "NCO", 512012),
        ("NIFTY", "NSE_INDEX", 256265),
        ("SENSEX", "BSE_INDEX", 265),
        ("MCXBULLDEX", "MCX_INDEX", 768009),
        ("GIFTNIFTY", "GLOBAL_INDEX", 291849),
    )
]
TOKENS = {row["symbol"]: int(row["token"]) for row in INSTRUMENTS}
EXCHANGES = {row["symbol"]: row["exchange"] for row in INSTRUMENTS}
STAMP = 1_755_507_611  # 2025-08-18 09:00:11 UTC


def tick(symbol: str, mode: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "exchange": EXCHANGES[symbol], "mode": mode} | fields


def words(symbol: str | int, *values: int) -> bytes:
    token = TOKENS[symbol] if isinstance(symbol, str) else symbol
    return struct.pack(f">{len(values) + 1}I", token, *values)


def full(symbol: str, quote: tuple[int, ...], rest: tuple[int, ...], *levels: tuple[int, int, int]) -> bytes:
    book = b"".join(struct.pack(">IIHxx", *level) for level in levels)
    return words(symbol, *quote, *rest) + book.ljust(120, b"\0")


def frame(*packets: bytes, count: int | None = None, tail: bytes = b"") -> bytes:
    head = struct.pack(">H", len(packets) if count is None else count)
    return head + b"".join(struct.pack(">H", len(each)) + each for each in packets) + tail


LTP_SBIN = words("SBIN", 81235)
SBIN = tick("SBIN", "LTP", ltp=812.35)

INCOMING = [
    Item(
        "5.3: a price beyond 2^31 is unsigned, NCO has 4 decimals",
        [frame(words("SILVER05SEP25FUT", 2_500_000_000))],
        [tick("SILVER05SEP25FUT", "LTP", ltp=250_000.0)],
    ),
    Item(
        "5.3: BCD has 4 decimals, CDS has 7, MCX 2",
        [frame(words("USDINR27AUG25FUT", 872_575), words("EURINR26SEP25102.75CE", 1_275_000),
               words("CRUDEOIL19AUG25FUT", 553_800))],
        [
            tick("USDINR27AUG25FUT", "LTP", ltp=87.2575),
            tick("EURINR26SEP25102.75CE", "LTP", ltp=0.1275),
            tick("CRUDEOIL19AUG25FUT", "LTP", ltp=5538.0),
        ],
    ),
    Item(
        "5.4: a quote of NCO, every price with its divisor, quantities as they are",
        [frame(words("SILVER05SEP25FUT", 1_138_510_000, 3, 1_137_990_500, 9_321, 412, 388, 1_135_000_000,
                     1_140_250_000, 1_133_000_000, 1_134_440_000))],
        [
            tick(
                "SILVER05SEP25FUT", "QUOTE", ltp=113_851.0, last_trade_quantity=3, avg_trade_price=113_799.05,
                volume=9_321, total_buy_quantity=412, total_sell_quantity=388, open=113_500.0, high=114_025.0,
                low=113_300.0, close=113_444.0,
            )
        ],
    ),
    Item(
        "5.4: a full packet of CDS: divisor in the book, open interest at 48, times at 44 and 60",
        [frame(full("EURINR26SEP25102.75CE",
                    (1_275_000, 5, 1_250_000, 4_100, 900, 800, 1_200_000, 1_300_000, 1_150_000, 1_225_000),
                    (STAMP, 77_000, 78_000, 70_000, STAMP + 1),
                    (10, 1_250_000, 2), (20, 1_225_000, 65_535), (0, 0, 0), (0, 0, 0), (0, 0, 0),
                    (30, 1_275_000, 1)))],
        [
            tick(
                "EURINR26SEP25102.75CE", "DEPTH", ltp=0.1275, last_trade_quantity=5, avg_trade_price=0.125,
                volume=4_100, total_buy_quantity=900, total_sell_quantity=800, open=0.12, high=0.13, low=0.115,
                close=0.1225, ltt=STAMP * 1000, oi=77_000, timestamp=(STAMP + 1) * 1000,
                depth={
                    "buy": [
                        {"price": 0.125, "quantity": 10, "orders": 2},
                        {"price": 0.1225, "quantity": 20, "orders": 65_535},
                    ],
                    "sell": [{"price": 0.1275, "quantity": 30, "orders": 1}],
                },
            )
        ],
    ),
    Item(
        "6: open interest of 0 stays on a derivative, and BSE's derivatives are some",
        [frame(full("SENSEX26AUG2582000PE", (31_105, 20, 30_900, 40, 60, 80, 0, 0, 0, 30_000), (0, 0, 0, 0, 0)))],
        [
            tick(
                "SENSEX26AUG2582000PE", "DEPTH", ltp=311.05, last_trade_quantity=20, avg_trade_price=309.0, volume=40,
                total_buy_quantity=60, total_sell_quantity=80, close=300.0, oi=0, depth={"buy": [], "sell": []},
            )
        ],
    ),
    Item(
        "6: a full packet of BSE shares has no open interest, whatever stands there",
        [frame(full("RELIANCE", (141_215, 8, 140_966, 284_512, 1, 2, 140_300, 141_890, 140_155, 140_900),
                    (STAMP, 55, 66, 44, STAMP), (120, 0, 4), (75, 141_205, 0)))],
        [
            tick(
                "RELIANCE", "DEPTH", ltp=1412.15, last_trade_quantity=8, avg_trade_price=1409.66, volume=284_512,
                total_buy_quantity=1, total_sell_quantity=2, open=1403.0, high=1418.9, low=1401.55, close=1409.0,
                ltt=STAMP * 1000, timestamp=STAMP * 1000,
                depth={"buy": [{"price": 1412.05, "quantity": 75, "orders": 0}], "sell": []},
            )
        ],
    ),
    Item(
        "6, 10: a pre-open quote: prices of 0 are absent, quantities of 0 stay",
        [frame(words("SBIN", 80_575, 0, 0, 0, 1_200, 900, 0, 0, 0, 80_575))],
        [
            tick(
                "SBIN", "QUOTE", ltp=805.75, last_trade_quantity=0, volume=0, total_buy_quantity=1_200,
                total_sell_quantity=900, close=805.75,
            )
        ],
    ),
    Item(
        "6: without a price an LTP packet gives nothing, a quote the rest",
        [frame(words("SBIN", 0), words("SBIN", 0, 7, 0, 9, 1, 2, 0, 0, 0, 0))],
        [
            tick(
                "SBIN", "QUOTE", last_trade_quantity=7, volume=9, total_buy_quantity=1, total_sell_quantity=2
            )
        ],
    ),
    Item(
        "5.4: an index: high, low, open, close; the change is signed and not read; no time of 0",
        [frame(words("NIFTY", 2_498_065, 2_501_235, 2_486_220, 2_489_000, 2_505_025, 0xFFFF_F000, 0))],
        [tick("NIFTY", "QUOTE", ltp=24_980.65, high=25_012.35, low=24_862.2, open=24_890.0, close=25_050.25)],
    ),
    Item(
        "8: indices of all exchanges share the segment, the subscription tells them apart",
        [frame(words("SENSEX", 8_178_574), words("MCXBULLDEX", 1_655_050, 0, 0, 0, 1_650_000, 5_050),
               words("GIFTNIFTY", 2_500_150, 0, 0, 0, 0, 0, STAMP))],
        [
            tick("SENSEX", "LTP", ltp=81_785.74),
            tick("MCXBULLDEX", "QUOTE", ltp=16_550.5, close=16_500.0),
            tick("GIFTNIFTY", "QUOTE", ltp=25_001.5, timestamp=STAMP * 1000),
        ],
    ),
    Item(
        "5.5: what is not subscribed is skipped, and one exchange token on two exchanges is two instruments",
        [frame(words(128_083_202, 1), words("TWIN", 500), words(9, 5), words("RELIANCE", 141_215))],
        [tick("TWIN", "LTP", ltp=5.0), tick("RELIANCE", "LTP", ltp=1412.15)],
    ),
    Item(
        "5.5: nothing of a full packet shows in the LTP packet after it",
        [frame(words("SBIN", 81_235, 1, 2, 3, 4, 5, 6, 7, 8, 9)), frame(LTP_SBIN)],
        [
            tick(
                "SBIN", "QUOTE", ltp=812.35, last_trade_quantity=1, avg_trade_price=0.02, volume=3,
                total_buy_quantity=4, total_sell_quantity=5, open=0.06, high=0.07, low=0.08, close=0.09,
            ),
            SBIN,
        ],
    ),
    Item(
        "5.2: a packet of another length is skipped by its length",
        [frame(b"", words("SBIN", 1, 2), words("SBIN", 5)[:5], words("SBIN", *range(46)), LTP_SBIN)],
        [SBIN],
    ),
    Item("5.2: fewer packets than announced", [frame(LTP_SBIN, LTP_SBIN, count=3)], [SBIN, SBIN], "malformed"),
    Item("5.2: a cut length", [frame(LTP_SBIN, count=2, tail=b"\0")], [SBIN], "malformed"),
    Item("5.2: a packet longer than the frame", [frame(LTP_SBIN, count=2, tail=b"\xff\xff12")], [SBIN], "malformed"),
    Item("5.2: bytes after the last packet", [frame(LTP_SBIN, tail=b"\0\x08more")], [SBIN]),
    Item("5.2: no packet", [frame()], []),
    Item("5.1: a heartbeat may have any value", [b"\xff", frame(LTP_SBIN)], [SBIN]),
    Item("5.1: a heartbeat may have any value, alone", [b"1"], [], "heartbeat"),
    Item(
        "5.6: notices, other types and text that is no object say nothing",
        ['{"type":"message","data":"maintenance"}', '{"type":"message","data":{"a":1}}',
         '{"type":"instruments_meta","data":{"count":1}}', '{"type":"app_code","data":null}', "[1]", "x", "", "5"],
        [],
    ),
    Item(
        "5.6: an order postback beside ticks",
        [json.dumps({"type": "order", "data": {"order_id": "1", "status": "UPDATE", "instrument_token": 779521}})],
        [],
        "order",
    ),
    Item("10: a token", ['{"type":"error","data":"Token is invalid or has expired"}'], [], "auth_error"),
    Item("10: an authorization", ['{"type":"error","data":"Authorization failed"}'], [], "auth_error"),
    Item("10: tokens are no token", ['{"type":"error","data":"Too many tokens subscribed"}'], [], "error"),
    Item("10: an error whose data is no text", ['{"type":"error","data":{"code":5}}'], [], "error"),
]  # fmt: skip

NAMED = {symbol: [symbol, exchange] for symbol, exchange in EXCHANGES.items()}
OUTGOING = [
    Call(
        "4: an index in depth mode is full, too",
        {"op": "subscribe", "mode": "DEPTH", "instruments": [NAMED["NIFTY"], NAMED["GIFTNIFTY"]]},
        [{"a": "subscribe", "v": [256265, 291849]}, {"a": "mode", "v": ["full", [256265, 291849]]}],
    ),
    Call(
        "4: a downgrade sends the mode only",
        {"op": "set_mode", "from": "DEPTH", "mode": "LTP", "instruments": [NAMED["SBIN"], NAMED["RELIANCE"]]},
        [{"a": "mode", "v": ["ltp", [779521, 128083204]]}],
    ),
    Call(
        "4: unsubscribing needs no mode",
        {"op": "unsubscribe", "mode": "DEPTH", "instruments": [NAMED["SILVER05SEP25FUT"]]},
        [{"a": "unsubscribe", "v": [512012]}],
    ),
    Call(
        "3: the address, percent-encoded",
        {"op": "connect", "api_key": "k y", "access_token": "a+b/c="},
        url="wss://ws.kite.trade?api_key=k%20y&access_token=a%2Bb%2Fc%3D",
    ),
    Call(
        "2: a stored token may have its key before a colon",
        {"op": "connect", "api_key": "key", "access_token": "key:secret"},
        url="wss://ws.kite.trade?api_key=key&access_token=secret",
    ),
    Call("7: the client sends no heartbeat of its own", {"op": "heartbeat"}),
]


@pytest.mark.parametrize("item", [pytest.param(item, id=item.name) for item in INCOMING])
def test_frames_mean_what_the_specification_says(item: Item) -> None:
    item.check("zerodha", INSTRUMENTS)


@pytest.mark.parametrize("call", [pytest.param(call, id=call.name) for call in OUTGOING])
def test_calls_send_what_the_specification_says(call: Call) -> None:
    call.check("zerodha", INSTRUMENTS)
