"""Samco's servers: their texts against the shared vectors, their manners, the official SDK, our feed's view."""

import asyncio
import json
import threading
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picows import WSError

from broker import vector_cases
from simulator.wire_client import WireClient
from support import vector_market
from support.feeds import rig
from support.sdk import import_path
from support.servers import eventually
from support.simulators import running
from tickmux.broker.samco import BROKER
from tickmux.instrument import Instrument
from tickmux.login import IST, LoginFailed
from tickmux.simulator import samco
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.samco import API_KEY, API_SECRET, SamcoSimulator
from tickmux.tick import Mode, Tick, tick_fields

VECTORS = vector_cases.load("samco")
SDK = "stocknotebridge==3.2.2"
NOW = datetime(2025, 8, 18, 14, 30, tzinfo=IST)

# -- the encoder against the vectors -------------------------------------------------------------------------


def as_security(tick: dict[str, Any]) -> Security:
    """A security in the state that a vector's tick tells of."""
    row = next(
        r for r in VECTORS["instruments"] if (r["symbol"], r["exchange"]) == (tick["symbol"], tick["exchange"])
    )
    number = row["token"].partition("_")[0]
    return vector_market.security_of(tick, max(0, int(number)), NOW.date() if "oi" in tick else None)


def texts(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for frame in item["frames"] for line in frame["text"].split("\n") if line]


_FIELDS = ["ltp", "o", "h", "l", "c", "avgPr", "ltq", "tBQ", "tSQ", "lttUTC", "sym"]


@pytest.mark.parametrize(
    "item",
    [item for item in VECTORS["incoming"] if item["expect"] and item["expect"][0]["mode"] != "LTP"],
    ids=lambda item: item["name"],
)
def test_texts_are_those_of_the_vectors(item: dict[str, Any]) -> None:
    for theirs, tick in zip(texts(item), item["expect"], strict=True):
        security = as_security(tick)
        if tick["mode"] == "DEPTH":
            data = theirs["response"]["data"]
            made = samco.book_fields(security)
            padded = data["bidValues"] + [{"no": "0", "price": "0.00", "qty": "0"}] * (5 - len(data["bidValues"]))
            assert made == {name: data[name] for name in made} | {"bidValues": padded}
            continue
        fields = theirs.get("response", {}).get("data", theirs)
        made = samco.quote_fields(security)
        shown = [name for name in _FIELDS if name in fields]
        assert {name: made[name] for name in shown} == {name: fields[name] for name in shown}
        assert int(made["vol"].replace(",", "")) == int(fields["vol"])
        assert float(made["oI"] or 0) == float(fields["oI"] or 0)
        for name in {"ltt", "lTrdT"} & fields.keys():
            assert made[name] == fields[name]


# -- the servers ---------------------------------------------------------------------------------------------


def listed(simulator: SamcoSimulator) -> dict[tuple[str, str], Instrument]:
    """The instruments that the simulator and our list both have."""
    reader = BROKER.instruments()
    rows = [row for name, data in simulator.instrument_dump() for row in reader.parse(data, name)]
    assert not reader.skipped
    known = {(security.symbol, security.exchange) for security in simulator.exchange.securities}
    return {(row.symbol, row.exchange): row for row in rows if (row.symbol, row.exchange) in known}


def test_the_list_names_every_instrument_of_its_exchanges() -> None:
    simulator = SamcoSimulator(Exchange(seed=3))
    served = BROKER.adapter.exchanges
    assert listed(simulator).keys() == {
        (security.symbol, security.exchange)
        for security in simulator.exchange.securities
        if security.exchange in served
    }


def simulated() -> AbstractAsyncContextManager[SamcoSimulator]:
    return running(SamcoSimulator(Exchange(seed=3)))


async def connected(simulator: SamcoSimulator) -> WireClient:
    token = unquote(simulator.credentials["session_token"])
    return await WireClient.connect(simulator.urls["feed"], {"x-session-token": token})


