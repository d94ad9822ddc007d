"""Frames and calls beyond the shared vectors, their meaning worked out from the specification's sections 4 to 6."""

import json
from typing import Any, NamedTuple

import pytest

from broker import vector_cases
from broker.tradejini.tradejini_wire import VECTORS, book, frame, packet, quote
from tickmux.decode import decode_document

CE, TWIN, EURINR = "NIFTY29DEC2626000CE", "SENSEX26NOV2685000CE", "EURINR29DEC26FUT"
INSTRUMENTS = [
    *VECTORS["instruments"],
    {"symbol": TWIN, "exchange": "BFO", "token": "2885"},  # as RELIANCE on NSE
    {"symbol": EURINR, "exchange": "BCD", "token": "1482"},  # as USDINR on CDS
]
NAMES = {
    (1, 11536): ("TCS", "NSE"),
    (1, 2885): ("RELIANCE", "NSE"),
    (2, 500325): ("RELIANCE", "BSE"),
    (1, -1): ("NIFTY", "NSE_INDEX"),
    (3, 44498): ("NIFTY29DEC26FUT", "NFO"),
    (3, 44501): (CE, "NFO"),
    (4, 2885): (TWIN, "BFO"),
    (5, 1482): ("USDINR29DEC26FUT", "CDS"),
    (6, 1482): (EURINR, "BCD"),
    (8, 499095): ("CRUDEOIL18DEC26FUT", "MCX"),
}


def tick(segment: int, token: int, **fields: Any) -> dict[str, Any]:
    symbol, exchange = NAMES[segment, token]
    return {"symbol": symbol, "exchange": exchange, "mode": "DEPTH" if "depth" in fields else "QUOTE"} | fields


def depth(buy: list[tuple[float, int, int]], sell: list[tuple[float, int, int]]) -> dict[str, Any]:
    return {
        side: [{"price": price, "quantity": quantity, "orders": orders} for price, quantity, orders in levels]
        for side, levels in (("buy", buy), ("sell", sell))
    }


class Item(NamedTuple):
    name: str
    frames: list[bytes | str]
    expect: list[dict[str, Any]]
    event: str | None = None


TCS = quote({29: 342155})
TCS_TICK = tick(1, 11536, ltp=3421.55)

BID, ASK = [(49, 886_500_000), (50, 5), (51, 1)], [(52, 886_550_000), (53, 6), (54, 2)]

