"""Full and partial messages against a plain reference model of section 5.7."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from broker._xts.xts_wire import FUTURE, NIFTY, codec, event, fields, partial

FULL_NAMES = {
    "ltp": "LastTradedPrice", "ltt": "LastTradedTime", "last_trade_quantity": "LastTradedQunatity", "open": "Open",
    "high": "High", "low": "Low", "close": "Close", "volume": "TotalTradedQuantity",
    "avg_trade_price": "AverageTradedPrice", "total_buy_quantity": "TotalBuyQuantity",
    "total_sell_quantity": "TotalSellQuantity", "timestamp": "LastUpdateTime",
}  # fmt: skip
PARTIAL_NAMES = {
    "ltp": "ltp", "ltt": "ltt", "last_trade_quantity": "ltq", "open": "o", "high": "h", "low": "l", "close": "c",
    "volume": "v", "avg_trade_price": "ap", "total_buy_quantity": "tb", "total_sell_quantity": "ts",
    "timestamp": "lut",
}  # fmt: skip
TIMES = ("ltt", "timestamp")
QUANTITIES = ("last_trade_quantity", "volume", "total_buy_quantity", "total_sell_quantity")
LTP_NAMES = ("ltp", "ltt", "timestamp", "last_trade_quantity")
MODES = {1512: "LTP", 1501: "QUOTE", 1502: "DEPTH"}


class Model:
    """One instrument of one session, as the specification words it, with no thought of speed."""

    def __init__(self, *, index: bool) -> None:
        self.index = index
        self.states: dict[int, dict[str, Any]] = {}
        self.extra: dict[str, Any] = {}
        self.properties: dict[int, float] = {}

    def value(self, name: str, raw: Any) -> Any:
        """What a raw value says, None for nothing."""
        if raw is None or raw == "":
            return None
        if name in TIMES:
            return None if raw <= 0 else (raw + 315_532_800 - 19_800) * 1000
        if name in QUANTITIES or name == "oi":
            return None if raw < 0 or (raw == 0 and self.index) else raw
        return None if not raw or raw == -0.01 or (raw < 0 and self.index) else raw

    def full(self, code: int, values: dict[str, Any], bids: Any, asks: Any) -> dict[str, Any] | None:
        state = self.states[code] = {"bids": None, "asks": None}
        self.change(code, values)
        if code == 1502 and not self.index:  # an index has no book
            state["bids"], state["asks"] = bids, asks
        return self.tick(code)

    def change(self, code: int, values: dict[str, Any]) -> None:
        state = self.states.setdefault(code, {"bids": None, "asks": None})
        for name, raw in values.items():
            value = self.value(name, raw)
            if value is not None and (code != 1512 or name in LTP_NAMES):
                state[name] = value

    def levels(self, code: int, side: str, changes: list[list[Any]]) -> None:
        if code != 1502 or not changes or self.index:
            return
        state = self.states.setdefault(code, {"bids": None, "asks": None})
        levels = state[side] = [list(level) for level in state[side] or []]
        for place, size, price, orders in changes:
            while len(levels) <= place:
                levels.append([None, None, None])
            for part, new in enumerate((price, size, orders)):
                if new is not None:
                    levels[place][part] = new

    def tick(self, code: int, mode: str | None = None) -> dict[str, Any] | None:
        state = self.states[code]
        mode = mode or MODES[code]
        found = {name: value for name, value in state.items() if name not in ("bids", "asks")}
        if mode == "DEPTH" and state["bids"] is None and state["asks"] is None:
            mode = "QUOTE"
        if mode == "DEPTH":
            found["depth"] = {
                theirs: [
                    {"price": price, "quantity": size, **({} if orders is None else {"orders": orders})}
                    for price, size, orders in state[ours] or []
                    if price and size
                ]
                for ours, theirs in (("bids", "buy"), ("asks", "sell"))
            }
        elif "ltp" not in found:
            return None
        if mode != "LTP":
            found |= self.extra
        return {"mode": mode, **found}

    def open_interest(self, raw: int, time: int) -> dict[str, Any] | None:
        oi = self.value("oi", raw)
        if oi is None:
            return None
        self.extra["oi"] = oi
        for code in (1501, 1502):
            if "ltp" in self.states.get(code, {}):
                tick = self.tick(code, "QUOTE")
                assert tick is not None
                if time > 0:
                    tick["timestamp"] = self.value("timestamp", time)
                return tick
        return None

    def limits(self, values: dict[int, float]) -> None:
        self.properties |= {number: value for number, value in values.items() if value}
        for name, first, second in (("upper_circuit", 88, 110), ("lower_circuit", 87, 111)):
            value = self.properties.get(first, self.properties.get(second))
            if value is not None:
                self.extra[name] = value


PRICE = st.integers(-20_000, 2_000_000).map(lambda paise: paise / 100)
RAW = {
    **dict.fromkeys(FULL_NAMES, PRICE),
    **{name: st.integers(-1, 100_000) for name in QUANTITIES},
    **{name: st.sampled_from([0, -1, 1_440_324_930, 1_440_324_931]) for name in TIMES},
}
VALUES = st.fixed_dictionaries({}, optional={name: values | st.none() for name, values in RAW.items()})
ROW = st.tuples(st.integers(0, 50_000).map(lambda paise: paise / 100), st.integers(0, 900), st.integers(0, 90))
ROWS = st.none() | st.lists(ROW, max_size=6)
LEVEL_CHANGE = st.tuples(
    st.integers(0, 6),
    st.none() | st.integers(0, 900),
    st.none() | st.integers(0, 50_000).map(lambda paise: paise / 100),
    st.none() | st.integers(0, 90),
)
LEVEL_CHANGES = st.lists(LEVEL_CHANGE, max_size=3)
CODE = st.sampled_from([1512, 1501, 1502])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("full"), CODE, VALUES, ROWS, ROWS, st.booleans()),
        st.tuples(st.just("partial"), CODE, VALUES, LEVEL_CHANGES, LEVEL_CHANGES),
        st.tuples(st.just("oi"), st.integers(-1, 90_000), st.sampled_from([0, 1_440_324_940])),
        st.tuples(st.just("limits"), st.dictionaries(st.sampled_from([12, 87, 88, 110, 111]), st.integers(0, 900))),
    ),
    max_size=12,
)  # fmt: skip


def full_frame(key: tuple[int, int], code: int, values: dict[str, Any], bids: Any, asks: Any, nested: bool) -> str:
    touchline = {FULL_NAMES[name]: value for name, value in values.items()}
    payload: dict[str, Any] = {"MessageCode": code, "ExchangeSegment": key[0], "ExchangeInstrumentID": key[1]}
    payload |= {"Touchline": touchline} if nested else touchline
    for name, rows in (("Bids", bids), ("Asks", asks)):
        if rows is not None:
            payload[name] = [{"Price": price, "Size": size, "TotalOrders": orders} for price, size, orders in rows]
    return event(f"{code}-json-full", json.dumps(payload))


def partial_frame(key: tuple[int, int], code: int, values: dict[str, Any], bids: Any, asks: Any) -> str:
    text = lambda value: "" if value is None else str(value)  # noqa: E731
    pairs = [f"{PARTIAL_NAMES[name]}:{text(value)}" for name, value in values.items()]
    pairs += [
        f"{name}:{'|'.join(text(part) for change in changes for part in change)}"
        for name, changes in (("bi", bids), ("ai", asks))
        if changes
    ]
    return partial(",".join([f"t:{key[0]}_{key[1]}", *pairs]), code)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.booleans())
def test_any_sequence_gives_the_ticks_of_the_reference_model(steps: list[Any], index: bool) -> None:
    instrument, key = (NIFTY, (1, 26000)) if index else (FUTURE, (2, 35013))
    ours, model = codec(instrument), Model(index=index)
    for step in steps:
        match step:
            case "full", code, values, bids, asks, nested:
                expected = model.full(code, values, bids, asks)
                found = ours.decode(full_frame(key, code, values, bids, asks, nested))
            case "partial", code, values, bids, asks:
                model.change(code, values)
                model.levels(code, "bids", bids)
                model.levels(code, "asks", asks)
                expected = model.tick(code)
                found = ours.decode(partial_frame(key, code, values, bids, asks))
            case "oi", raw, time:
                expected = model.open_interest(raw, time)
                payload = {"MessageCode": 1510, "ExchangeSegment": key[0], "ExchangeInstrumentID": key[1]}
                payload |= {"ExchangeTimeStamp": time, "OpenInterest": raw}
                found = ours.decode(event("1510-json-full", payload))
            case "limits", values:
                model.limits(values)
                expected = None
                pairs = ",".join(f"{number}:{value}" for number, value in values.items())
                found = ours.decode(partial(f"t:{key[0]}_{key[1]},{pairs}", 1105))
        assert found.event is None
        assert fields(found) == ([] if expected is None else [expected])


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_nothing_of_an_old_session_reaches_a_new_one(steps: list[Any]) -> None:
    key = (2, 35013)
    old = codec(FUTURE)
    for step in steps:
        if step[0] == "full":
            old.decode(full_frame(key, *step[1:]))
    new = codec(FUTURE)
    decoded = new.decode(partial("t:2_35013,ltp:5.5"))
    assert fields(decoded) == [{"mode": "QUOTE", "ltp": 5.5}]
