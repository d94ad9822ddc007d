"""Frames and calls beyond the shared vectors, their meaning worked out from the specification.

The ticks have to have these fields exactly: one that an earlier frame would have left behind is a failure.
"""

import json
from typing import Any, NamedTuple

import pytest

from broker import vector_cases
from tickmux.decode import decode_document

INSTRUMENTS = vector_cases.load("firstock")["instruments"]
NAMES = {f"{row['brexchange']}:{row['token']}": (row["symbol"], row["exchange"]) for row in INSTRUMENTS}
RELIANCE, TWIN, OPTION, IDEA, ITC = "NSE:2885", "BFO:2885", "NFO:54957", "NSE:14366", "BSE:500875"
NIFTY, SENSEX = "NSE:26000", "BSE:1"
NOTHING = 9223372036854775808
EMPTY: list[dict[str, Any]] = [{}, {}, {}, {}, {}]


def wire(**instruments: Any) -> str:
    return json.dumps({name.replace("_", ":"): fields for name, fields in instruments.items()})


def tick(key: str, **fields: Any) -> dict[str, Any]:
    symbol, exchange = NAMES[key]
    return {"symbol": symbol, "exchange": exchange, "mode": "DEPTH" if "depth" in fields else "QUOTE"} | fields


def level(price: float, quantity: int, orders: int | None = None) -> dict[str, Any]:
    return {"price": price, "quantity": quantity} | ({} if orders is None else {"orders": orders})


class Item(NamedTuple):
    name: str
    frames: list[str]
    expect: list[dict[str, Any]]
    event: str | None = None


FULL = {
    "c_exch_seg": "NSE", "c_symbol": "2885", "i_last_traded_price": 151235, "i_open_price": 150000,
    "i_closing_price": 149810, "i_volume_traded_today": 1200345, "i_feed_time": 1769753577,
    "i_last_trade_time": 1769753576, "best_buy": [level(151230, 10, 2), {}, {}, {}, {}], "best_sell": EMPTY,
}  # fmt: skip
KNOWN = {
    "ltp": 1512.35, "open": 1500.0, "close": 1498.1, "volume": 1200345, "timestamp": 1769753577000,
    "ltt": 1769753576000,
}  # fmt: skip

