"""The family's simulator: its bytes are the specification's, its sessions live as the broker's do."""

import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from broker import vector_cases
from broker._xts.xts_wire import MEMBERS, run
from simulator.wire_client import WireClient
from support.feeds import rig
from support.servers import eventually
from tickmux.broker.wisdom import BROKER as WISDOM
from tickmux.codec import Credentials
from tickmux.login import LoginFailed
from tickmux.simulator import load_simulator
from tickmux.simulator._xts import server as servers
from tickmux.simulator._xts import wire as wire
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.wisdom import WisdomSimulator
from tickmux.tick import Mode
from tickmux.websocket_proxy.broker_factory import Broker

MORNING = 1_755_837_930.0
KEYS = {"app_key": servers.APP_KEY, "secret_key": servers.SECRET_KEY}

# -- bytes -------------------------------------------------------------------------------------------------


def units(price: float) -> int:
    return round(price * PRICE_UNIT)


def security_of(tick: dict[str, Any], token: str) -> Security:
    """The security whose market is what a vector's tick says."""

    def levels(side: str) -> list[Level]:
        found = tick.get("depth", {}).get(side, [])
        return [Level(units(level["price"]), level["quantity"], level["orders"]) for level in found]

    made = Security(
        symbol=tick["symbol"],
        exchange=tick["exchange"],
        name="NIFTY",
        kind="CE" if tick["exchange"] == "NFO" else "EQ",
        token=int(token),
        tick=500,
    )
    for name in ("ltp", "open", "high", "low", "close"):
        setattr(made, name, units(tick.get(name, 0)))
    made.volume, made.last_quantity = tick.get("volume", 0), tick["last_trade_quantity"]
    made.turnover = units(tick.get("avg_trade_price", 0)) * made.volume
    made.total_buy, made.total_sell = tick.get("total_buy_quantity", 0), tick.get("total_sell_quantity", 0)
    made.traded_at, made.updated_at = tick.get("ltt", 0), tick["timestamp"]
    made.bids, made.asks = levels("buy"), levels("sell")
    return made


def body_of(frame: bytes) -> bytes:
    """The first message's body in an attachment."""
    frame = frame.removeprefix(b"\x04")
    size, packed = int.from_bytes(frame[13:15], "little"), int.from_bytes(frame[15:17], "little")
    return zlib.decompress(frame[17 : 17 + packed], -15) if frame[0] else frame[15 : 15 + size]


def vector(words: str) -> dict[str, Any]:
    (found,) = [item for item in vector_cases.load("_xts")["incoming"] if words in item["name"]]
    return dict(found)


PERCENT = {"A": 8 + 8 + 32 + 8, "B": 8 + 8 + 32 + 8}
"""Where the percent change begins, from the end: no tick tells it."""


@pytest.mark.parametrize(
    ("layout", "words"), [("A", "1502, layout A, compressed"), ("B", "1502, layout B, compressed")]
)
def test_a_binary_book_has_the_vectors_bytes(layout: str, words: str) -> None:
    item = vector(words)
    theirs = body_of(bytes.fromhex(item["frames"][1]["hex"]))
    made = wire.binary_message(security_of(item["expect"][0], "41234"), 1502, layout, compressed=True)
    ours = body_of(made)
    # The sequence number is the vector's own; the percent change and the value traded are in no tick.
    for part in (slice(0, 14), slice(22, -PERCENT[layout]), slice(-48, -16)):
        assert ours[part] == theirs[part]
    assert len(ours) == len(theirs)
    assert made[1:15] == bytes.fromhex(item["frames"][1]["hex"]).removeprefix(b"\x04")[1:15]


@pytest.mark.parametrize(("layout", "length"), [("A", 61), ("B", 69)])
def test_open_interest_has_its_layouts_length(layout: str, length: int) -> None:
    security = security_of(vector("1502, layout A")["expect"][0], "41234")
    security.oi = 1234
    assert len(body_of(wire.binary_message(security, 1510, layout, compressed=False))) == length


@pytest.mark.parametrize(
    ("words", "code", "unknown"),
    [
        ("1512-json-full, NSE equity", 1512, {"BookType", "XMarketType"}),
        ("1501-json-full, NSE equity, flat", 1501, set()),
        ("1502-json-full, NFO option", 1502, {"BookType", "XMarketType", "SequenceNumber"}),
    ],
)
def test_a_json_event_says_what_the_vector_says(words: str, code: int, unknown: set[str]) -> None:
    item = vector(words)
    name, payload = json.loads(item["frames"][0]["text"][2:])
    theirs = json.loads(payload)
    security = security_of(item["expect"][0], str(theirs["ExchangeInstrumentID"]))
    text = wire.json_event(security, code)
    our_name, our_payload = json.loads(text[2:])
    ours = json.loads(our_payload)
    assert our_name == name
    for found in (ours, theirs, ours.get("Touchline", {}), theirs.get("Touchline", {})):
        for left_out in ("PercentChange", "LastTradedTime", "LastUpdateTime", "BidInfo", "AskInfo", *unknown):
            found.pop(left_out, None)
    assert ours == theirs


