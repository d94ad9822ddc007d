"""Frames and calls beyond the shared vectors, their meaning worked out from the specification by hand."""

from typing import Any

import pytest

from broker.nubra.nubra_wire import (
    NOW,
    NOW_NS,
    bucket,
    field,
    frame,
    greeks,
    index,
    index_item,
    integer,
    orderbook,
    text,
)
from support.frame_items import Call, Item
from tickmux.decode import decode_document

INSTRUMENTS = [
    {"symbol": symbol, "exchange": exchange, "token": token, "brsymbol": brsymbol}
    for symbol, exchange, token, brsymbol in (
        ("SBIN", "NSE", "70115", "SBIN"),
        ("SBIN", "BSE", "912346", "SBIN"),
        ("SENSEX04SEP2580500PE", "BFO", "1530088", "SENSEX2590480500PE"),
        ("NIFTY28AUG25FUT", "NFO", "1120031", "NIFTY25AUGFUT"),
        ("CRUDEOIL18SEP255500CE", "MCX", "2310020", "CRUDEOIL25SEP5500CE"),
        ("INDIAVIX", "NSE_INDEX", "INDIA_VIX", "INDIA_VIX"),
        ("BANKNIFTY", "NSE_INDEX", "BANKNIFTY", "BANKNIFTY"),
        ("FINNIFTY", "NSE_INDEX", "FINNIFTY", "FINNIFTY"),
        ("SENSEX", "BSE_INDEX", "SENSEX", "SENSEX"),
        ("SENSEX50", "BSE_INDEX", "SENSEX50", "SENSEX50"),
    )
]


def tick(symbol: str, exchange: str, mode: str, time: int | None = NOW, **fields: Any) -> dict[str, Any]:
    stamp = {} if time is None else {"timestamp": time}
    return {"symbol": symbol, "exchange": exchange, "mode": mode} | stamp | fields


EMPTY: dict[str, Any] = {"depth": {"buy": [], "sell": []}}


def timed(stamp: int, batch: int = 0) -> bytes:
    return orderbook(70115, batch_time=batch, time=stamp, ltp=100)


def at(time: int | None) -> dict[str, Any]:
    return tick("SBIN", "NSE", "DEPTH", time, ltp=1.0, **EMPTY)


