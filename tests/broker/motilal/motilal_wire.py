"""Broadcast packets by hand, and a slow second reading of a stream of them: from the specification's offsets, sharing
no line with the codec, so that a test can hold every tick of any bytes against what the bytes say."""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from broker import vector_cases
from support import wire_policy
from tickmux.broker.motilal import BROKER
from tickmux.broker.motilal.streaming.motilal_mapping import MotilalCodec
from tickmux.instrument import Instrument
from tickmux.tick import Tick, tick_fields

VECTORS = vector_cases.load("motilal")
INSTRUMENTS = [Instrument(**row) for row in VECTORS["instruments"]]
BY_NAME = {(each.symbol, each.exchange): each for each in INSTRUMENTS}
CHARACTERS = {
    "NSE": "N", "NFO": "N", "NSE_INDEX": "N", "BSE": "B", "BSE_INDEX": "B", "BFO": "G", "CDS": "C", "MCX": "M",
}  # fmt: skip
NOON = 1_479_896_130
"""A raw time, and what it is in epoch ms."""
NOON_MS = 1_795_409_130_000


def codec(*instruments: Instrument) -> MotilalCodec:
    """A codec that is subscribed to `instruments`; all of the vectors' without any."""
    made = BROKER.adapter().codec("main")
    assert isinstance(made, MotilalCodec)
    made.subscribe(instruments or INSTRUMENTS, "scrip")
    return made


# -- packets ---------------------------------------------------------------------------------------------


def packet(exchange: str, code: int, kind: str, body: bytes, time: int = NOON) -> bytes:
    head = exchange.encode() + struct.pack("<ii", code, time) + kind.encode()
    return head + body.ljust(20, b"\0")


def trade(exchange: str, code: int, price: float, *, quantity: int = 1, oi: int = 0, time: int = NOON) -> bytes:
    return packet(exchange, code, "A", struct.pack("<fIIfI", price, quantity, 0, 0, oi), time)


def level(
    exchange: str, code: int, number: int, buy: float, sell: float, quantity: int = 1, orders: int = 1
) -> bytes:
    body = struct.pack("<fIHfIH", buy, quantity, orders, sell, quantity, orders)
    return packet(exchange, code, "BCDEF"[number], body)


def index(exchange: str, code: int, value: float, time: int = NOON) -> bytes:
    return packet(exchange, code, "H", struct.pack("<f", value), time)


HEARTBEAT = packet("N", 0, "1", b"", 0)

# -- the second reading ----------------------------------------------------------------------------------