def test_master_rows_have_the_specifications_columns() -> None:
    exchange = Exchange(seed=1, clock=lambda: MORNING)
    widths = {(one.kind if one.expiry is None else one.kind[-1]): 0 for one in exchange.securities}
    for security in exchange.securities:
        if security.exchange in wire.SEGMENTS:
            cells = wire.master_row(security).split("|")
            widths[security.kind if security.expiry is None else security.kind[-1]] = len(cells)
    assert widths == {"EQ": 22, "INDEX": 22, "T": 21, "E": 23}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_the_real_parser_reads_the_whole_list(member: Broker) -> None:
    exchange = Exchange(seed=1, clock=lambda: MORNING)
    parser = member.instruments()
    rows = [
        row
        for name, data in load_simulator(member.name)(exchange).instrument_dump()
        for row in parser.parse(data, name)
    ]
    listed = {(row.symbol, row.exchange): row for row in rows}
    assert len(listed) == len(rows)
    for security in exchange.securities:
        if security.exchange in wire.SEGMENTS:
            row = listed[security.symbol, security.exchange]
            assert (row.token, row.strike) == (str(security.token), security.strike / PRICE_UNIT)
            assert security.is_index or row.tick_size == security.tick / PRICE_UNIT
    assert set(parser.skipped) == {"index that the other list has too"}


# -- sessions ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[WisdomSimulator, httpx.AsyncClient]]:
    simulator = WisdomSimulator(Exchange(seed=3, clock=lambda: MORNING))
    for name, value in options.items():
        setattr(simulator, name, value)
    await simulator.start()
    async with httpx.AsyncClient(trust_env=False, base_url=simulator.urls["api"]) as http:
        try:
            yield simulator, http
        finally:
            await simulator.stop()


async def call(http: httpx.AsyncClient, method: str, token: str, numbers: list[int], code: int = 1501) -> Any:
    body = {
        "instruments": [{"exchangeSegment": 1, "exchangeInstrumentID": number} for number in numbers],
        "xtsMessageCode": code,
    }
    answer = await http.request(method, "/instruments/subscription", headers={"Authorization": token}, json=body)
    return answer.status_code, answer.json()


async def stream(simulator: WisdomSimulator, session: Credentials) -> WireClient:
    query = f"token={session['token']}&userID={session['user_id']}&transport=websocket&EIO=3"
    return await WireClient.connect(f"{simulator.urls['feed']}?{query}")


async def log_in(simulator: WisdomSimulator, http: httpx.AsyncClient, values: dict[str, str] = KEYS) -> Credentials:
    flow = WISDOM.login(simulator.urls)
    return await flow.exchange(values, {}, "", http, datetime.fromtimestamp(MORNING, UTC))


def test_a_login_ends_the_session_before_it() -> None:
    async def main() -> None:
        async with running() as (simulator, http):
            first = await log_in(simulator, http)
            assert first.expires_at == MORNING + 86_400
            client = await stream(simulator, first)
            await client.flush()
            second = await log_in(simulator, http)
            assert second["token"] != first["token"]
            said = [await client.receive()]
            assert said[0][:10] == '42["logout'
            await client.ended()
            status, answer = await call(http, "POST", first["token"], [2885])
            assert (status, answer["code"]) == (400, "e-session-0007")
            assert (await call(http, "POST", second["token"], [2885]))[0] == 200
            with pytest.raises(LoginFailed, match="Entered invalid credentials"):
                await log_in(simulator, http, {**KEYS, "secret_key": "wrong"})

    run(main())


def test_a_subscription_outlives_the_socket() -> None:
    async def main() -> None:
        async with running() as (simulator, http):
            token = simulator.credentials["token"]
            status, answer = await call(http, "POST", token, [2885, 3045])
            assert (status, answer["result"]["Remaining_Subscription_Count"]) == (200, 998)
            assert len(answer["result"]["listQuotes"]) == 2
            for _ in range(2):
                client = await stream(simulator, simulator.credentials)
                frames = [str(frame) for frame in await client.flush()]
                assert frames[0].startswith('0{"sid"')
                assert frames[1] == "40"
                assert frames[2].startswith('42["joined"')
                assert [frame[:18] for frame in frames[3:]] == ['42["1501-json-full'] * 2
                await client.close()
            status, answer = await call(http, "POST", token, [2885, 1594])
            assert (status, answer["code"]) == (400, "e-session-0002")
            assert (await call(http, "PUT", token, [2885]))[0] == 200
            assert (await call(http, "POST", token, [2885, 1594]))[0] == 200

    run(main())


