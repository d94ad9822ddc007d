"""Objects and calls beyond the shared vectors, their meaning worked out from the specification (sections 2 to 10)."""

import json
from typing import Any, NamedTuple

import pytest

from broker import vector_cases
from tickmux.decode import decode_document
from tickmux.simulator.fivepaisa import jwt

VECTORS = vector_cases.load("fivepaisa")
INSTRUMENTS = [
    *VECTORS["instruments"],
    {"symbol": "SENSEX04SEP2580500CE", "exchange": "BFO", "token": "52800"},  # as an option on NFO
    {"symbol": "USDINR26SEP25FUT", "exchange": "BCD", "token": "1143"},  # as on CDS, and GAIL on NSE
    {"symbol": "SENSEX", "exchange": "BSE_INDEX", "token": "999901"},
]
WIRE = {
    "NSE": "NC", "BSE": "BC", "NFO": "ND", "BFO": "BD", "CDS": "NU", "BCD": "BU", "MCX": "MD", "NSE_INDEX": "NC",
    "BSE_INDEX": "BC",
}  # fmt: skip
MOMENT = 1_756_266_302_000
DATE = f"/Date({MOMENT})/"

SBIN, RELIANCE = ("SBIN", "NSE"), ("RELIANCE", "BSE")
FUTURE, OPTION, SENSEX_CALL = (
    ("NIFTY28AUG25FUT", "NFO"),
    ("NIFTY28AUG2525000CE", "NFO"),
    ("SENSEX04SEP2580500CE", "BFO"),
)
USDINR, BCD, CRUDE = ("USDINR26SEP25FUT", "CDS"), ("USDINR26SEP25FUT", "BCD"), ("CRUDEOIL18SEP25FUT", "MCX")
GAIL, NIFTY, SENSEX = ("GAIL", "NSE"), ("NIFTY", "NSE_INDEX"), ("SENSEX", "BSE_INDEX")
CODES = {(row["symbol"], row["exchange"]): int(row["token"]) for row in INSTRUMENTS}
Name = tuple[str, str]


def scrip(name: Name, code: str = "Token") -> dict[str, Any]:
    exchange, segment = WIRE[name[1]]
    return {"Exch": exchange, "ExchType": segment, code: CODES[name]}


def told(name: Name, **fields: Any) -> dict[str, Any]:
    return scrip(name) | fields


def tick(name: Name, mode: str = "QUOTE", **fields: Any) -> dict[str, Any]:
    return {"symbol": name[0], "exchange": name[1], "mode": mode} | fields


def level(price: float, quantity: int, orders: int, flag: int | str) -> dict[str, Any]:
    return {"Quantity": quantity, "Price": price, "NumberOfOrders": orders, "BbBuySellFlag": flag}


class Item(NamedTuple):
    name: str
    frames: list[Any]
    """Text, or what is written as JSON."""
    expect: list[dict[str, Any]]
    event: str | None = None


