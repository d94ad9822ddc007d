"""SFeed frames by hand, and a slow second reading of them: straight from the specification's offsets, sharing no
line with the codec, so that a test can hold every tick of any bytes against what the bytes say."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from broker import vector_cases
from support import wire_policy
from tickmux.broker.kotak import BROKER
from tickmux.broker.kotak.streaming.kotak_mapping import KotakCodec
from tickmux.instrument import Instrument
from tickmux.tick import Tick, tick_fields

VECTORS = vector_cases.load("kotak")
INSTRUMENTS = [Instrument(**row) for row in VECTORS["instruments"]]
BY_NAME = {(each.symbol, each.exchange): each for each in INSTRUMENTS}
LOGIN = VECTORS["incoming"][0]["frames"][0]["text"]
DIVISORS = {1: 100, 2: 100, 3: 10_000_000, 5: 100, 9: 100}
IDS = {"nse_cm": 1, "nse_fo": 2, "cde_fo": 3, "bse_cm": 5, "bse_fo": 6, "mcx_fo": 9}


def codec(*instruments: Instrument, login: str | None = LOGIN) -> KotakCodec:
    """A codec that is logged in and subscribed to `instruments`; all of the vectors' without any."""
    made = BROKER.adapter().codec("main")
    assert isinstance(made, KotakCodec)
    for each in instruments or INSTRUMENTS:
        made.subscribe([each], "index" if each.is_index else "depth")
    if login is not None:
        assert made.decode(login).ready
    return made


def login_answer(**changes: Any) -> str:
    return json.dumps({**json.loads(LOGIN), **changes})


# -- frames ----------------------------------------------------------------------------------------------


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little", signed=value < 0)


def packet(code: int, exchange_id: int, level: int, body: bytes) -> bytes:
    header = number(9 + len(body), 2) + number(code, 2) + number(exchange_id, 1) + bytes((level, 0, 7, 0))
    return header + body


def mini(token: int, last: int, *, exchange_id: int = 1, close: int = 0, quantity: int = 1, traded: int = 1) -> bytes:
    body = number(token, 4) + number(traded, 8) + number(last, 4) + number(quantity, 8) + number(close, 4)
    return packet(7208, exchange_id, 1, body + bytes(17))


def picture(
    token: int, level: int, fields: Mapping[int, tuple[int, int]], rows: bytes, exchange_id: int = 1
) -> bytes:
    """`fields`: offset in the packet -> (size, value)."""
    body = bytearray(135)
    body[0:4] = number(token, 4)
    for offset, (size, value) in fields.items():
        body[offset - 9 : offset - 9 + size] = number(value, size)
    return packet(7208, exchange_id, level, bytes(body) + rows)


def row(quantity: int, price: int, orders: int) -> bytes:
    return number(quantity, 8) + number(price, 4) + number(orders, 4)


def index(token: int, name: bytes, value: int, *, exchange_id: int = 1, at: int = 0) -> bytes:
    body = number(token, 4) + bytes(16) + number(value, 4) + number(at, 8) + bytes(25) + name[:21].ljust(21, b"\0")
    return packet(7207, exchange_id, 0, body)


# -- the second reading ----------------------------------------------------------------------------------

_PICTURE = {
    "total_buy_quantity": (13, 8, True, ""), "total_sell_quantity": (21, 8, True, ""), "volume": (29, 8, True, ""),
    "ltt": (37, 8, True, "time"), "timestamp": (45, 8, True, "time"), "open": (53, 4, False, "price"),
    "close": (57, 4, False, "price"), "high": (61, 4, False, "price"), "low": (65, 4, False, "price"),
    "ltp": (69, 4, False, "price"), "last_trade_quantity": (73, 8, True, ""),
    "avg_trade_price": (81, 4, False, "price"), "oi": (103, 4, False, ""),
    "upper_circuit": (119, 4, False, "price"), "lower_circuit": (123, 4, False, "price"),
}  # fmt: skip
_MINI = {
    "ltt": (13, 8, True, "time"), "ltp": (21, 4, False, "price"), "last_trade_quantity": (25, 8, True, ""),
    "close": (33, 4, False, "price"),
}  # fmt: skip
_INDEX = {
    "open": (13, 4, True, "price"), "close": (17, 4, True, "price"), "high": (21, 4, True, "price"),
    "low": (25, 4, True, "price"), "ltp": (29, 4, True, "price"), "timestamp": (33, 8, False, "time"),
}  # fmt: skip


def said(frame: bytes, divisors: Mapping[int, int] = DIVISORS) -> list[dict[str, Any]]:
    """The ticks of a frame for a subscriber of the vectors' instruments, in order."""
    ticks: list[dict[str, Any]] = []
    while len(frame) >= 9:
        length = frame[0] + 256 * frame[1]
        if not 9 <= length <= len(frame):
            break
        tick = _tick(frame[:length], divisors)
        if tick is not None:
            ticks.append(tick)
        frame = frame[length:]
    return ticks


