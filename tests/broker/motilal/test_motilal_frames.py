"""Frames and calls beyond the shared vectors, their meaning worked out from the specification by hand."""

import struct
from typing import Any

import pytest

from broker.motilal.motilal_wire import HEARTBEAT, NOON, NOON_MS, index, level, packet, trade
from support.frame_items import Item
from tickmux.decode import decode_document

INSTRUMENTS = [
    {"symbol": symbol, "exchange": exchange, "token": token}
    for symbol, exchange, token in (
        ("TCS", "NSE", "11536"),
        ("NIFTY29DEC26FUT", "NFO", "55917"),
        ("TWIN", "BSE", "11536"),  # TCS's code on other exchanges
        ("TWIN26NOV26FUT", "BFO", "11536"),
        ("USDINR29DEC26FUT", "CDS", "11536"),
        ("CRUDEOIL18DEC26FUT", "MCX", "499095"),
        ("NIFTY", "NSE_INDEX", "26000"),
        ("INDIAVIX", "NSE_INDEX", "888810"),
        ("SENSEX", "BSE_INDEX", "999901"),
    )
]
EXCHANGES = {each["symbol"]: each["exchange"] for each in INSTRUMENTS}


def tick(symbol: str, mode: str, time: int | None = NOON_MS, **fields: Any) -> dict[str, Any]:
    known = {"symbol": symbol, "exchange": EXCHANGES[symbol], "mode": mode}
    return known | ({} if time is None else {"timestamp": time}) | fields


def levels(*rows: tuple[float, int, int]) -> list[dict[str, Any]]:
    return [{"price": price, "quantity": quantity, "orders": orders} for price, quantity, orders in rows]


def floats(kind: str, *values: float, exchange: str = "N", code: int = 11536, time: int = NOON) -> bytes:
    return packet(exchange, code, kind, struct.pack(f"<{len(values)}f", *values), time)


def traded(price: float, quantity: int = 1, oi: int = 0, at: int = NOON_MS) -> dict[str, Any]:
    """What a packet of `trade` says besides its header's time."""
    return {"ltp": price, "last_trade_quantity": quantity, "volume": 0, "oi": oi, "ltt": at}


LATER, LATER_MS = NOON + 7, NOON_MS + 7000
STRANGER = packet("Z", 1, "A", b"")
ALL_FIELDS = struct.pack("<fIIfI", 1.5, 2**32 - 2, 2**31 + 1, 2.25, 3_000_000_000)

