"""Groww's adapter and codec against a real NATS server: the hand-shake and the stream are not ours on both sides.

The simulator gives the market and the socket tokens, which are genuine NATS tokens; all of NATS is nats-server.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from broker.groww.nats_server import NatsServer, published, running
from support.feeds import Rig, rig
from support.servers import eventually
from tickmux.instrument import Instrument
from tickmux.simulator.groww.wire import Account, encode_payload, subject
from tickmux.simulator.market.security import PRICE_UNIT
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed import Grant


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with running(tmp_path_factory.mktemp("nats")) as started:
        yield started


@asynccontextmanager
async def feed_on(server: NatsServer, **claims: Any) -> AsyncIterator[tuple[Rig, list[Instrument]]]:
    """A feed whose NATS is the real server, and one instrument of every exchange that is published there.

    `claims` go into every socket token.
    """
    async with rig("groww", rate=5000) as feed, server.publisher() as client:
        made = feed.simulator.account = server.account
        feed.simulator.account = Account()
        feed.simulator.account.user_token = lambda key, number: made.user_token(key, number, **claims)
        feed.adapter.urls["feed"] = server.websocket_url
        rows = [feed.listed(1, exchange)[0] for exchange in feed.adapter.exchanges]
        securities = [feed.exchange.find(row.symbol, row.exchange) for row in rows]

        def messages() -> Iterator[tuple[str, bytes]]:
            for security in securities:
                for kind in ("price",) if security.is_index else ("price", "book"):
                    yield subject(security, kind), encode_payload(security, kind)

        async with published(client, messages):
            yield feed, rows


def differences(feed: Rig, rows: Sequence[Instrument], grants: Sequence[Grant]) -> list[Any]:
    """Where the last published values are not the exchange's."""
    found = []
    for row, grant in zip(rows, grants, strict=True):
        security = feed.exchange.find(row.symbol, row.exchange)
        shown = feed.bus.payloads[grant.topic][-1]
        wanted = security.fields()
        for side, levels in shown.get("depth", {}).items():
            if levels != [{k: v for k, v in level.items() if k != "orders"} for level in wanted["depth"][side]]:  # type: ignore[index]
                found.append((grant.key, side))
        for field in ("ltp", "open", "high", "low", "close", "volume", "oi", "upper_circuit"):
            if field in shown and shown[field] != wanted[field]:
                found.append((grant.key, field))
    return found


@pytest.mark.parametrize("mode", Mode)
def test_all_modes_are_live_on_every_exchange_with_the_exchanges_values(server: NatsServer, mode: Mode) -> None:
    async def main() -> None:
        async with feed_on(server) as (feed, rows):
            grants = await feed.subscribe(rows, mode)
            await feed.ticking(grants)
            feed.running.cancel()  # the market stands still
            await asyncio.wait([feed.running])
            feed.bus.clear()
            await feed.ticking(grants)
            await eventually(lambda: not differences(feed, rows, grants), "the exchange's values")
            last = feed.bus.payloads[grants[0].topic][-1]
            assert last["ltp"] == feed.exchange.find(rows[0].symbol, rows[0].exchange).ltp / PRICE_UNIT
            assert ("depth" in last) == (mode is Mode.DEPTH)
            assert (feed.feed.counters.malformed, feed.feed.counters.unknown, feed.feed.counters.connects) == (
                0,
                0,
                1,
            )

    asyncio.run(main())


def test_the_servers_pings_are_answered_so_that_it_keeps_the_connection(server: NatsServer) -> None:
    async def main() -> None:
        async with feed_on(server) as (feed, rows):
            # Of this one nothing is published: a server pings only where nothing else goes on.
            (quiet,) = [row for row in feed.listed(2, "NSE") if row not in rows]
            await feed.subscribe([quiet], Mode.LTP)
            # Two pings without an answer would have ended it.
            await eventually(lambda: feed.feed.counters.heartbeats >= 6, "the server's pings")
            assert feed.feed.counters.connects == 1

    asyncio.run(main())


def test_the_server_has_exactly_the_subjects_that_the_modes_need(server: NatsServer) -> None:
    async def main() -> None:
        async with feed_on(server) as (feed, rows), httpx.AsyncClient(trust_env=False) as http:

            async def has(*wanted: str) -> None:
                for _ in range(500):
                    if await server.subjects(http) == set(wanted):
                        return
                    await asyncio.sleep(0.01)
                raise AssertionError(f"{wanted} wanted, {await server.subjects(http)} subscribed")

            share = feed.exchange.find(rows[0].symbol, rows[0].exchange)
            low = await feed.subscribe(rows[:1], Mode.LTP)
            await has(subject(share, "price"))
            high = await feed.subscribe(rows[:1], Mode.DEPTH)
            await has(subject(share, "price"), subject(share, "book"))
            await feed.feed.unsubscribe([grant.key for grant in high])
            await has(subject(share, "price"))
            await feed.ticking(low)
            other = await feed.subscribe(rows[1:2], Mode.LTP)
            await feed.feed.unsubscribe([grant.key for grant in low])
            await has(subject(feed.exchange.find(rows[1].symbol, rows[1].exchange), "price"))
            await feed.feed.unsubscribe([grant.key for grant in other])
            await has()

    asyncio.run(main())


def test_a_token_that_the_server_does_not_trust_is_replaced_once_and_then_needs_a_login(server: NatsServer) -> None:
    async def main() -> None:
        async with feed_on(server) as (feed, rows):
            feed.simulator.account = Account()
            await feed.subscribe(rows, Mode.LTP)
            await feed.state("auth_expired")
            assert "Authorization Violation" in feed.feed.status.message
            assert (feed.feed.counters.connects, feed.feed.counters.auth_failures) == (2, 1)

    asyncio.run(main())


def test_a_socket_token_that_ends_is_replaced_without_a_login(server: NatsServer) -> None:
    async def main() -> None:
        async with feed_on(server, exp=int(time.time()) + 2) as (feed, rows):
            grants = await feed.subscribe(rows, Mode.LTP)
            await feed.ticking(grants)
            made = server.account
            feed.simulator.account.user_token = made.user_token
            await eventually(lambda: feed.feed.counters.connects >= 2, "another connection")
            feed.bus.clear()
            await feed.ticking(grants)
            assert feed.feed.counters.auth_failures == 0

    asyncio.run(main())


def test_a_subject_that_is_not_permitted_is_reported_and_the_others_live_on(server: NatsServer) -> None:
    async def main() -> None:
        limits = {"subs": -1, "data": -1, "payload": -1}
        user = {"type": "user", "version": 2, "pub": {}, "sub": {"deny": ["/ld/eq/bse/price.*"]}, **limits}
        async with feed_on(server, nats=user) as (feed, rows):
            grants = await feed.subscribe(rows, Mode.LTP)
            await feed.ticking([grant for row, grant in zip(rows, grants, strict=True) if row.exchange != "BSE"])
            await eventually(lambda: feed.feed.counters.refused == 1, "the refusal")
            assert feed.feed.counters.broker_errors == 1
            assert feed.feed.counters.connects == 1
            served = {payload["exchange"] for each in feed.bus.payloads.values() for payload in each}
            assert served == set(feed.adapter.exchanges) - {"BSE"}

    asyncio.run(main())