ITEMS = [
    Item(
        "5: a time's unit shows in its size, the fraction is cut",
        [timed(1_756_266_300), timed(1_756_266_300_123), timed(1_756_266_300_123_999), timed(NOW_NS)],
        [at(1_756_266_300_000), at(NOW), at(NOW), at(NOW)],
    ),
    Item(
        "5: an item without a time has the batch's, and none where that has none either",
        [timed(0, NOW_NS), timed(0), timed(-5, NOW_NS)],
        [at(NOW), at(None), at(None)],
    ),
    Item(
        "6: an order book of nothing is a book of nothing",
        [orderbook(1530088, time=NOW_NS, ltp=0, ltq=0, volume=0)],
        [tick("SENSEX04SEP2580500PE", "BFO", "DEPTH", **EMPTY)],
    ),
    Item(
        "6: a level counts with a price and a quantity, its orders when there are some",
        [orderbook(1120031, [(2_471_240, 750, 0), (0, 5, 1), (2_471_200, 0, 1), (2_471_150, 75, 2)],
                   [(2_471_300, 2**53 + 1, 1)], ltp=2_471_280, volume=2**53 + 1)],
        [
            tick(
                "NIFTY28AUG25FUT", "NFO", "DEPTH", ltp=24_712.8, volume=2**53 + 1,
                depth={
                    "buy": [{"price": 24_712.4, "quantity": 750}, {"price": 24_711.5, "quantity": 75, "orders": 2}],
                    "sell": [{"price": 24_713.0, "quantity": 2**53 + 1, "orders": 1}],
                },
            )
        ],
    ),
    Item(
        "5: `inst_id` is no key, and an unknown `ref_id` does not cost the others of its batch",
        [
            frame("BatchWebSocketOrderbookMessage", integer(1, NOW_NS), field(2, integer(1, 70115), integer(5, 5)),
                  field(2, integer(8, 4), integer(5, 5)), field(2, integer(8, 912346), integer(5, 81_235)))
        ],
        [tick("SBIN", "BSE", "DEPTH", ltp=812.35, **EMPTY)],
    ),
    Item(
        "5: one share's name on two exchanges, and without an exchange on neither",
        [index(shares=[index_item("SBIN", "BSE", value=200, close=190), index_item("sbin", "nse", value=100, low=90),
                       index_item("SBIN", "", value=300)])],
        [
            tick("SBIN", "BSE", "QUOTE", ltp=2.0, close=1.9),
            tick("SBIN", "NSE", "QUOTE", ltp=1.0, low=0.9),
        ],
    ),
    Item(
        "5: aliases, a name in another case, our own symbol, a name that only one exchange has",
        [index(index_item("NIFTY BANK", value=5_500_000), index_item("Nifty Financial Services", value=2_600_000),
               index_item("bse sensex", "BSE", value=8_079_214), index_item("BSE SENSEX 50", "BSE", value=2_500_000),
               index_item("IndiaVix", value=1_256), index_item("India_Vix", "", value=1_257))],
        [
            tick("BANKNIFTY", "NSE_INDEX", "LTP", ltp=55_000.0),
            tick("FINNIFTY", "NSE_INDEX", "LTP", ltp=26_000.0),
            tick("SENSEX", "BSE_INDEX", "LTP", ltp=80_792.14),
            tick("SENSEX50", "BSE_INDEX", "LTP", ltp=25_000.0),
            tick("INDIAVIX", "NSE_INDEX", "LTP", ltp=12.56),
            tick("INDIAVIX", "NSE_INDEX", "LTP", ltp=12.57),
        ],
    ),
    Item(
        "5: an alias holds on its own exchange, MCX has no names, an unknown exchange neither",
        [index(index_item("BSE SENSEX", value=1), index_item("NIFTY BANK", "BSE", value=1),
               index_item("SENSEX", "MCX", value=1), index_item("SENSEX", "NFO", value=1))],
        [],
    ),
    Item(
        "6: an index item without a value is no tick; indexes come before instruments",
        [index(index_item("SENSEX", "BSE", high=5), index_item("SENSEX", "BSE", value=7, volume=3),
               shares=[index_item("SBIN", value=8, high=9)])],
        [
            tick("SENSEX", "BSE_INDEX", "QUOTE", ltp=0.07, volume=3),
            tick("SBIN", "NSE", "QUOTE", ltp=0.08, high=0.09),
        ],
    ),
    Item(
        "6: the day's candle: its close is not ours, its volume the cumulative one",
        [bucket("SENSEX", "BSE", interval=13, time=NOW_NS, open=100, high=110, low=90, close=105, bucket_volume=7,
                cumulative=12)],
        [tick("SENSEX", "BSE_INDEX", "QUOTE", open=1.0, high=1.1, low=0.9, volume=12)],
    ),
    Item(
        "6: candles of other intervals, of no interval too",
        [bucket("SENSEX", "BSE", interval=interval, open=100) for interval in (0, 1, 12, 14, 17, 99)],
        [],
    ),
    Item(
        "6: greeks of an option on MCX; without a price they are no tick",
        [greeks(2310020, ltp=9_640, oi=8_123, volume=0), greeks(2310020, oi=5, volume=6), greeks(1, ltp=5)],
        [tick("CRUDEOIL18SEP255500CE", "MCX", "QUOTE", ltp=96.4, oi=8_123)],
    ),
    Item("5: a message that nobody knows", [frame("BatchWebSocketNewsMessage", b"\xff\xff")], []),
    Item("6: an option chain's update", [frame("WebSocketMsgOptionChainUpdate", b"\xff")], []),
    Item("10: an empty frame is ignored", [b""], []),
    Item("10: a frame that is no protobuf", [b"\xff" * 20], [], "malformed"),
    Item(
        "10: a broken message in a good envelope, then a good one",
        [frame("BatchWebSocketGreeksMessage", b"\x12\x50\x01"), timed(NOW_NS)],
        [at(NOW)],
        "malformed",
    ),
    Item("10: the refusal of a token in a longer remark", ["error: INVALID TOKEN supplied"], [], "auth_error"),
    Item("10: an exception", ["Internal exception"], [], "error"),
    Item("10: what has failed, in any case", ["subscription FAILED"], [], "error"),
    Item("10: a remark", ["post_market accepted"], [], "ack"),
]  # fmt: skip


def command(verb: str, topic: str, argument: str, tail: str = "") -> str:
    return f"batch_{verb} T0KEN {topic} {argument}{tail}"


def numbers(*refs: int) -> str:
    return f'{{"instruments":[{",".join(map(str, refs))}],"indexes":[]}}'