ITEMS = [
    Item(
        "5: one code behind four characters, each its own instrument",
        [trade("B", 11536, 2.0) + trade("G", 11536, 3.0) + trade("C", 11536, 4.0) + trade("N", 11536, 1.0)],
        [
            tick("TWIN", "QUOTE", **traded(2.0)),
            tick("TWIN26NOV26FUT", "QUOTE", **traded(3.0)),
            tick("USDINR29DEC26FUT", "QUOTE", **traded(4.0)),
            tick("TCS", "QUOTE", **traded(1.0)),
        ],
    ),
    Item(
        "5: quantities and open interest are unsigned",
        [packet("N", 55917, "A", ALL_FIELDS) + packet("M", 499095, "m", b"\xfe" + b"\xff" * 3)],
        [
            tick(
                "NIFTY29DEC26FUT",
                "QUOTE",
                ltp=1.5,
                last_trade_quantity=2**32 - 2,
                volume=2**31 + 1,
                avg_trade_price=2.25,
                oi=3_000_000_000,
                ltt=NOON_MS,
            ),
            tick("CRUDEOIL18DEC26FUT", "QUOTE", oi=2**32 - 2),
        ],
    ),
    Item(
        "5: currency's prices of the day, its limits and its book have 4 decimals, MCX's may be negative",
        [
            floats("G", 88.5925, 88.7, 88.5475, 88.5725, exchange="C")
            + floats("W", 90.3025, 86.8475, exchange="C")
            + level("C", 11536, 4, 88.6475, 88.6525, quantity=9, orders=40_000)
            + trade("M", 499095, -37.63)
        ],
        [
            tick("USDINR29DEC26FUT", "QUOTE", open=88.5925, high=88.7, low=88.5475, close=88.5725),
            tick(
                "USDINR29DEC26FUT", "QUOTE", open=88.5925, high=88.7, low=88.5475, close=88.5725,
                upper_circuit=90.3025, lower_circuit=86.8475,
            ),
            tick(
                "USDINR29DEC26FUT", "DEPTH", open=88.5925, high=88.7, low=88.5475, close=88.5725,
                upper_circuit=90.3025, lower_circuit=86.8475,
                depth={"buy": levels((88.6475, 9, 40_000)), "sell": levels((88.6525, 9, 40_000))},
            ),
            tick("CRUDEOIL18DEC26FUT", "QUOTE", **traded(-37.63)),
        ],
    ),
    Item(
        "5: levels come in any order, and stand in the order of their letters",
        [level("N", 11536, 2, 98.0, 102.0) + level("N", 11536, 0, 100.0, 100.5)],
        [
            tick("TCS", "DEPTH", depth={"buy": levels((98.0, 1, 1)), "sell": levels((102.0, 1, 1))}),
            tick(
                "TCS", "DEPTH",
                depth={"buy": levels((100.0, 1, 1), (98.0, 1, 1)), "sell": levels((100.5, 1, 1), (102.0, 1, 1))},
            ),
        ],
    ),
    Item(
        "5: a level of price 0 on one side is left out there, a quantity of 0 is a quantity",
        [level("N", 11536, 0, 100.0, 101.0) + level("N", 11536, 0, 0.0, 101.0, quantity=0, orders=0)],
        [
            tick("TCS", "DEPTH", depth={"buy": levels((100.0, 1, 1)), "sell": levels((101.0, 1, 1))}),
            tick("TCS", "DEPTH", depth={"buy": [], "sell": levels((101.0, 0, 0))}),
        ],
    ),
    Item(
        "5: a header without a time keeps the record's, and a trade without one has no time of its own",
        [trade("N", 11536, 1.0) + floats("W", 2.0, 0.5, time=0) + trade("N", 11536, 1.25, time=0)],
        [
            tick("TCS", "QUOTE", **traded(1.0)),
            tick("TCS", "QUOTE", **traded(1.0), upper_circuit=2.0, lower_circuit=0.5),
            tick(
                "TCS", "QUOTE", ltp=1.25, last_trade_quantity=1, volume=0, oi=0, upper_circuit=2.0, lower_circuit=0.5
            ),
        ],
    ),
    Item(
        "5: `ltt` is the trade's, `timestamp` the latest packet's; 'm' overrides the trade's open interest",
        [
            trade("N", 55917, 10.0, oi=5)
            + packet("N", 55917, "m", struct.pack("<III", 6, 9, 2), LATER)
            + trade("N", 55917, 11.0, oi=7, time=LATER)
        ],
        [
            tick("NIFTY29DEC26FUT", "QUOTE", **traded(10.0, oi=5)),
            tick("NIFTY29DEC26FUT", "QUOTE", LATER_MS, **traded(10.0, oi=6)),
            tick("NIFTY29DEC26FUT", "QUOTE", LATER_MS, **traded(11.0, oi=7, at=LATER_MS)),
        ],
    ),
    Item(
        "6: a price that becomes 0 is absent, what is not said again stays",
        [floats("G", 1.0, 2.0, 0.5, 0.75) + floats("G", 0.0, 2.5, 0.0, 0.75) + floats("W", 0.0, 0.0)],
        [
            tick("TCS", "QUOTE", open=1.0, high=2.0, low=0.5, close=0.75),
            tick("TCS", "QUOTE", high=2.5, close=0.75),
            tick("TCS", "QUOTE", high=2.5, close=0.75),
        ],
    ),
    Item(
        "5: index values, of which only the subscribed ones are told; nothing else of an index is known",
        [
            index("N", 888810, 12.56)
            + index("B", 26000, 1.0)
            + index("B", 999901, 85_231.92, 0)
            + index("N", 888810, 0.0)
        ],
        [
            tick("INDIAVIX", "LTP", ltp=12.56),
            tick("SENSEX", "LTP", None, ltp=85_231.92),
            tick("INDIAVIX", "LTP"),
        ],
    ),
    Item(
        "5: a packet over three frames, with a heartbeat in the middle of the last",
        [
            trade("N", 11536, 1.0)[:1],
            trade("N", 11536, 1.0)[1:29],
            trade("N", 11536, 1.0)[29:] + HEARTBEAT + trade("N", 11536, 2.0) + b"N",
        ],
        [tick("TCS", "QUOTE", **traded(1.0)), tick("TCS", "QUOTE", **traded(2.0))],
    ),
    Item(
        "5: heartbeats alone, one of an exchange that nobody knows",
        [HEARTBEAT + packet("Z", -1, "1", b"\xff" * 20, -1)],
        [],
        "heartbeat",
    ),
    Item(
        "5: two packets of unknown exchanges are dropped, the stream goes on",
        [STRANGER * 2 + trade("N", 11536, 1.0) + STRANGER * 2],
        [tick("TCS", "QUOTE", **traded(1.0))],
        "malformed",
    ),
    Item("5: three in a row drop the buffer", [STRANGER * 3 + trade("N", 11536, 1.0)], [], "malformed"),
    Item(
        "5: NCDEX and BCD are known exchanges of which nothing is subscribed",
        [trade("D", 11536, 1.0) * 4 + trade("E", 11536, 1.0) * 4 + trade("N", 11536, 2.0)],
        [tick("TCS", "QUOTE", **traded(2.0))],
    ),
    Item(
        "5: undocumented types, whatever their bodies",
        [b"".join(packet("N", 11536, kind, b"\xff" * 20) for kind in "XYgza0I") + trade("N", 11536, 1.0)],
        [tick("TCS", "QUOTE", **traded(1.0))],
    ),
    Item(
        "5: what is no number is no price",
        [trade("N", 11536, float("nan")) + floats("G", float("inf"), -float("inf"), -0.0, 0.004)],
        [
            tick("TCS", "QUOTE", last_trade_quantity=1, volume=0, oi=0, ltt=NOON_MS),
            tick("TCS", "QUOTE", last_trade_quantity=1, volume=0, oi=0, ltt=NOON_MS),
        ],
    ),
    Item("10: text that speaks of authorization", ['{"status":"ERROR","message":"UnAuthorized"}'], [], "auth_error"),
    Item("10: text that is no JSON", ["Invalid Request"], [], "error"),
    Item("10: an error after ticks counts", [trade("N", 1, 1.0), '{"status":"FAILED","message":"x"}'], [], "error"),
    Item("5: an empty frame is nothing", [b""], []),
]  # fmt: skip


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_frames_mean_what_the_specification_says(item: Item) -> None:
    item.check("motilal", INSTRUMENTS)


