"""The official SDK as a stranger: it finds its way around the simulator, and reads the same out of the same bytes."""

import asyncio
import importlib.util
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.tradejini.test_tradejini_simulator import connected, request, running
from broker.tradejini.tradejini_wire import FUTURE, SILVER, TCS, USDINR, book, codec, frame, quote
from support.sdk import official_sdk
from support.servers import eventually
from tickmux.broker.tradejini.streaming.tradejini_mapping import SEGMENTS
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick, tick_fields

SDK = "tradejini-api==1.0.0"
ROWS = (TCS, SILVER, USDINR, FUTURE)


@pytest.fixture(scope="module")
def sdk() -> Iterator[Any]:
    """The SDK's stream module alone: its package would import pins of its own."""
    path = Path(official_sdk(SDK)) / "tradejini_api" / "nxtradstream.py"
    spec = importlib.util.spec_from_file_location("nxtradstream", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    yield module


class Stranger:
    """The SDK's client and what it tells its user."""

    def __init__(self, sdk: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        self.client: Any = sdk.NxtradStream("stand-in", stream_cb=self._tell, connect_cb=self._state)

    def _tell(self, client: Any, data: dict[str, Any]) -> None:
        if data["msgType"] in ("L1", "L5"):
            self.told.append(json.loads(json.dumps(data)))  # its records go on changing

    def _state(self, client: Any, state: dict[str, Any]) -> None:
        self.states.append(state)

    def read(self, content: bytes) -> None:
        self.client._NxtradStream__on_message(None, content)


_PRICES = {
    "ltp": "ltp", "open": "open", "high": "high", "low": "low", "close": "close", "avg_trade_price": "atp",
    "upper_circuit": "ucl", "lower_circuit": "lcl",
}  # fmt: skip
_COUNTS = {"last_trade_quantity": "ltq", "volume": "vol", "oi": "OI"}
_TOTALS = {"total_buy_quantity": "totBuyQty", "total_sell_quantity": "totSellQty"}


def theirs(data: dict[str, Any]) -> dict[str, Any]:
    """What the SDK tells, in our terms: no price is no value, and empty levels are none."""
    found: dict[str, Any] = {"who": data["symbol"], "mode": {"L1": "QUOTE", "L5": "DEPTH"}[data["msgType"]]}
    found |= {ours: data[name] for ours, name in _PRICES.items() if data.get(name)}
    found |= {ours: data[name] for ours, name in (_COUNTS | _TOTALS).items() if name in data}
    if "ltt" in data:
        seconds = datetime.fromisoformat(data["ltt"]).timestamp()
        found |= {"ltt": int(seconds) * 1000} if seconds > 0 else {}
    if data["msgType"] == "L5":
        found["depth"] = {
            ours: [
                {"price": level["price"], "quantity": level["qty"], "orders": level["no"]}
                for level in data[side]
                if level["price"]
            ]
            for ours, side in (("buy", "bid"), ("sell", "ask"))
        }
    return found


def ours(tick: Tick) -> dict[str, Any]:
    """A tick without what the SDK does not join: totals in L1, and quotes in L5."""
    fields = tick_fields(tick)
    mine = ("depth", *_TOTALS) if tick.mode is Mode.DEPTH else (*_PRICES, *_COUNTS, "ltt")
    who = f"{tick.instrument.token}_{tick.instrument.exchange.removesuffix('_INDEX')}"
    return {"who": who, "mode": tick.mode.name, **{name: fields[name] for name in mine if name in fields}}


PRICE = st.integers(0, 1_999_999_999)
COUNT = st.integers(0, 2_000_000_000) | st.integers(2_500_000_000, 2**32 - 2)
VALUES = {**dict.fromkeys([*range(29, 39), 42, 43, 45, 49, 52, 70, 71, 74], PRICE)}
VALUES |= {**dict.fromkeys([39, 40, 44, 50, 51, 53, 54, 58, 59, 60], COUNT), 46: st.integers(0, 2**31 - 2)}
QUOTES = st.builds(
    lambda row, fields: quote(fields, SEGMENTS[row.exchange], int(row.token)),
    st.sampled_from(ROWS),
    st.fixed_dictionaries({}, optional=VALUES),
)
SIDE = st.lists(st.tuples(PRICE, COUNT, COUNT), min_size=3, max_size=3)


def _book(row: Instrument, levels: int, bids: Any, asks: Any, totals: tuple[int, int]) -> bytes:
    segment = SEGMENTS[row.exchange]
    return book(bids[:levels], asks[:levels], segment=segment, token=int(row.token), _47=totals[0], _48=totals[1])


BOOKS = st.builds(_book, st.sampled_from(ROWS), st.integers(0, 3), SIDE, SIDE, st.tuples(COUNT, COUNT))


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(
        st.tuples(st.lists(QUOTES | BOOKS, min_size=1, max_size=4), st.booleans()), min_size=1, max_size=4
    )
)
def test_the_sdk_reads_the_same_ticks(sdk: Any, frames: list[tuple[list[bytes], bool]]) -> None:
    stranger, session = Stranger(sdk), codec(*ROWS, kind="L5")
    ticks: list[Tick] = []
    for parts, compressed in frames:
        content = frame(*parts, compressed=compressed)
        stranger.read(content)
        decoded = session.decode(content)
        assert decoded.event is None
        ticks += decoded.ticks
    assert [theirs(data) for data in stranger.told] == [ours(tick) for tick in ticks]


def test_the_sdk_lives_with_the_simulator_and_hears_what_we_hear(sdk: Any) -> None:
    async def main() -> None:
        async with running() as simulator:
            stranger = Stranger(sdk)
            stranger.client.host = simulator.urls["feed"]
            values = simulator.credentials
            stranger.client.connect(f"{values['api_key']}:{values['access_token']}")
            await eventually(lambda: stranger.states == [{"s": "connected"}], "the SDK's connection")
            symbols = ["3045_NSE", "500325_BSE", "-1_NSE"]
            await asyncio.to_thread(stranger.client.subscribeL1, symbols)
            await asyncio.to_thread(stranger.client.subscribeL2, symbols[:2])
            await eventually(lambda: len(stranger.told) == 5, "its snapshots")
            client, session = await connected(simulator), codec()
            session.subscribe([Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="-1")], "L1")
            rows = [("SBIN", "NSE", "3045"), ("RELIANCE", "BSE", "500325")]
            session.subscribe([Instrument(symbol=s, exchange=e, token=t) for s, e, t in rows], "L5")
            client.send(request("L1", "sub", *symbols) + "\n", request("L5", "sub", *symbols[:2]) + "\n")
            heard = await client.flush()
            for _ in range(20):
                simulator.exchange.step(300)
            heard += await client.flush()
            ticks = [tick for message in heard for tick in session.decode(message).ticks]
            assert len(ticks) > 20
            await eventually(lambda: len(stranger.told) == len(ticks), "all that we heard")
            assert [theirs(data) for data in stranger.told] == [ours(tick) for tick in ticks]
            simulator.expire_token()
            await eventually(lambda: len(stranger.states) > 1, "the SDK's end")
            assert stranger.states[-1] == {"s": "closed", "code": 4001, "reason": "Unauthorized Access"}

    asyncio.run(main())