def _tick(raw: bytes, divisors: Mapping[int, int]) -> dict[str, Any] | None:
    code, exchange_id, level = raw[2] + 256 * raw[3], int.from_bytes(raw[4:5], signed=True), raw[5]
    if code in (6511, 6521, 105, 104):
        return None
    if code == 7207:
        layout, mode, least = _INDEX, "QUOTE", 87
    elif level == 1:
        layout, mode, least = _MINI, "LTP", 54
    elif level in (2, 4):
        layout, mode, least = _PICTURE, "QUOTE", 144
    elif level in (8, 16):
        layout, mode, least = _PICTURE, "DEPTH", 144
    else:
        return None
    if len(raw) < least:
        return None
    token = int.from_bytes(raw[9:13], "little")
    name = raw[66:87].split(b"\0")[0].decode(errors="replace").strip().casefold() if code == 7207 else None
    instrument = _named(exchange_id, token, name)
    if instrument is None:
        return None
    divisor = divisors.get(exchange_id, 100)
    tick: dict[str, Any] = {"symbol": instrument.symbol, "exchange": instrument.exchange, "mode": mode}
    for field, (offset, size, signed, meaning) in layout.items():
        value = int.from_bytes(raw[offset : offset + size], "little", signed=signed)
        found: float | None = wire_policy.count(value)
        if meaning == "price":
            found = wire_policy.price(value, divisor, index=code == 7207)
        if meaning == "time":
            found = wire_policy.seconds(value)
        if found is not None:
            tick[field] = found
    if mode == "DEPTH":
        rows = [raw[at : at + 16] for at in range(144, len(raw) - 15, 16)]
        buys = int.from_bytes(raw[89:93], "little")
        sells = int.from_bytes(raw[93:97], "little")
        tick["depth"] = {
            "buy": _levels(rows[:buys], divisor),
            "sell": _levels(rows[buys:][:sells], divisor),
        }
    return tick


def _named(exchange_id: int, token: int, name: str | None) -> Instrument | None:
    there = [
        each for each in INSTRUMENTS if IDS[each.brexchange] == exchange_id and each.is_index is (name is not None)
    ]
    numbered = [each for each in there if each.token == str(token)]
    named = [each for each in there if each.brsymbol.casefold() == name]
    if numbered and named and numbered != named:
        return None
    return next(iter(numbered or named), None)


def _levels(rows: list[bytes], divisor: int) -> list[dict[str, Any]]:
    found = []
    for raw in rows:
        price = int.from_bytes(raw[8:12], "little", signed=True)
        if (rupees := wire_policy.price(price, divisor)) is not None:
            level = {
                "price": rupees,
                "quantity": wire_policy.count(int.from_bytes(raw[:8], "little", signed=True)),
                "orders": wire_policy.count(int.from_bytes(raw[12:], "little", signed=True)),
            }
            found.append({name: value for name, value in level.items() if value is not None})
    return found


def told(ticks: list[Tick]) -> list[dict[str, Any]]:
    """The codec's ticks in the words of `said`."""
    return [
        {"symbol": tick.instrument.symbol, "exchange": tick.instrument.exchange, "mode": tick.mode.name}
        | tick_fields(tick)
        for tick in ticks
    ]


# -- frames at random ------------------------------------------------------------------------------------

_instruments = st.sampled_from(INSTRUMENTS)
_rows = st.builds(
    row,
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 0, 1, -1, 2**31 - 1]) | st.integers(1, 10**7),
    st.just(3),
)
_SIZES = [0, 7, 24, 44, 45, 77, 78, 134]


@st.composite
def packets(draw: Any) -> bytes:
    """Something like a packet: mostly of an instrument, values at random; sometimes cut or with a false length."""
    named = draw(_instruments)
    exchange_id, token = IDS[named.brexchange], int(named.token)
    if draw(st.integers(0, 9)) == 0:
        exchange_id = draw(st.sampled_from([*IDS.values(), 0, 4, 10, 127, -1]))
    if draw(st.integers(0, 9)) == 0:
        token = draw(st.integers(0, 2**32 - 1))
    code = 7207 if named.is_index else 7208
    if draw(st.integers(0, 9)) == 0:
        code = draw(st.sampled_from([6511, 6521, 105, 104, 7207, 7208]) | st.integers(0, 65535))
    size = 78 if code == 7207 else draw(st.sampled_from([45, 135, 135]))
    if draw(st.integers(0, 9)) == 0:
        size = draw(st.sampled_from(_SIZES))
    body = bytearray(draw(st.binary(min_size=size, max_size=size)))
    if size >= 4:
        body[:4] = number(token, 4)
    if code == 7207 and size == 78:
        body[57:78] = draw(st.just(named.brsymbol.encode()) | st.binary(max_size=21))[:21].ljust(21, b"\0")
    if size == 135:
        body[80:84], body[84:88] = number(draw(st.integers(0, 8)), 4), number(draw(st.integers(0, 8)), 4)
        body += b"".join(draw(st.lists(_rows, max_size=12))) + bytes(draw(st.integers(0, 15)))
    made = bytearray(packet(code, exchange_id, draw(st.sampled_from([1, 2, 4, 8, 8, 16, 32, 0])), bytes(body)))
    match draw(st.sampled_from(["whole"] * 8 + ["cut", "length"])):
        case "cut":
            return bytes(made[: draw(st.integers(0, len(made)))])
        case "length":
            made[:2] = number(draw(st.integers(0, 65535)), 2)
    return bytes(made)


frames = st.lists(packets(), max_size=6).map(b"".join)