def request(stream: str, kind: str, *symbols: str) -> str:
    names = [{"symbol": symbol} for symbol in symbols]
    body = {"streaming_type": stream, "data": {"symbols": names}, "request_type": kind, "response_format": "json"}
    return json.dumps({"request": body})


def symbols(messages: list[str | bytes]) -> list[str]:
    found = []
    for message in messages:
        for line in filter(None, str(message).split("\n")):
            text = json.loads(line)
            data = text.get("response", {}).get("data", text)
            found.append(data.get("sym") or data.get("symbol") or data["statusMessage"])
    return found


def test_a_request_without_its_line_feed_waits_and_a_subscription_replaces_the_list() -> None:
    async def main() -> None:
        async with simulated() as simulator:
            client = await connected(simulator)
            client.send(request("quote", "subscribe", "3045_NSE", "2885_NSE"))
            assert await client.flush() == []
            client.send("\n")
            assert symbols(await client.flush()) == ["3045_NSE", "2885_NSE"]
            client.send(
                request("quote", "subscribe", "-23") + "\n" + request("quote2", "subscribe", "3045_NSE") + "\n"
            )
            assert symbols(await client.flush()) == ["-23", "3045_NSE"]
            simulator.exchange.step(3000)
            assert set(symbols(await client.flush())) == {"-23", "3045_NSE"}
            client.send(
                request("quote2", "unsubscribe", "3045_NSE") + "\n", request("quote", "subscribe", "x") + "\n"
            )
            assert symbols(await client.flush()) == ["Invalid symbol"]
            assert not next(iter(simulator.clients)).subscriptions

    asyncio.run(main())


@pytest.mark.parametrize("text", ["{}", "[]", '{"request":5}', request("quote3", "subscribe"), "\x00", "[" * 90_000])
def test_hostile_requests_change_nothing(text: str) -> None:
    async def main() -> None:
        async with simulated() as simulator:
            client = await connected(simulator)
            client.send(request("quote", "subscribe", "3045_NSE") + "\n", text + "\n", b"\xff\n")
            await client.flush()
            assert len(next(iter(simulator.clients)).subscriptions) == 1

    asyncio.run(main())


def test_a_dead_session_is_refused_at_the_door_and_told_while_open() -> None:
    async def main() -> None:
        async with simulated() as simulator:
            client = await connected(simulator)
            simulator.expire_token()
            decoded = BROKER.adapter().codec("main").decode(await client.receive())
            assert decoded.event == "auth_error"
            with pytest.raises(WSError, match="401"):
                await connected(simulator)

    asyncio.run(main())


def test_a_login_by_keys_and_one_by_browser_make_sessions_that_the_feed_takes() -> None:
    async def main() -> None:
        async with simulated() as simulator, httpx.AsyncClient(trust_env=False) as http:
            login = BROKER.login(simulator.urls)
            keys = {"api_key": API_KEY, "api_secret": API_SECRET}
            session = await login.exchange(keys, {}, "", http, NOW)
            assert session.values == simulator.credentials.values
            browser = {"api_key": API_KEY}
            back = "http://127.0.0.1:9/samco/callback"
            page = await login.begin(browser, back, http)
            assert page is not None
            target = httpx.URL((await http.get(page)).headers["location"])
            assert str(target).startswith(back)
            session = await login.exchange(browser, dict(target.params), back, http, NOW)
            assert session.values == simulator.credentials.values
            (await connected(simulator)).send("\n")
            for wrong in ({"api_key": "x", "api_secret": "y"}, {"api_key": API_KEY, "api_secret": "y"}):
                with pytest.raises(LoginFailed):
                    await login.exchange(wrong, {}, "", http, NOW)

    asyncio.run(main())


# -- what is made is what is read ----------------------------------------------------------------------------


def meant(security: Security) -> dict[str, Any]:
    """What both streams together say of a security."""
    fields: dict[str, Any] = security.fields()
    for name in ("timestamp", "upper_circuit", "lower_circuit"):
        fields.pop(name, None)
    fields["ltt"] = security.traded_at // 1000 * 1000
    if security.is_derivative:
        fields["oi"] = security.oi
    return {name: value for name, value in fields.items() if value}


