"""Nubra's official SDK as a stranger: it finds its way around the simulator, and reads what our codec reads."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from broker.nubra.test_nubra_simulator import Market, read
from support.sdk import official_sdk
from support.stranger import Teller
from tickmux.tick import Mode, Tick, tick_fields

SDK = "nubra-sdk==0.5.4"
ITS_OWN = ("protobuf>=6.31.1,<7", "aiohttp>=3.11,<4", "pydantic>=2,<3", "requests")


@pytest.fixture
def sdk() -> Path:
    """Where the SDK is, beside the older protobuf that it wants, and without compilers that nobody needs."""
    return official_sdk(SDK, needs=ITS_OWN)


class Stranger(Teller):
    """The SDK's process and what its callbacks say: topic and name -> fields in our terms."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__(process)
        self.said: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def take(self, kind: str, content: Any) -> None:
        name = content["ref_id"] if "ref_id" in content else f"{content['exchange']} {content['indexname']}"
        self.said.setdefault((kind, str(name)), []).append(in_our_terms(kind, content))


_PRICES = {
    "orderbook": {"ltp": "last_traded_price"},
    "index": {"ltp": "index_value", "high": "high_index_value", "low": "low_index_value", "close": "prev_close"},
    "ohlcv": {"open": "open", "high": "high", "low": "low"},
    "greeks": {"ltp": "last_traded_price"},
}
_NUMBERS = {
    "orderbook": {"volume": "volume", "last_trade_quantity": "last_traded_quantity"},
    "index": {"volume": "volume"},
    "ohlcv": {"volume": "cumulative_volume"},
    "greeks": {"volume": "volume", "oi": "open_interest"},
}


def in_our_terms(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {ours: content[name] / 100 for ours, name in _PRICES[kind].items() if content[name]}
    found |= {ours: content[name] for ours, name in _NUMBERS[kind].items() if content[name]}
    found["timestamp"] = content["timestamp"] // 1_000_000
    if kind == "orderbook":
        found["depth"] = {
            ours: [
                {"price": level["price"] / 100, "quantity": level["quantity"], "orders": level["num_orders"]}
                for level in content[theirs]
            ]
            for ours, theirs in (("buy", "bids"), ("sell", "asks"))
        }
    return found


FRAME_NAMES = {"NIFTY": "nifty 50", "BANKNIFTY": "Nifty Bank"}


def topic_of(tick: Tick) -> tuple[str, str]:
    """Which callback the SDK has for it, and what it calls the instrument."""
    instrument = tick.instrument
    if tick.mode is Mode.DEPTH:
        return "orderbook", instrument.token
    if instrument.exchange in ("NFO", "BFO", "MCX"):
        return "greeks", instrument.token
    name = FRAME_NAMES.get(instrument.symbol, instrument.brsymbol)
    return ("index" if tick.ltp is not None else "ohlcv"), f"{instrument.brexchange} {name}"


def test_the_sdk_reads_what_we_read(sdk: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with Market.open() as here:
            chosen = here.one_of_each()
            traded = [one for one in chosen if not one.is_index]
            options = [one for one in traded if one.instrumenttype in ("CE", "PE")]
            named = [one for one in chosen if one.is_index or one.instrumenttype == "EQ"]
            asked = {
                "sdk": str(sdk),
                "feed": here.simulator.urls["feed"],
                "token": here.simulator.credentials["session_token"],
                "orderbook": [int(one.token) for one in traded],
                "greeks": [int(one.token) for one in options],
                "index": {side: [one.brsymbol for one in named if one.brexchange == side] for side in ("NSE", "BSE")},
            }
            script = Path(__file__).with_name("nubra_sdk_client.py")
            async with Stranger.started(script, asked, tmp_path) as stranger:
                topics = len(traded) + len(options) + 2 * len(named)
                await stranger.hear(lambda: len(stranger.said) == topics)
                # The SDK does not set a depth, so it has the server's: twenty levels.
                client, codec = await here.connect("deep")
                client.send(*codec.subscribe(chosen, "full"))  # type: ignore[arg-type]
                ticks: list[Tick] = []
                for _ in range(40):
                    ticks += (await read(client, codec)).ticks
                    here.simulator.exchange.step(100)
                ticks += (await read(client, codec)).ticks
                ours: dict[tuple[str, str], list[dict[str, Any]]] = {}
                for tick in ticks:
                    ours.setdefault(topic_of(tick), []).append(tick_fields(tick))
                await stranger.hear(lambda: sum(map(len, stranger.said.values())) >= len(ticks))
                assert len(ticks) > 5 * topics
                assert stranger.said == ours

    asyncio.run(run())