INCOMING = [
    Item(
        "every segment has its divisor, in one frame",
        [
            frame(
                *(quote({29: 8865250, 33: 8857250}, *who) for who in NAMES if who != (1, -1)),
                compressed=True,
            )
        ],
        [
            tick(*who, ltp=8865250 / divisor, close=8857250 / divisor)
            for who in NAMES
            if who != (1, -1)
            for divisor in [{5: 10_000_000, 6: 10_000}.get(who[0], 100)]
        ],
    ),
    Item(
        "segment and token come last in both packets",
        [
            frame(
                packet(10, [(29, 886_525_000), (40, 7), (27, 1482), (26, 5)]),
                packet(
                    11,
                    [(47, 3), (48, 4), (55, 1), *BID, *ASK, (28, 4), (27, 1482), (26, 5)],
                ),
            )
        ],
        [
            tick(5, 1482, ltp=88.6525, volume=7),
            tick(
                5,
                1482,
                ltp=88.6525,
                volume=7,
                total_buy_quantity=3,
                total_sell_quantity=4,
                depth=depth([(88.65, 5, 1)], [(88.655, 6, 2)]),
            ),
        ],
    ),
    Item(
        "a change before any full packet says what it says",
        [frame(quote({40: 12})), frame(quote({46: 1795409130}, 8, 499095))],
        [tick(1, 11536, volume=12), tick(8, 499095, ltt=1795409130000)],
    ),
    Item(
        "one token on two exchanges: two records",
        [
            frame(quote({29: 154620, 40: 1}, 1, 2885), quote({29: 41265}, 4, 2885)),
            frame(quote({40: 2}, 4, 2885), quote({40: 3}, 1, 2885)),
        ],
        [
            tick(1, 2885, ltp=1546.2, volume=1),
            tick(4, 2885, ltp=412.65),
            tick(4, 2885, ltp=412.65, volume=2),
            tick(1, 2885, ltp=1546.2, volume=3),
        ],
    ),
    Item(
        "zero prices and times are none, zero quantities and open interest are zeros",
        [frame(quote({29: 0, 30: 0, 33: 12000, 36: 0, 39: 0, 40: 0, 42: 0, 43: 0, 44: 0, 46: 0}, 3, 44501))],
        [tick(3, 44501, close=120.0, last_trade_quantity=0, volume=0, oi=0)],
    ),
    Item(
        "negative prices",
        [frame(quote({29: -3763, 32: -4032}, 8, 499095))],
        [tick(8, 499095, ltp=-37.63, low=-40.32)],
    ),
    Item(
        "large unsigned quantities",
        [frame(quote({40: 4_000_000_000, 44: 3_000_000_000}, 3, 44498))],
        [tick(3, 44498, volume=4_000_000_000, oi=3_000_000_000)],
    ),
    Item("an index", [frame(quote({29: 2606815, 40: 0}, 1, -1))], [tick(1, -1, ltp=26068.15, volume=0)]),
    Item(
        "an unknown key drops its packet alone",
        [frame(packet(10, [(26, 1), (27, 2885), (29, 1)], b"\x50\x01"), TCS)],
        [TCS_TICK],
    ),
    Item("an unknown type is skipped", [frame(packet(19, [(29, 1)]), TCS, packet(255, []))], [TCS_TICK]),
    Item(
        "candles, greeks and volatilities are ignored, and so are their contents",
        [
            frame(
                packet(12, [(26, 1), (27, 11536), (30, 1)]),
                packet(17, [], b"\x1a\x01\x3f"),
                TCS,
                packet(18, [], b"\xff"),
            )
        ],
        [TCS_TICK],
    ),
    Item(
        "a field that crosses the end of its packet drops the packet",
        [frame(packet(10, [(26, 1), (27, 2885), (29, 1)], b"\x28\x01\x02"), TCS)],
        [TCS_TICK],
        "malformed",
    ),
    Item("an unknown segment drops its packet", [frame(quote({29: 1}, 11), TCS)], [TCS_TICK], "malformed"),
    Item("a segment that nobody subscribed", [frame(quote({29: 1}, 7), TCS, quote({29: 1}, 2))], [TCS_TICK]),
    Item("a packet of length zero ends the frame", [frame(TCS, b"\x00\x00\x0a", TCS)], [TCS_TICK], "malformed"),
    Item("a packet of length two ends the frame", [frame(TCS, b"\x02\x00\x0a", TCS)], [TCS_TICK], "malformed"),
    Item("a packet that is longer than the rest", [frame(TCS, quote({29: 1})[:-1])], [TCS_TICK], "malformed"),
    Item("five bytes", [frame(TCS)[:5]], [], "malformed"),
    Item("another compression", [frame(TCS)[:5] + b"\x63" + TCS], [], "malformed"),
    Item("another version, then one that can be read", [frame(TCS, version=2), frame(TCS)], [TCS_TICK], "error"),
    Item("a header alone", [frame()], []),
    Item(
        "a book of a currency with an empty level on one side",
        [frame(book([(886_525_000, 10, 2)], [(0, 0, 0)], segment=5, token=1482))],
        [tick(5, 1482, depth=depth([(88.6525, 10, 2)], []))],
    ),
    Item(
        "totals that are absent stay, the book is replaced, and a quote has no book",
        [
            frame(book([(100, 1, 1)], [(200, 2, 1)], _47=10, _48=20)),
            frame(book([(150, 3, 1)], [(0, 0, 0)])),
            frame(quote({29: 175}, 3, 44498)),
            frame(book([], [], _48=0)),
        ],
        [
            tick(3, 44498, total_buy_quantity=10, total_sell_quantity=20, depth=depth([(1.0, 1, 1)], [(2.0, 2, 1)])),
            tick(3, 44498, total_buy_quantity=10, total_sell_quantity=20, depth=depth([(1.5, 3, 1)], [])),
            tick(3, 44498, ltp=1.75, total_buy_quantity=10, total_sell_quantity=20),
            tick(3, 44498, ltp=1.75, total_buy_quantity=10, total_sell_quantity=0, depth=depth([], [])),
        ],
    ),
    Item(
        "a book cut inside a level is dropped, the one before stays",
        [frame(packet(11, [(26, 3), (27, 44498), (55, 1), (49, 100), (50, 5)]), TCS)],
        [TCS_TICK],
        "malformed",
    ),
    Item(
        "the most severe notice of a frame counts",
        [frame(packet(16, [(62, 1)]), packet(13, [(25, 2)]), packet(13, [(25, 1)]), packet(16, [(62, 1)]))],
        [],
        "auth_error",
    ),
    Item("a refused session beside a tick", [frame(TCS, packet(13, [(25, 0)]))], [TCS_TICK], "auth_error"),
    Item("a tick hides a pong", [frame(packet(16, [(62, 1)]), TCS)], [TCS_TICK]),
    Item("a market status of no segment", [frame(packet(14, [(56, 0)]))], [], "market_status"),
    Item("an order with padding", [frame(packet(15, [(56, 6)], b"\x3d{}\x00\x00\x00\x00"))], [], "order"),
    Item("a text", ["Unauthorized Access"], [], "error"),
]