INCOMING = [
    Item(
        "5.6: a full frame, then one that changes two fields and one key of a level",
        [
            wire(NSE_2885=FULL),
            wire(NSE_2885={
                "i_last_traded_price": 151300, "i_open_price": 0, "i_volume_traded_today": NOTHING,
                "best_buy": [{"quantity": 35}, {}, {}, {}, {}],
            }),
        ],
        [
            tick(RELIANCE, **KNOWN, depth={"buy": [level(1512.3, 10, 2)], "sell": []}),
            tick(RELIANCE, **KNOWN | {"ltp": 1513.0}, depth={"buy": [level(1512.3, 35, 2)], "sell": []}),
        ],
    ),
    Item(
        "5.6: an index of BSE has no book",
        [wire(BSE_1={
            "c_exch_seg": "BSE", "c_symbol": "1", "i_last_traded_price": 8226978, "i_closing_price": 8256637,
            "i_feed_time": 1769753577, "best_buy": EMPTY, "best_sell": EMPTY,
        })],
        [tick(SENSEX, ltp=82269.78, close=82566.37, timestamp=1769753577000)],
    ),
    Item(
        "partial frames before a full one: nothing without a price, then all that is known",
        [
            wire(NFO_54957={"i_volume_traded_today": 65, "i_open_price": 13900}),
            wire(NFO_54957={"best_sell": [{}, {"price": 13960}]}),
            wire(NFO_54957={"best_sell": [{}, {"quantity": 130}]}),
            wire(NFO_54957={"i_last_traded_price": 13955}),
        ],
        [
            tick(OPTION, open=139.0, volume=65, depth={"buy": [], "sell": [level(139.6, 130)]}),
            tick(OPTION, ltp=139.55, open=139.0, volume=65, depth={"buy": [], "sell": [level(139.6, 130)]}),
        ],
    ),
    Item(
        "a full frame resets nothing",
        [wire(NSE_2885=FULL | {"i_high_price": 152000}), wire(NSE_2885=FULL)],
        [tick(RELIANCE, **KNOWN, high=1520.0, depth={"buy": [level(1512.3, 10, 2)], "sell": []})] * 2,
    ),
    Item(
        "counts of zero overwrite, prices and times of zero do not",
        [
            wire(NFO_54957={
                "i_last_traded_price": 13955, "i_average_trade_price": 13877, "i_lower_circuit_limit": 5,
                "i_volume_traded_today": 65, "i_last_trade_quantity": 65, "i_total_buy_quantity": 130,
                "i_total_sell_quantity": 195, "i_open_interest": 260, "i_feed_time": 1769753579,
                "i_last_trade_time": 1769753578,
            }),
            wire(NFO_54957={
                "i_last_traded_price": 0, "i_average_trade_price": 0, "i_lower_circuit_limit": 0,
                "i_volume_traded_today": 0, "i_last_trade_quantity": 0, "i_total_buy_quantity": 0,
                "i_total_sell_quantity": 0, "i_open_interest": 0, "i_feed_time": 0, "i_last_trade_time": 0,
            }),
        ],
        [
            tick(
                OPTION, ltp=139.55, avg_trade_price=138.77, lower_circuit=0.05, timestamp=1769753579000,
                ltt=1769753578000, volume=65, last_trade_quantity=65, total_buy_quantity=130,
                total_sell_quantity=195, oi=260,
            ),
            tick(
                OPTION, ltp=139.55, avg_trade_price=138.77, lower_circuit=0.05, timestamp=1769753579000,
                ltt=1769753578000, volume=0, last_trade_quantity=0, total_buy_quantity=0, total_sell_quantity=0, oi=0,
            ),
        ],
    ),
    Item(
        "every spelling of no number keeps what was known",
        [
            wire(NSE_2885={"i_last_traded_price": 151235, "i_high_price": 152000, "i_volume_traded_today": 7}),
            wire(NSE_2885={"i_last_traded_price": None, "i_high_price": "", "i_volume_traded_today": "-"}),
            wire(NSE_2885={"i_last_traded_price": NOTHING, "i_high_price": 9223372036854776000,
                           "i_volume_traded_today": 9.3e18}),
            wire(NSE_2885={"i_last_traded_price": -NOTHING, "i_high_price": "9223372036854775808",
                           "i_volume_traded_today": "abc"}),
        ],
        [tick(RELIANCE, ltp=1512.35, high=1520.0, volume=7)] * 4,
    ),
    Item(
        "numbers may be text, and float noise is shed",
        [wire(NSE_2885={
            "i_last_traded_price": "151235", "i_upper_circuit_limit": 125190.00000000001,
            "i_lower_circuit_limit": "102435.00000000001", "i_feed_time": "1769753577", "i_volume_traded_today": "5",
            "best_buy": [{"price": "151230", "quantity": "3", "orders": "1"}],
        })],
        [tick(
            RELIANCE, ltp=1512.35, upper_circuit=1251.9, lower_circuit=1024.35, timestamp=1769753577000, volume=5,
            depth={"buy": [level(1512.3, 3, 1)], "sell": []},
        )],
    ),
    Item(
        "close_price stands in for the closing price, and no longer once that is known",
        [
            wire(NSE_2885={"i_last_traded_price": 151235, "close_price": 149800}),
            wire(NSE_2885={"i_closing_price": 149810}),
            wire(NSE_2885={"close_price": 140000}),
        ],
        [
            tick(RELIANCE, ltp=1512.35, close=1498.0),
            tick(RELIANCE, ltp=1512.35, close=1498.1),
            tick(RELIANCE, ltp=1512.35, close=1498.1),
        ],
    ),
    Item(
        "5.3: total open interest stands in on NFO and BFO only",
        [
            json.dumps({
                name: {"i_last_traded_price": 100, "i_total_open_interest": 77}
                for name in (RELIANCE, ITC, NIFTY, OPTION, TWIN)
            }),
            wire(NFO_54957={"i_open_interest": 0}),
            wire(NSE_2885={"i_open_interest": 5}),
        ],
        [
            tick(RELIANCE, ltp=1.0), tick(ITC, ltp=1.0), tick(NIFTY, ltp=1.0), tick(OPTION, ltp=1.0, oi=77),
            tick(TWIN, ltp=1.0, oi=77), tick(OPTION, ltp=1.0, oi=0), tick(RELIANCE, ltp=1.0, oi=5),
        ],
    ),
    Item(
        "levels without a price or a quantity are dropped, the others keep their order",
        [wire(NFO_54957={
            "best_buy": [
                level(13930, 65, 1), level(0, 65, 1), level(13950, 0, 0), {"price": 13940}, level(13920, 130),
            ],
            "best_sell": [{}, {"quantity": 5}, level(NOTHING, 5), level(13970, 65, 0), {}],
        })],
        [tick(OPTION, depth={
            "buy": [level(139.3, 65, 1), level(139.2, 130)], "sell": [level(139.7, 65, 0)],
        })],
    ),
    Item(
        "levels merge by position and key; a sixth is none; a list that is none changes nothing",
        [
            wire(NFO_54957={"i_last_traded_price": 13955, "best_buy": [level(13950, 65, 1), level(13945, 65, 1)]}),
            wire(NFO_54957={"best_buy": [{}, {"orders": 4}, {}, {}, {}, level(13900, 65, 1)], "best_sell": None}),
            wire(NFO_54957={"best_buy": [{"quantity": 0}], "best_sell": "none"}),
            wire(NFO_54957={"best_buy": [None, {"price": 0}]}),
        ],
        [
            tick(OPTION, ltp=139.55, depth={"buy": [level(139.5, 65, 1), level(139.45, 65, 1)], "sell": []}),
            tick(OPTION, ltp=139.55, depth={"buy": [level(139.5, 65, 1), level(139.45, 65, 4)], "sell": []}),
            tick(OPTION, ltp=139.55, depth={"buy": [level(139.45, 65, 4)], "sell": []}),
            tick(OPTION, ltp=139.55),
        ],
    ),
    Item(
        "a bundle: one tick a key in its order, without greeks and what is not subscribed",
        [json.dumps({
            TWIN: {"i_last_traded_price": 41220},
            "NSE:1": {"i_last_traded_price": 1},
            OPTION: {"gamma": 12, "i_last_traded_price": 1},
            "BSE:2885": {"i_last_traded_price": 2},
            RELIANCE: {"i_last_traded_price": 139540},
            NIFTY: {"c_exch_seg": "NSE", "c_symbol": "1"},
            SENSEX: {"i_last_traded_price": 8226978},
        })],
        [tick(TWIN, ltp=412.2), tick(RELIANCE, ltp=1395.4), tick(SENSEX, ltp=82269.78)],
    ),
    Item(
        "version 1 and version 2 frames of one instrument share a state",
        [
            json.dumps({"c_exch_seg": "NSE", "c_symbol": "14366", "i_last_traded_price": 728, "close_price": 733}),
            wire(NSE_14366={"i_last_traded_price": 729}),
            json.dumps({"c_exch_seg": "BSE", "c_symbol": "14366", "i_last_traded_price": 1}),
        ],
        [tick(IDEA, ltp=7.28, close=7.33), tick(IDEA, ltp=7.29, close=7.33)],
    ),
    Item(
        "what is not used is not used",
        [wire(NSE_2885={
            "i_last_traded_price": 151235, "i_yearly_high_price": 160000, "i_yearly_low_price": 100000,
            "i_total_tradevalue": 99, "c_exch_feed_time": "30-Jan-2026 11:42:57", "i_usecs": 5,
            "i_seconds_since_boe": 1769753577000000000, "i_net_price_change_from_closing_price": 12,
            "c_net_change_indicator": 43, "i_buy_depth_size": 5, "i_sell_depth_size": 5,
        })],
        [tick(RELIANCE, ltp=1512.35)],
    ),
    Item(
        "a malformed frame spoils no other",
        [wire(NSE_2885={"i_last_traded_price": 1}), '{"NSE:2885":{"i_last', wire(NSE_2885={"i_open_price": 200})],
        [tick(RELIANCE, ltp=0.01), tick(RELIANCE, ltp=0.01, open=2.0)],
        "malformed",
    ),
    *(
        Item(f"{event or 'nothing'}: {text[:60]}", [text], [], event)
        for event, text in (
            ("ack", '{"status":"success","message":"Authentication successful"}'),
            ("auth_error", '{"status":"failed","message":"UnAuthenticated"}'),
            ("auth_error", '{"status":"failed","message":"INVALID jKey"}'),
            ("auth_error", '{"status":"failed","message":"unauthorized"}'),
            ("error", '{"status":"failed","message":"Maximum sessions limit (3) reached"}'),
            ("error", '{"status":"failed","message":"try later"}'),
            ("error", '{"status":"failed"}'),
            (None, '{"norenordno":"1","status":"failed","message":"unauthenticated"}'),
            (None, '{"norenordno":"1","status":"success"}'),
            (None, '{"brkname":"FIRSTOCK","status":"failed"}'),
            (None, '{"status":"OPEN"}'),
            (None, '{"NSE:2885":[1]}'),
            (None, '{"remark":{"i_last_traded_price":5}}'),
            (None, '{"c_exch_seg":"NSE","c_symbol":"9","i_last_traded_price":5}'),
            ("malformed", "{}"), ("malformed", "[]"), ("malformed", "1"), ("malformed", ""), ("malformed", "null"),
        )
    ),
]  # fmt: skip