def names(*words: str) -> str:
    quoted = ",".join(f'"{word}"' for word in words)
    return f'{{"instruments":[],"indexes":[{quoted}]}}'


def call(op: str, *instruments: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"op": op, "session_token": "T0KEN", "instruments": [list(each) for each in instruments], **more}


NSE, BSE, VIX = ("SBIN", "NSE"), ("SBIN", "BSE"), ("INDIAVIX", "NSE_INDEX")
OPTION, FUTURE, CRUDE = ("SENSEX04SEP2580500PE", "BFO"), ("NIFTY28AUG25FUT", "NFO"), ("CRUDEOIL18SEP255500CE", "MCX")

CALLS = [
    Call(
        "4: one command for each topic and exchange, instruments in the order of the call",
        call("subscribe", OPTION, BSE, VIX, NSE, ("SENSEX", "BSE_INDEX"), mode="QUOTE"),
        [
            command("subscribe", "orderbook", numbers(1530088, 912346, 70115)),
            command("subscribe", "index", names("SBIN", "SENSEX"), " BSE"),
            command("subscribe", "index", names("INDIA_VIX", "SBIN"), " NSE"),
            command("subscribe", "index_bucket", names("SBIN", "SENSEX"), " 1d BSE"),
            command("subscribe", "index_bucket", names("INDIA_VIX", "SBIN"), " 1d NSE"),
            command("subscribe", "greeks", numbers(1530088)),
        ],
    ),
    Call(
        "4: in LTP options and futures are an order book, indices a value",
        call("subscribe", OPTION, FUTURE, CRUDE, VIX, mode="LTP"),
        [
            command("subscribe", "orderbook", numbers(1530088, 1120031, 2310020)),
            command("subscribe", "index", names("INDIA_VIX"), " NSE"),
        ],
    ),
    Call(
        "4: DEPTH of an index is its QUOTE",
        call("subscribe", VIX, mode="DEPTH"),
        [
            command("subscribe", "index", names("INDIA_VIX"), " NSE"),
            command("subscribe", "index_bucket", names("INDIA_VIX"), " 1d NSE"),
        ],
    ),
    Call(
        "4: deep books ask for their depth on a connection of their own",
        {"op": "open", "session_token": "T0KEN", "depth_level": 20},
        ["batch_subscribe T0KEN orderbook_depth 20"],
        channel="deep",
    ),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_frames_mean_what_the_specification_says(item: Item) -> None:
    item.check("nubra", INSTRUMENTS)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_calls_send_what_the_specification_says(call: Call) -> None:
    call.check("nubra", INSTRUMENTS)


CHANGES = [
    ("LTP", "QUOTE", OPTION, [command("subscribe", "greeks", numbers(1530088))]),
    ("QUOTE", "LTP", OPTION, [command("unsubscribe", "greeks", numbers(1530088))]),
    ("LTP", "DEPTH", FUTURE, []),
    ("QUOTE", "DEPTH", NSE, []),
    (
        "DEPTH", "LTP", NSE,
        [
            command("unsubscribe", "index", names("SBIN"), " NSE"),
            command("unsubscribe", "index_bucket", names("SBIN"), " 1d NSE"),
        ],
    ),
    ("LTP", "QUOTE", VIX, [command("subscribe", "index_bucket", names("INDIA_VIX"), " 1d NSE")]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "instrument", "sends"), CHANGES)
def test_a_change_of_mode_sends_only_what_differs(
    old: str, new: str, instrument: tuple[str, str], sends: list[str]
) -> None:
    item = {
        "name": "change",
        "before": [call("subscribe", instrument, mode=old)],
        "call": call("set_mode", instrument, **{"from": old, "mode": new}),
    }
    (line,) = decode_document({"broker": "nubra", "instruments": INSTRUMENTS, "outgoing": [item]})
    assert line["frames"] == [{"text": text_} for text_ in sends]


def test_a_name_that_two_hold_on_one_exchange_is_not_the_third_ones_either() -> None:
    twins = [
        {"symbol": symbol, "exchange": "NSE", "token": token, "brsymbol": "ONE"} for symbol, token in ("A1", "B2")
    ]
    rows = [*twins, {"symbol": "ONE", "exchange": "BSE", "token": "3", "brsymbol": "ONE"}]
    Item("", [index(shares=[text(1, "ONE") + integer(3, 5), index_item("ONE", "NSE", value=6)])], []).check(
        "nubra", rows
    )