def wire(content: bytes | str) -> dict[str, str]:
    return {"text": content} if isinstance(content, str) else {"hex": content.hex()}


DOCUMENT = {
    "broker": "tradejini",
    "instruments": INSTRUMENTS,
    "incoming": [{"name": item.name, "frames": [wire(each) for each in item.frames]} for item in INCOMING],
}
LINES = list(decode_document(DOCUMENT))


@pytest.mark.parametrize(
    ("item", "line"), list(zip(INCOMING, LINES, strict=True)), ids=[one.name for one in INCOMING]
)
def test_frames_mean_what_the_specification_says(item: Item, line: dict[str, Any]) -> None:
    assert len(line["ticks"]) == len(item.expect)
    for found, wanted in zip(line["ticks"], item.expect, strict=True):
        assert vector_cases.same_value(found, wanted), f"{found} is not {wanted}"
    assert (line["event"], line.get("error")) == (item.event, None)


# -- calls -----------------------------------------------------------------------------------------------

SHARE, OTHER, INDEX = ["TCS", "NSE"], ["RELIANCE", "BSE"], ["NIFTY", "NSE_INDEX"]


def call(op: str, mode: str, *instruments: list[str]) -> dict[str, Any]:
    return {"op": op, "mode": mode, "instruments": list(instruments)}


def told(feed: str, *symbols: str) -> dict[str, Any]:
    if not symbols:
        return {"type": feed, "action": "unsub"}
    return {"type": feed, "action": "sub", "tokens": [{"t": symbol} for symbol in symbols]}


@pytest.mark.parametrize(
    ("before", "now", "frames"),
    [
        ([], call("subscribe", "DEPTH", INDEX), [told("L1", "-1_NSE")]),
        ([call("subscribe", "QUOTE", SHARE)], call("subscribe", "DEPTH", SHARE), [told("L5", "11536_NSE")]),
        ([call("subscribe", "LTP", SHARE)], call("subscribe", "QUOTE", SHARE), []),
        (
            [call("subscribe", "QUOTE", SHARE)],
            call("subscribe", "DEPTH", OTHER),
            [told("L1", "11536_NSE", "500325_BSE"), told("L5", "500325_BSE")],
        ),
        (
            [call("subscribe", "DEPTH", SHARE, OTHER)],
            call("unsubscribe", "DEPTH", SHARE),
            [told("L1", "500325_BSE"), told("L5", "500325_BSE")],
        ),
        ([call("subscribe", "DEPTH", SHARE)], call("unsubscribe", "DEPTH", SHARE), [told("L1"), told("L5")]),
        (
            [call("subscribe", "LTP", SHARE), call("subscribe", "DEPTH", SHARE)],
            call("unsubscribe", "DEPTH", SHARE),
            [told("L5")],
        ),
        ([call("subscribe", "DEPTH", INDEX)], call("unsubscribe", "DEPTH", INDEX), [told("L1")]),
        (
            [call("subscribe", "QUOTE", SHARE), call("subscribe", "QUOTE", INDEX)],
            call("subscribe", "QUOTE", OTHER),
            [told("L1", "11536_NSE", "-1_NSE", "500325_BSE")],
        ),
    ],
)
def test_a_call_sends_the_complete_lists_that_it_changes(
    before: list[dict[str, Any]], now: dict[str, Any], frames: list[dict[str, Any]]
) -> None:
    outgoing = [{"name": "call", "before": before, "call": now}]
    (line,) = decode_document({"broker": "tradejini", "instruments": INSTRUMENTS, "outgoing": outgoing})
    assert "error" not in line
    assert all(each["text"].endswith("\n") for each in line["frames"])
    sent = [json.loads(each["text"]) for each in line["frames"]]
    assert sorted(sent, key=str) == sorted(frames, key=str)
    assert [each["type"] for each in sent] == sorted(each["type"] for each in sent), "L1 goes first"