def test_frames_mean_what_the_specification_says() -> None:
    items = [{"name": item.name, "frames": [{"text": text} for text in item.frames]} for item in INCOMING]
    found = decode_document({"broker": "firstock", "instruments": INSTRUMENTS, "incoming": items})
    for item, line in zip(INCOMING, found, strict=True):
        assert "error" not in line, line
        assert vector_cases.same_value(line["ticks"], item.expect), (item.name, line["ticks"])
        assert line["event"] == item.event, (item.name, line)


# -- calls -----------------------------------------------------------------------------------------------

MANY = [
    {"symbol": f"S{number}", "exchange": "NSE", "token": str(number), "brexchange": "NSE"} for number in range(1, 151)
]
ALL = [[row["symbol"], row["exchange"]] for row in MANY]


def frames(call: dict[str, Any], instruments: list[dict[str, Any]] = INSTRUMENTS) -> list[Any]:
    document = {"broker": "firstock", "instruments": instruments, "outgoing": [{"name": "call", "call": call}]}
    (line,) = decode_document(document)
    assert "error" not in line
    return [json.loads(frame["text"]) for frame in line["frames"]]


@pytest.mark.parametrize(
    ("call", "action", "tokens"),
    [
        ({"op": "subscribe", "mode": "LTP"}, "subscribe", "NSE:2885|NSE:26000|BFO:2885"),
        ({"op": "subscribe", "mode": "DEPTH"}, "subscribe", "NSE:2885|NSE:26000|BFO:2885"),
        ({"op": "unsubscribe", "mode": "DEPTH"}, "unsubscribe", "NSE:2885|NSE:26000|BFO:2885"),
        ({"op": "unsubscribe", "mode": "LTP"}, "unsubscribe", "NSE:2885|NSE:26000|BFO:2885"),
    ],
)
def test_one_subscription_serves_all_modes(call: dict[str, Any], action: str, tokens: str) -> None:
    names = [["RELIANCE", "NSE"], ["NIFTY", "NSE_INDEX"], ["SENSEX05FEB2682500PE", "BFO"]]
    assert frames({**call, "instruments": names}) == [{"action": action, "tokens": tokens}]


@pytest.mark.parametrize("old", ["LTP", "QUOTE", "DEPTH"])
@pytest.mark.parametrize("new", ["LTP", "QUOTE", "DEPTH"])
def test_a_change_of_mode_sends_nothing(old: str, new: str) -> None:
    assert frames({"op": "change_mode", "from": old, "to": new, "instruments": [["RELIANCE", "NSE"]]}) == []


def test_a_frame_names_at_most_a_hundred_and_nothing_is_sent_to_keep_alive() -> None:
    sent = frames({"op": "subscribe", "mode": "QUOTE", "instruments": ALL}, MANY)
    assert [one["tokens"].count("|") + 1 for one in sent] == [100, 50]
    assert frames({"op": "heartbeat"}) == []