def merged(*ticks: Tick) -> dict[str, Any]:
    return {name: value for tick in ticks for name, value in tick_fields(tick).items()}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 3000))
def test_what_is_encoded_is_read_back_as_the_exchange_has_it(seed: int, steps: int) -> None:
    exchange = Exchange(seed=seed, clock=lambda: 1_795_400_000.0)
    simulator = SamcoSimulator(exchange)
    exchange.step(steps)
    for name, row in listed(simulator).items():
        security = exchange.find(*name)
        if row.is_index:
            row = Instrument(symbol=row.symbol, exchange=row.exchange, token=samco.feed_symbol(security))
        codec = BROKER.adapter().codec("main")
        codec.subscribe([row], "quote" if row.is_index else "depth")
        parts = [simulator.encode(security, stream) for stream in ("quote", "quote2")]
        decoded = codec.decode("\n".join(part for part in parts if part))
        assert decoded.event is None
        assert merged(*decoded.ticks) == meant(security)


# -- the official SDK ----------------------------------------------------------------------------------------


class Stranger:
    """The SDK's stream client on a thread of its own, and what it hears."""

    def __init__(self, url: str, token: str, symbols: list[str], stream: str) -> None:
        import_path(SDK)
        from snapi_py_client.snapi_bridge import StocknoteAPIPythonBridge, websocket

        websocket.enableTrace = lambda *args: None
        self.heard: list[str] = []
        self.bridge: Any = StocknoteAPIPythonBridge(session_token=token)
        self.bridge.STREAMING_URL = url
        self.bridge.on_message = lambda socket, text: self.heard.append(text)
        self.bridge.on_close = lambda *args: None
        self.bridge.set_streaming_data(symbols, stream)
        self.thread = threading.Thread(target=self.bridge.start_streaming, daemon=True)
        self.thread.start()


@pytest.mark.parametrize("stream", ["quote", "quote2"])
def test_the_official_sdk_hears_what_we_hear(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with simulated() as simulator:
            wanted = ["3045_NSE", "500325_BSE"]
            token = unquote(simulator.credentials["session_token"])
            sdk = await asyncio.to_thread(Stranger, simulator.urls["feed"], token, wanted, stream)
            await eventually(lambda: sdk.heard, "the SDK's snapshot")
            client = await connected(simulator)
            client.send(request(stream, "subscribe", *wanted) + "\n")
            ours = await client.flush()
            for _ in range(20):
                simulator.exchange.step(500)
            ours += await client.flush()
            await eventually(lambda: len(sdk.heard) >= len(ours), "all that we heard")
            assert sdk.heard == ours
            assert len(ours) > 5
            unsubscribe = {"quote": sdk.bridge.unsubscribe_quote, "quote2": sdk.bridge.unsubscribe_market_data}[
                stream
            ]
            unsubscribe(["3045_NSE"])
            theirs = next(iter(simulator.clients))
            await eventually(lambda: len(theirs.subscriptions) == 1, "the SDK's unsubscription")
            await asyncio.to_thread(sdk.bridge.ws.close)
            await asyncio.to_thread(sdk.thread.join, 5)

    asyncio.run(main())


# -- our feed ------------------------------------------------------------------------------------------------


def test_an_index_that_the_broker_does_not_know_fails_alone_and_says_so() -> None:
    async def main() -> None:
        async with rig("samco") as feed:
            rows = [*feed.listed(2, "NSE"), feed.instruments.rows["NIFTYIT", "NSE_INDEX"]]
            rows.append(feed.instruments.rows["NIFTY", "NSE_INDEX"])
            grants = await feed.subscribe(rows, Mode.QUOTE)
            await feed.ticking([grants[0], grants[1], grants[3]])
            assert feed.feed.counters.refused == 1
            assert "NIFTY IT cannot be subscribed" in feed.feed.pool.connections()[0].message
            assert feed.feed.status.state == "live"

    asyncio.run(main())
