"""Lines and calls beyond the shared vectors, their meaning worked out from the specification (sections 4 to 10)."""

import json
from typing import Any, NamedTuple

import pytest

from broker import vector_cases
from tickmux.decode import decode_document

INSTRUMENTS = vector_cases.load("indmoney")["instruments"]
NAMES = {row["token"]: (row["symbol"], row["exchange"]) for row in INSTRUMENTS}
TWIN = {"symbol": "BANKNIFTY28AUG25FUT", "exchange": "NFO", "token": "2885"}  # as RELIANCE on NSE
MOMENT = 1_756_266_300_000


def update(token: str = "2885", mode: str = "ltp", **data: Any) -> str:
    return json.dumps({"mode": mode, "instrument": token, "timestamp": MOMENT, "data": data})


def tick(token: str = "2885", **fields: Any) -> dict[str, Any]:
    symbol, exchange = NAMES[token]
    return {"symbol": symbol, "exchange": exchange, "mode": "QUOTE", "timestamp": MOMENT} | fields


def ltp(token: str = "2885", price: float = 1389.0) -> dict[str, Any]:
    return tick(token, mode="LTP", ltp=price)


class Item(NamedTuple):
    name: str
    frames: list[str]
    expect: list[dict[str, Any]]
    event: str | None = None
    instruments: list[dict[str, Any]] = INSTRUMENTS


LTP = update(ltp=1389)
FULL: dict[str, Any] = {
    "ltp": 1389, "open": 1384.9, "high": 1393.5, "low": 1380.1, "volume": 7, "oi": 9, "average_price": 1387.25,
    "total_buy_qty": 11, "total_sell_qty": 12, "ltq": 3, "ltt": MOMENT - 5, "bid_price": 1388.95, "bid_qty": 4,
    "ask_price": 1389, "ask_qty": 6,
}  # fmt: skip
WHOLE = tick(
    ltp=1389.0, open=1384.9, high=1393.5, low=1380.1, volume=7, oi=9, avg_trade_price=1387.25,
    total_buy_quantity=11, total_sell_quantity=12, last_trade_quantity=3, ltt=MOMENT - 5,
    depth={"buy": [{"price": 1388.95, "quantity": 4}], "sell": [{"price": 1389.0, "quantity": 6}]},
)  # fmt: skip