def test_the_limit_and_wrong_calls_are_refused() -> None:
    async def main() -> None:
        async with running(subscription_limit=1) as (simulator, http):
            token = simulator.credentials["token"]
            assert (await call(http, "POST", token, [2885, 3045]))[1]["code"] == "e-session-0004"
            for numbers, code in (([2885], 1505), ([], 1501), ([999], 1501), ([2885] * 51, 1501)):
                assert (await call(http, "POST", token, numbers, code))[0] == 400
            for body in (b"", b"[]", b"\xff", b'{"instruments":[{}],"xtsMessageCode":1501}'):
                headers = {"Authorization": token}
                answer = await http.post("/instruments/subscription", headers=headers, content=body)
                assert answer.status_code == 400
            page = await http.post(f"http://127.0.0.1:{http.base_url.port}/apibinarymarketdata/auth/login")
            assert (page.status_code, page.text[:2]) == (404, "<!")

    run(main())


def test_the_stream_refuses_a_token_that_is_not_good_and_answers_pings() -> None:
    async def main() -> None:
        async with running() as (simulator, _):
            bad = await stream(simulator, Credentials({"token": "x", "user_id": servers.USER_ID}))
            assert str(await bad.receive()).startswith("0{")
            assert await bad.receive() == '44"Invalid Token"'
            await bad.ended()
            good = await stream(simulator, simulator.credentials)
            await good.flush()
            good.send("2", "2probe", b"\x04", "42[]")
            assert await good.flush() == ["3", "3probe"]
            good.send("41", "1")
            await good.ended()

    run(main())


def test_a_client_that_does_not_ping_is_dropped() -> None:
    async def main() -> None:
        async with running() as (simulator, _):
            client = await stream(simulator, simulator.credentials)
            await client.flush()
            simulator.beat()
            (served,) = simulator.clients
            served.session -= 46.0
            simulator.beat()
            assert await client.ended() is None

    run(main())


def test_quotes_and_lists_are_served() -> None:
    async def main() -> None:
        async with running() as (simulator, http):
            headers = {"Authorization": simulator.credentials["token"]}
            body = {"instruments": [{"exchangeSegment": 1, "exchangeInstrumentID": 2885}], "xtsMessageCode": 1502}
            quotes = (await http.post("/instruments/quotes", headers=headers, json=body)).json()
            assert json.loads(quotes["result"]["listQuotes"][0])["ExchangeInstrumentID"] == 2885
            found = {}
            for file in WISDOM.instruments(simulator.urls).downloads(simulator.credentials):
                answer = await http.request(file.method, file.url, headers=dict(file.headers), json=file.json)
                found[file.filename] = answer.content
            assert found == dict(simulator.instrument_dump())

    run(main())


# -- with a real feed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wisdom", "jainamxts"])
def test_a_reconnect_logs_in_no_second_time_and_takes_its_subscriptions_over(name: str) -> None:
    async def main() -> None:
        async with rig(name) as feed:
            grants = await feed.subscribe(feed.listed(8, "NFO"), Mode.QUOTE)
            await feed.ticking(grants)
            simulator: Any = feed.simulator
            await eventually(lambda: len(simulator.subscribed) == 16, "quotes and open interest")
            simulator.disconnect_all()
            feed.bus.clear()
            await feed.ticking(grants)
            await eventually(
                lambda: feed.feed.status.state == "live" and len(simulator.subscribed) == 16, "everything again"
            )
            await eventually(
                lambda: all(payloads[-1].get("oi") for payloads in feed.bus.payloads.values()), "open interest"
            )
            assert simulator.logins == 0
            assert feed.feed.counters.auth_failures == 0
            assert feed.feed.counters.refused == 0

    run(main())


def test_prices_go_before_open_interest_at_the_brokers_limit() -> None:
    async def main() -> None:
        async with rig("wisdom") as feed:
            simulator: Any = feed.simulator
            simulator.subscription_limit = 10
            derivatives = await feed.subscribe(feed.listed(5, "NFO"), Mode.QUOTE)
            await feed.ticking(derivatives)
            await eventually(lambda: len(simulator.subscribed) == 10, "five prices with open interest")
            shares = await feed.subscribe(feed.listed(5, "NSE"), Mode.QUOTE)
            await feed.ticking(shares)
            assert {code for code, _ in simulator.subscribed} == {1501}
            (late,) = await feed.subscribe(feed.listed(1, "BSE"), Mode.QUOTE)
            await eventually(lambda: feed.feed.counters.refused == 1, "the refusal")
            assert "limit exceeded" in feed.feed.status.message
            assert late.topic not in feed.bus.payloads

    run(main())
