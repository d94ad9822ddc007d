"""The simulator profile end to end: a feed of made-up prices that needs no broker."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
import uvloop
from picows import WSInvalidStatusError

from simulator.wire_client import WireClient
from support.feeds import ListedInstruments, RecordingBus
from support.servers import eventually
from tickmux.broker.dhan_sandbox.streaming.dhan_sandbox_adapter import DhanSandboxAdapter
from tickmux.broker.dhan_sandbox.streaming.pulse import open_pulse
from tickmux.codec import Credentials
from tickmux.feeds.local_feed import LocalFeed
from tickmux.feeds.market_hours import MarketHours
from tickmux.feeds.session_keeper import Session
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.connection_manager import PoolLimits
from tickmux.websocket_proxy.feed import Grant, Want

SESSION = Session(Credentials({"profile": "simulator"}), 1)
SHARE = Instrument(symbol="HDFCBANK", exchange="NSE", token="1333")
INDEX = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="13")


class OneSession:
    def version(self) -> int:
        return SESSION.version

    async def read(self) -> Session:
        return SESSION


def test_a_feed_without_a_broker_ticks_every_second_and_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        bus = RecordingBus()
        feed = LocalFeed(
            DhanSandboxAdapter(),
            "test",
            bus=bus,  # type: ignore[arg-type]
            instruments=ListedInstruments([SHARE, INDEX]),
            sessions=OneSession(),
            limits=PoolLimits(),
            hours=MarketHours(always_open=True),
        )
        wants = [Want("HDFCBANK", "NSE", Mode.DEPTH, 20), Want("NIFTY", "NSE_INDEX", Mode.QUOTE, 5)]
        grants = [grant for grant in await feed.subscribe(wants) if isinstance(grant, Grant)]
        assert len(grants) == 2
        deep, index = (grant.topic for grant in grants)

        def whole(payload: dict[str, Any]) -> bool:
            return "ltp" in payload and len(payload.get("depth", {}).get("buy", ())) == 20

        await eventually(lambda: any(map(whole, bus.payloads.get(deep, ()))), "prices and 20 levels")
        await eventually(lambda: len(bus.payloads.get(index, ())) >= 2, "two pulses")
        first, second = (payload["timestamp"] for payload in bus.payloads[index][:2])
        assert 500 < second - first < 1500
        assert feed.status.state == "live"
        assert feed.counters.malformed == 0
        await feed.stop()
        await eventually(lambda: asyncio.all_tasks() == before, f"tasks left: {asyncio.all_tasks() - before}")

    with caplog.at_level(logging.WARNING):
        uvloop.run(main())
    assert any("made up" in record.getMessage() for record in caplog.records)


def test_a_pulse_is_for_one_client_and_its_port_closes_behind_it() -> None:
    async def main() -> None:
        url = await open_pulse()
        client = await WireClient.connect(url)
        with pytest.raises((OSError, WSInvalidStatusError)):
            await WireClient.connect(url)
        pulse = await client.receive()
        assert isinstance(pulse, str)
        assert len(pulse) == 13
        await client.close()

    asyncio.run(main())


def test_the_live_profile_goes_to_dhan() -> None:
    async def main() -> str:
        async with httpx.AsyncClient() as http:
            session = Credentials({"profile": "live", "client_id": "11", "access_token": "t"})
            return (await DhanSandboxAdapter().endpoint("main", session, http)).url

    assert asyncio.run(main()) == "wss://api-feed.dhan.co?version=2&token=t&clientId=11&authType=2"