INCOMING = [
    Item("every field", [update(mode="full", **FULL, close=1389, oi_change=2, change=1, upper_circuit=9)], [WHOLE]),
    *(
        Item(f"{nothing!r} leaves everything as it was", [
            update(mode="full", **FULL), update(mode="quote", **dict.fromkeys(FULL, nothing))
        ], [WHOLE, WHOLE])
        for nothing in (0, None, "", "n/a", [], {}, "0.0")
    ),
    Item("numbers as text", [update(mode="full", **{name: str(value) for name, value in FULL.items()})], [WHOLE]),
    Item(
        "an ltp update tells the price alone, and its other fields come with the next quote",
        [update(ltp=1389, open=1384.9, bid_price=1388.95), update(mode="quote", high=1393.5)],
        [
            ltp(),
            tick(ltp=1389.0, open=1384.9, high=1393.5, depth={"buy": [{"price": 1388.95}], "sell": []}),
        ],
    ),
    Item(
        "what came before the first price is kept",
        [update(mode="quote", open=1384.9, ask_price=1389.1), update(volume=5), LTP, update(mode="quote", volume=6)],
        [ltp(), tick(ltp=1389.0, open=1384.9, volume=6, depth={"buy": [], "sell": [{"price": 1389.1}]})],
    ),
    Item(
        "a quantity that comes later joins its price, one without a price is no depth",
        [
            update(mode="full", ltp=1389, bid_qty=4),
            update(mode="full", ask_price=1389.5),
            update(mode="full", ask_qty=8, bid_price=1388.5),
        ],
        [
            tick(ltp=1389.0),
            tick(ltp=1389.0, depth={"buy": [], "sell": [{"price": 1389.5}]}),
            tick(
                ltp=1389.0,
                depth={"buy": [{"price": 1388.5, "quantity": 4}], "sell": [{"price": 1389.5, "quantity": 8}]},
            ),
        ],
    ),
    Item(
        "a trade time in seconds, and in milliseconds",
        [update(mode="full", ltp=5, ltt=1_756_266_299), update(mode="full", ltt=1_756_266_299_500)],
        [tick(ltp=5.0, ltt=1_756_266_299_000), tick(ltp=5.0, ltt=1_756_266_299_500)],
    ),
    Item(
        "arrays, strings in arrays, numbers as ids, segments as prefixes",
        [
            f"[{LTP},{json.dumps(update('500112', ltp=812.35))}]",
            json.dumps({"mode": "ltp", "instrument": 2885, "timestamp": MOMENT, "data": {"ltp": 1389}}),
            update("NIDX:40000001", ltp=24698.35),
            update("BIDX:40000101", ltp=80792.14),
            update("NFO:45108", ltp=96.4),
        ],
        [
            ltp(),
            ltp("500112", 812.35),
            ltp(),
            ltp("40000001", 24698.35),
            ltp("40000101", 80792.14),
            ltp("45108", 96.4),
        ],
    ),
    Item("a prefix of another segment", [update("BSE:2885", ltp=1), update("NSE:40000001", ltp=1)], []),
    Item("a bad line is lost alone", [f"{LTP}\r\n\n{{broken\n\"\\\"also\"\n{LTP}\n"], [ltp(), ltp()], "malformed"),
    Item("a string whose content is no JSON", ['"hello"'], [], "malformed"),
    Item("no JSON", ["hello"], [], "malformed"),
    Item("ping as a JSON string", ['"ping"\n'], [], "heartbeat"),
    Item("ping beside a price", [f"ping\n{LTP}"], [ltp()]),
    Item("no data, null data, data that are no object", [
        '{"status":"success"}\n{"status":"success","data":null}\n{"mode":"ltp","instrument":"2885","data":[]}'
    ], [], "ack"),
    Item("an error by its status", ['{"status":"error","error_type":"InputException"}'], [], "error"),
    Item("an error by its key", ['{"error":"unknown instrument"}'], [], "error"),
    Item("a dead token by its type", ['{"status":"error","error_type":"TokenException"}'], [], "auth_error"),
    Item("a dead token by its text", ['{"status":"error","message":"Your token has expired"}'], [], "auth_error"),
    Item("the gravest line counts", ['{"error":"Invalid token"}\n{"error":"x"}\nping'], [], "auth_error"),
    Item("a mode that is none", [update(mode="market_depth", ltp=5)], []),
    Item("no time", ['{"mode":"ltp","instrument":"2885","data":{"ltp":1389}}'], [
        {name: value for name, value in ltp().items() if name != "timestamp"}
    ]),
    Item(
        "one id in two segments: only a prefix tells them apart",
        [LTP, update("NFO:2885", ltp=56012.4), update("NSE:2885", ltp=1389)],
        [ltp() | {"symbol": TWIN["symbol"], "exchange": "NFO", "ltp": 56012.4}, ltp()],
        instruments=[INSTRUMENTS[0], TWIN],
    ),
]  # fmt: skip


@pytest.mark.parametrize("item", INCOMING, ids=[item.name for item in INCOMING])
def test_lines_mean_what_the_specification_says(item: Item) -> None:
    frames = [{"text": text} for text in item.frames]
    incoming = [{"name": item.name, "mode": "QUOTE", "frames": frames}]
    (line,) = decode_document({"broker": "indmoney", "instruments": item.instruments, "incoming": incoming})
    assert len(line["ticks"]) == len(item.expect)
    for found, wanted in zip(line["ticks"], item.expect, strict=True):
        assert vector_cases.same_value(found, wanted), f"{found} is not {wanted}"
    assert (line["event"], line.get("error")) == (item.event, None)


