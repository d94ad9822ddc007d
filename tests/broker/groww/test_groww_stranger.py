"""Groww's official SDK as a stranger: it logs in at the simulator, and reads what our codec reads."""

import asyncio
from pathlib import Path
from typing import Any

import pyotp
import pytest

from broker.groww.test_groww_simulator import Market, read
from support.sdk import official_sdk
from support.stranger import Teller
from tickmux.instrument import Instrument
from tickmux.simulator.groww.server import API_KEY, TOTP_SECRET
from tickmux.simulator.groww.wire import subject
from tickmux.tick import Mode, Tick, tick_fields

SDK = "growwapi==1.5.0"
ITS_OWN = ("protobuf>=5.29,<6", "aiohttp>=3.11,<4", "colorama", "requests")


@pytest.fixture
def sdk() -> Path:
    """Where the SDK is, beside the older protobuf that it wants; nats-py and nkeys are ours."""
    return official_sdk(SDK, needs=ITS_OWN)


class Stranger(Teller):
    """The SDK's process and what it says: subject and parsed payload."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__(process)
        self.said: dict[str, list[dict[str, Any]]] = {}

    def take(self, kind: str, content: Any) -> None:
        self.said.setdefault(kind, []).append(in_our_terms(content))


_NAMES = {
    "open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume", "ltp": "ltp",
    "bidQty": "total_buy_quantity", "offerQty": "total_sell_quantity", "avgPrice": "avg_trade_price",
    "highPriceRange": "upper_circuit", "lowPriceRange": "lower_circuit", "openInterest": "oi", "value": "ltp",
}  # fmt: skip


def in_our_terms(content: dict[str, Any]) -> dict[str, Any]:
    if "buyBook" in content:
        sides = (("buy", "buyBook"), ("sell", "sellBook"))
        return {
            "timestamp": round(content["tsInMillis"] * 1000),
            "depth": {
                ours: [
                    {"price": level["price"], "quantity": level["qty"]}
                    for _, level in sorted((int(place), level) for place, level in content[theirs].items())
                ]
                for ours, theirs in sides
            },
        }
    names = {**_NAMES} if "ltp" not in content else {**_NAMES, "value": "turnover"}
    found = {names[name]: value for name, value in content.items() if name in names and value}
    found.pop("turnover", None)
    return {**found, "timestamp": round(content["tsInMillis"])}


def named(here: Market, instrument: Instrument) -> dict[str, str]:
    segment = "FNO" if instrument.exchange in ("NFO", "BFO") else "CASH"
    return {"exchange": instrument.brexchange, "segment": segment, "exchange_token": instrument.token}


def by_subject(here: Market, ticks: list[Tick]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for tick in ticks:
        topic = subject(here.security(tick.instrument), "book" if tick.mode is Mode.DEPTH else "price")
        found.setdefault(topic, []).append(tick_fields(tick))
    return found


def test_the_sdk_logs_in_and_reads_what_we_read(sdk: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with Market.open() as here:
            chosen = here.one_of_each()
            shares, indices = ([one for one in chosen if one.is_index is wanted] for wanted in (False, True))
            options = {
                "sdk": str(sdk),
                "urls": here.simulator.urls,
                "api_key": API_KEY,
                "totp": pyotp.TOTP(TOTP_SECRET).now(),
                "prices": [named(here, one) for one in shares],
                "books": [named(here, one) for one in shares],
                "indices": [named(here, one) for one in indices],
            }
            script = Path(__file__).with_name("groww_sdk_client.py")
            async with Stranger.started(script, options, tmp_path) as stranger:
                topics = 2 * len(shares) + len(indices)
                await stranger.hear(lambda: len(stranger.said) == topics)
                client, codec = await here.connect()
                client.send(*codec.subscribe(shares, "depth"))  # type: ignore[arg-type]
                client.send(*codec.subscribe(indices, "price"))  # type: ignore[arg-type]
                ticks: list[Tick] = []
                for _ in range(40):
                    ticks += (await read(client, codec)).ticks
                    here.simulator.exchange.step(100)
                ticks += (await read(client, codec)).ticks
                ours = by_subject(here, ticks)
                await stranger.hear(lambda: sum(map(len, stranger.said.values())) >= len(ticks))
                assert len(ticks) > 5 * topics
                assert stranger.said == ours

    asyncio.run(run())