class Said:
    """What a stream says to a subscriber of `instruments`: `read` takes its next bytes and gives their ticks."""

    def __init__(self, instruments: Sequence[Instrument] = INSTRUMENTS) -> None:
        self.instruments = instruments
        self.stream = b""
        self.records: dict[str, dict[str, Any]] = {}
        self.strangers = 0
        self.lost = False
        """Whether the stream is out of step, so that a new connection is needed."""

    def read(self, frame: bytes) -> list[dict[str, Any]]:
        self.stream += frame
        ticks = []
        while len(self.stream) >= 30 and not self.lost:
            raw, self.stream = self.stream[:30], self.stream[30:]
            tick = self._packet(raw)
            if tick is not None:
                ticks.append(tick)
        return ticks

    def _packet(self, raw: bytes) -> dict[str, Any] | None:
        exchange, kind = chr(raw[0]), chr(raw[9])
        if kind == "1":
            return None
        if exchange not in "NBGCMDE":
            self.strangers += 1
            self.lost = self.strangers == 3
            return None
        self.strangers = 0
        if kind not in "ABCDEFGHWm":
            return None
        code = int.from_bytes(raw[1:5], "little", signed=True)
        found = [
            each
            for each in self.instruments
            if CHARACTERS[each.exchange] == exchange
            and each.token == str(code)
            and (kind == "G" or each.is_index is (kind == "H"))
        ]
        if kind == "G" and len(found) > 1:
            found = [each for each in found if not each.is_index]
        if len(found) != 1:
            return None
        return self._tick(found[0], kind, raw)

    def _tick(self, instrument: Instrument, kind: str, raw: bytes) -> dict[str, Any]:
        record = self.records.setdefault(f"{instrument.exchange} {instrument.symbol}", {"buy": {}, "sell": {}})
        places = 4 if instrument.exchange == "CDS" else 2

        def price(at: int) -> float:
            value = struct.unpack("<f", raw[10 + at : 14 + at])[0]
            return round(wire_policy.rupees(value, index=instrument.is_index) or 0.0, places)

        def count(at: int, size: int = 4) -> int | None:
            return wire_policy.count(int.from_bytes(raw[10 + at : 10 + at + size], "little"))

        raw_time = int.from_bytes(raw[5:9], "little", signed=True)
        when = wire_policy.seconds(raw_time, 315513000)
        record["timestamp"] = when or record.get("timestamp")
        mode = "QUOTE"
        if kind == "A":
            record |= {
                "ltp": price(0), "last_trade_quantity": count(4), "volume": count(8), "avg_trade_price": price(12),
                "oi": count(16), "ltt": when,
            }  # fmt: skip
        elif kind == "G":
            record |= {"open": price(0), "high": price(4), "low": price(8), "close": price(12)}
        elif kind == "W":
            record |= {"upper_circuit": price(0), "lower_circuit": price(4)}
        elif kind == "m":
            record["oi"] = count(0)
        elif kind == "H":
            record["ltp"] = price(0)
            mode = "LTP"
        else:
            mode = "DEPTH"
            for side, at in (("buy", 0), ("sell", 10)):
                level = {"price": price(at), "quantity": count(at + 4), "orders": count(at + 8, 2)}
                record[side][kind] = {name: value for name, value in level.items() if value is not None}
        tick = {"symbol": instrument.symbol, "exchange": instrument.exchange, "mode": mode}
        prices = ("ltp", "open", "high", "low", "close", "avg_trade_price", "upper_circuit", "lower_circuit")
        for field, value in record.items():
            if field not in ("buy", "sell") and value is not None and (value or field not in prices):
                tick[field] = value
        if mode == "DEPTH":
            tick["depth"] = {
                side: [record[side][key] for key in sorted(record[side]) if record[side][key]["price"]]
                for side in ("buy", "sell")
            }
        return tick


def told(ticks: list[Tick]) -> list[dict[str, Any]]:
    """The codec's ticks in the words of `Said`."""
    return [
        {"symbol": tick.instrument.symbol, "exchange": tick.instrument.exchange, "mode": tick.mode.name}
        | tick_fields(tick)
        for tick in ticks
    ]


# -- streams at random -----------------------------------------------------------------------------------

_places = st.sampled_from([(CHARACTERS[each.exchange], int(each.token)) for each in INSTRUMENTS])
_bodies = st.binary(min_size=20, max_size=20) | st.lists(st.floats(width=32), min_size=5, max_size=5).map(
    lambda values: struct.pack("<5f", *values)
)


@st.composite
def packets(draw: Any) -> bytes:
    """Something like a packet: mostly of a subscribed instrument, with a body at random; sometimes cut, or noise."""
    if draw(st.integers(0, 15)) == 0:
        return bytes(draw(st.binary(max_size=70)))
    exchange, code = draw(_places)
    if draw(st.integers(0, 15)) == 0:
        exchange = draw(st.sampled_from("NBGCMDEZ"))
    kind = draw(st.sampled_from("AABCDEFGHHWm1XYgz"))
    time = draw(st.sampled_from([0, -1, 1, NOON, NOON + 1, 2**31 - 1, -(2**31)]))
    whole = packet(exchange, code, kind, draw(_bodies), time)
    return whole if draw(st.integers(0, 30)) else whole[: draw(st.integers(0, 29))]


@st.composite
def streams(draw: Any) -> list[bytes]:
    """A stream as it comes: in frames that end anywhere."""
    stream = b"".join(draw(st.lists(packets(), max_size=20)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    edges = [0, *cuts, len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]