INCOMING = [
    Item(
        "a price on every segment, one array",
        [[told(name, LastRate=number + 0.25, PClose=7) for number, name in enumerate(CODES, 1)]],
        [tick(name, ltp=number + 0.25, close=7.0) for number, name in enumerate(CODES, 1)],
    ),
    Item(
        "the best bid and offer, the time of the day and the change are not mapped",
        [told(SBIN, LastRate=5, BidQty=1, BidRate=4.95, OffQty=2, OffRate=5.05, Time=35950, ChgPcnt=1, TickDt=DATE)],
        [tick(SBIN, "LTP", ltp=5.0, timestamp=MOMENT)],
    ),
    Item(
        "the short feed is an LTP tick",
        [told(SBIN, LastRate=812, LastQty=3, TickDt=DATE, ChgPcnt=-1)],
        [tick(SBIN, "LTP", ltp=812.0, last_trade_quantity=3, timestamp=MOMENT)],
    ),
    Item(
        "null, zero and missing are no value",
        [told(FUTURE, LastRate=24712.4, High=None, Low=0, PClose=24801.95, TotalQty=None, TBidQ=0, TOffQ=9)],
        [tick(FUTURE, ltp=24712.4, close=24801.95, total_sell_quantity=9)],
    ),
    Item("no price yet", [told(OPTION, LastRate=None, PClose=101.25), told(OPTION, LastRate=0.0, TotalQty=5)], []),
    Item("a price below zero is one", [told(CRUDE, LastRate=-37.63, Low=-40)], [tick(CRUDE, ltp=-37.63, low=-40.0)]),
    Item(
        "dates: UTC whatever the zone says; year 1 is none",
        [
            told(SBIN, LastRate=5, TickDt=f"/Date({MOMENT}+0530)/"),
            told(SBIN, LastRate=5, TickDt="/Date(-62135596800000)/"),
            told(SBIN, LastRate=5, TickDt="/Date(0)/"),
        ],
        [
            tick(SBIN, "LTP", ltp=5.0, timestamp=MOMENT),
            # the time that an earlier frame told is not this one's
            tick(SBIN, "LTP", ltp=5.0),
            tick(SBIN, "LTP", ltp=5.0),
        ],
    ),
    Item(
        "a book in any order, with flags as letters, without orders, padded",
        [
            told(
                SBIN,
                TBidQ=30,
                TOffQ=0,
                Time=DATE,
                Details=[
                    level(812.4, 5, 0, 83), level(812.1, 10, 2, 66), level(812.3, 20, 3, "B"), level(0, 0, 0, 66),
                    level(812.35, 7, 1, "S"), level(812.0, 0, 1, 66), level(0, 9, 1, 83), level(800, 1, 1, 67),
                ],
            )
        ],
        [
            tick(
                SBIN,
                "DEPTH",
                total_buy_quantity=30,
                timestamp=MOMENT,
                depth={
                    "buy": [
                        {"price": 812.3, "quantity": 20, "orders": 3},
                        {"price": 812.1, "quantity": 10, "orders": 2},
                    ],
                    "sell": [{"price": 812.35, "quantity": 7, "orders": 1}, {"price": 812.4, "quantity": 5}],
                },
            )
        ],
    ),
    Item(
        "an empty book, its time in the other field",
        [told(USDINR, Details=[], TimeStamp=MOMENT, TBidQ=0), told(USDINR, Details=[], TimeStamp=0)],
        [
            tick(USDINR, "DEPTH", timestamp=MOMENT, depth={"buy": [], "sell": []}),
            tick(USDINR, "DEPTH", depth={"buy": [], "sell": []}),
        ],
    ),
    Item(
        "open interest of a future, an option and a commodity, and none",
        [[
            told(FUTURE, OpenInterest=15234525, DayHiOI=15301200, DayLoOI=15010350), told(OPTION, OpenInterest=0),
            told(SENSEX_CALL, OpenInterest=75), told(CRUDE, OpenInterest=11872), told(OPTION, OpenInterest=None),
        ]],
        [tick(FUTURE, oi=15234525), tick(SENSEX_CALL, oi=75), tick(CRUDE, oi=11872)],
    ),
    Item(
        "one code in three segments, and its number as text",
        [[told(name, LastRate=5 + place) | {"Token": "1143"} for place, name in enumerate((GAIL, USDINR, BCD))]],
        [tick(name, "LTP", ltp=5.0 + place) for place, name in enumerate((GAIL, USDINR, BCD))],
    ),
    Item("another segment's code", [told(SBIN, LastRate=5) | one for one in ({"Exch": "B"}, {"ExchType": "D"})], []),
    Item(
        "kinds go before each other: an order, a book, a price",
        [[
            told(SBIN, ReqType="P", LastRate=1), told(SBIN, Details=[], LastRate=2),
            told(SBIN, LastRate=3, OpenInterest=4),
        ]],
        [tick(SBIN, "DEPTH", depth={"buy": [], "sell": []}), tick(SBIN, "LTP", ltp=3.0)],
    ),
    Item("the server's words", [{"Message": "Invalid Session", "Status": 1}], [], "error"),
    Item("words among prices", [[told(SBIN, LastRate=5), {"Status": 9}]], [tick(SBIN, "LTP", ltp=5.0)], "error"),
    Item("PING", ["PING"], [], "heartbeat"),
    Item("no JSON, then a price", ["<html>", told(SBIN, LastRate=5)], [tick(SBIN, "LTP", ltp=5.0)], "malformed"),
    Item("an empty text", [""], [], "malformed"),
    Item("an empty array", [[]], []),
]  # fmt: skip


@pytest.mark.parametrize("item", INCOMING, ids=[item.name for item in INCOMING])
def test_objects_mean_what_the_specification_says(item: Item) -> None:
    frames = [{"text": frame if isinstance(frame, str) else json.dumps(frame)} for frame in item.frames]
    incoming = [{"name": item.name, "frames": frames}]
    (line,) = decode_document({"broker": "fivepaisa", "instruments": INSTRUMENTS, "incoming": incoming})
    assert len(line["ticks"]) == len(item.expect)
    for found, wanted in zip(line["ticks"], item.expect, strict=True):
        assert vector_cases.same_value(found, wanted), f"{found} is not {wanted}"
    assert (line["event"], line.get("error")) == (item.event, None)