# -- calls -----------------------------------------------------------------------------------------------

SHARE, FUTURE, SENSEX = ["RELIANCE", "NSE"], ["NIFTY28AUG25FUT", "NFO"], ["SENSEX", "BSE_INDEX"]


def call(op: str, mode: str, *instruments: list[str]) -> dict[str, Any]:
    return {"op": op, "mode": mode, "instruments": list(instruments)}


def frames(now: dict[str, Any], *before: dict[str, Any], **more: Any) -> list[tuple[str, str, list[str]]]:
    outgoing = [{"name": "call", "before": list(before), "call": now, **more}]
    (line,) = decode_document({"broker": "indmoney", "instruments": INSTRUMENTS, "outgoing": outgoing})
    assert "error" not in line
    sent = [json.loads(frame["text"]) for frame in line["frames"]]
    return sorted((one["action"], one["mode"], one["instruments"]) for one in sent)


@pytest.mark.parametrize(
    ("before", "now", "sent"),
    [
        ([], call("subscribe", "DEPTH", SENSEX), [("subscribe", "ltp"), ("subscribe", "quote")]),
        ([call("subscribe", "LTP", SENSEX)], call("subscribe", "QUOTE", SENSEX), [("subscribe", "quote")]),
        ([call("subscribe", "QUOTE", SENSEX)], call("subscribe", "DEPTH", SENSEX), []),
        ([call("subscribe", "QUOTE", SENSEX)], call("subscribe", "LTP", SENSEX), []),
        (
            [call("subscribe", "LTP", SENSEX), call("subscribe", "QUOTE", SENSEX)],
            call("unsubscribe", "QUOTE", SENSEX),
            [("unsubscribe", "quote")],
        ),
        (
            [call("subscribe", "LTP", SENSEX), call("subscribe", "QUOTE", SENSEX)],
            call("unsubscribe", "LTP", SENSEX),
            [],
        ),
        ([], call("unsubscribe", "DEPTH", SENSEX), [("unsubscribe", "ltp"), ("unsubscribe", "quote")]),
        ([], call("unsubscribe", "LTP", SENSEX), [("unsubscribe", "ltp")]),
        (
            [],
            {"op": "change_mode", "from": "QUOTE", "to": "LTP", "instruments": [SENSEX]},
            [("unsubscribe", "quote")],
        ),
    ],
)
def test_a_change_sends_the_modes_that_it_starts_or_ends(
    before: list[dict[str, Any]], now: dict[str, Any], sent: list[tuple[str, str]]
) -> None:
    assert frames(now, *before) == [(*one, ["BIDX:40000101"]) for one in sent]


def test_segments_never_share_a_frame() -> None:
    assert frames(call("subscribe", "QUOTE", SHARE, FUTURE, SENSEX)) == sorted(
        ("subscribe", mode, [name])
        for mode in ("ltp", "quote")
        for name in ("NSE:2885", "NFO:51011", "BIDX:40000101")
    )


def test_the_full_mode_goes_alone_where_it_was_chosen() -> None:
    config = {"quote_mode": "full"}
    assert frames(call("subscribe", "DEPTH", SHARE), config=config) == [("subscribe", "full", ["NSE:2885"])]
    assert frames(call("unsubscribe", "QUOTE", SHARE), config=config) == [("unsubscribe", "full", ["NSE:2885"])]
    assert frames(call("subscribe", "LTP", SHARE), config=config) == [("subscribe", "ltp", ["NSE:2885"])]


def test_nothing_is_sent_to_open_and_to_keep_alive() -> None:
    assert frames({"op": "connect", "credentials": {"access_token": "t0k"}}) == []
    assert frames({"op": "heartbeat"}) == []