def sent(call: dict[str, Any]) -> list[str]:
    (line,) = decode_document(
        {"broker": "motilal", "instruments": INSTRUMENTS, "outgoing": [{"name": "", "call": call}]}
    )
    assert "error" not in line
    return [frame["hex"] for frame in line["frames"]]


def test_each_heartbeat_is_answered_once_wherever_it_stands() -> None:
    stream = trade("N", 11536, 1.0) + HEARTBEAT * 2 + STRANGER + HEARTBEAT
    frames = [{"hex": stream[start : start + 47].hex()} for start in range(0, len(stream), 47)]
    document = {"broker": "motilal", "instruments": INSTRUMENTS, "incoming": [{"name": "", "frames": frames}]}
    (line,) = decode_document(document)
    assert line["replies"] == [{"hex": "310000"}] * 3


def test_the_longest_client_code_fills_the_login_packet() -> None:
    (packet_,) = map(bytes.fromhex, sent({"op": "connect", "credentials": {"client_code": "ABCDEFGHIJKLMNO"}}))
    assert len(packet_) == 114
    assert packet_[:4] == b"Q\x6f\x00\x0f"
    assert packet_[4:20] == b"ABCDEFGHIJKLMNO\x0f"
    assert packet_[20:50] == b"ABCDEFGHIJKLMNO" + b" " * 15
    assert packet_[50:69] == b"\x01\x01\x01\x07VER 2.0   \x00\x00\x00\x00\x01"
    assert packet_[69:] == b" " * 45


@pytest.mark.parametrize(
    ("symbol", "place"),
    [("TWIN", b"BC"), ("TWIN26NOV26FUT", b"GD"), ("USDINR29DEC26FUT", b"CD"), ("NIFTY29DEC26FUT", b"ND")],
)
def test_every_scrip_is_registered_at_its_place_in_any_mode(symbol: str, place: bytes) -> None:
    code = int(next(each["token"] for each in INSTRUMENTS if each["symbol"] == symbol))
    asked = {"instruments": [[symbol, EXCHANGES[symbol]]]}
    for mode in ("LTP", "QUOTE", "DEPTH"):
        head = b"D\x07\x00" + place + code.to_bytes(4, "little")
        assert sent({"op": "subscribe", "mode": mode, **asked}) == [(head + b"\x01").hex()]
        assert sent({"op": "unsubscribe", "mode": mode, **asked}) == [(head + b"\x00").hex()]
    assert sent({"op": "set_mode", "from": "LTP", "mode": "DEPTH", **asked}) == [], "modes are filters on our side"


def test_indices_send_nothing_among_scrips() -> None:
    both = {"op": "subscribe", "mode": "QUOTE", "instruments": [["NIFTY", "NSE_INDEX"], ["TCS", "NSE"]]}
    assert sent(both) == ["4407004e43102d000001"]
    assert sent({**both, "op": "unsubscribe"}) == ["4407004e43102d000000"]
    assert sent({"op": "heartbeat"}) == []