# -- calls -----------------------------------------------------------------------------------------------

FEED, DEPTH, OI = "MarketFeedV3", "MarketDepthService", "GetScripInfoForFuture"


def call(op: str, mode: str, *names: Name) -> dict[str, Any]:
    return {"op": op, "mode": mode, "instruments": [list(name) for name in names]}


def line_of(now: dict[str, Any], *before: dict[str, Any]) -> dict[str, Any]:
    (line,) = decode_document(
        {
            "broker": "fivepaisa",
            "client_code": "58008888",
            "instruments": INSTRUMENTS,
            "outgoing": [{"name": "call", "before": list(before), "call": now}],
        }
    )
    assert "error" not in line
    return line


def wanted(operation: str, method: str, *names: Name) -> dict[str, Any]:
    scrips = [scrip(name, "ScripCode") for name in names]
    return {"Method": method, "Operation": operation, "ClientCode": "58008888", "MarketFeedData": scrips}


@pytest.mark.parametrize(
    ("before", "now", "operation", "methods"),
    [
        ([], call("subscribe", "DEPTH", CRUDE), "Subscribe", [DEPTH, FEED, OI]),
        ([], call("subscribe", "DEPTH", SENSEX_CALL), "Subscribe", [DEPTH, FEED, OI]),
        ([], call("subscribe", "QUOTE", SENSEX_CALL), "Subscribe", [FEED, OI]),
        ([], call("subscribe", "LTP", SENSEX_CALL), "Subscribe", [FEED]),
        ([], call("subscribe", "DEPTH", BCD), "Subscribe", [DEPTH, FEED]),
        ([], call("subscribe", "QUOTE", USDINR), "Subscribe", [FEED]),
        ([], call("subscribe", "DEPTH", SENSEX), "Subscribe", [FEED]),
        ([call("subscribe", "LTP", CRUDE)], call("subscribe", "QUOTE", CRUDE), "Subscribe", [OI]),
        ([call("subscribe", "QUOTE", CRUDE)], call("subscribe", "DEPTH", CRUDE), "Subscribe", [DEPTH]),
        ([call("subscribe", "LTP", CRUDE)], call("subscribe", "DEPTH", CRUDE), "Subscribe", [DEPTH, OI]),
        ([call("subscribe", "DEPTH", CRUDE)], call("subscribe", "QUOTE", CRUDE), "", []),
        ([call("subscribe", "DEPTH", CRUDE)], call("unsubscribe", "DEPTH", CRUDE), "Unsubscribe", [DEPTH, FEED, OI]),
        (
            [call("subscribe", "LTP", CRUDE), call("subscribe", "DEPTH", CRUDE)],
            call("unsubscribe", "DEPTH", CRUDE),
            "Unsubscribe",
            [DEPTH, OI],
        ),
        (
            [call("subscribe", "QUOTE", CRUDE), call("subscribe", "DEPTH", CRUDE)],
            call("unsubscribe", "DEPTH", CRUDE),
            "Unsubscribe",
            [DEPTH],
        ),
    ],
)
def test_a_call_sends_the_methods_that_it_starts_or_ends(
    before: list[dict[str, Any]], now: dict[str, Any], operation: str, methods: list[str]
) -> None:
    (name,) = [(symbol, exchange) for symbol, exchange in now["instruments"]]
    found = [json.loads(frame["text"]) for frame in line_of(now, *before)["frames"]]
    assert sorted(found, key=str) == sorted((wanted(operation, method, name) for method in methods), key=str)


def test_segments_share_a_frame_of_one_method() -> None:
    found = [
        json.loads(frame["text"]) for frame in line_of(call("subscribe", "LTP", SBIN, RELIANCE, CRUDE))["frames"]
    ]
    assert found == [wanted("Subscribe", FEED, SBIN, RELIANCE, CRUDE)]


@pytest.mark.parametrize(
    ("server", "base"),
    [
        ("A", "aopenfeed.5paisa.com/feeds"), ("B", "bopenfeed.5paisa.com/feeds"),
        ("C", "openfeed.5paisa.com/feeds"), ("", "openfeed.5paisa.com/Feeds"),
    ],
)  # fmt: skip
def test_the_token_chooses_the_address_on_any_day(server: str, base: str) -> None:
    token = jwt({"exp": 1_756_319_400, "RedirectServer": server}, "sig")
    line = line_of({"op": "connect", "credentials": {"access_token": token, "client_code": "58008888"}})
    assert line["url"] == f"wss://{base}/api/chat?Value1={token}%7C58008888"


def test_nothing_is_sent_to_keep_alive() -> None:
    assert line_of({"op": "heartbeat"})["frames"] == []
