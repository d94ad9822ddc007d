"""Angel One's simulator: its bytes are the specification's, and our codec reads of them what the market is."""

import asyncio
import json
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pyotp
import pytest

from broker import vector_cases
from broker.angel.angel_wire import Caller, instruments, request, run
from support import vector_market
from support.feeds import rig
from support.servers import eventually
from support.simulators import MORNING
from tickmux.broker.angel import BROKER
from tickmux.broker.angel.streaming.angel_mapping import AngelCodec
from tickmux.codec import Credentials, Event
from tickmux.login import LoginFailed
from tickmux.simulator.angel import (
    API_KEY,
    CLIENT_CODE,
    PIN,
    TOTP_SECRET,
    AngelSimulator,
    encode_depth20,
    encode_packet,
)
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Security
from tickmux.tick import Mode, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable

MODES = {"ltp": 1, "quote": 2, "snap_quote": 3, "depth20": 4}
QUOTE_FIELDS = (
    "ltp", "timestamp", "open", "high", "low", "close", "volume", "last_trade_quantity", "avg_trade_price",
    "total_buy_quantity", "total_sell_quantity",
)  # fmt: skip


@pytest.fixture(scope="module")
def market() -> Exchange:
    exchange = Exchange(seed=7, clock=lambda: MORNING)
    exchange.step(3000)
    return exchange


# -- bytes -----------------------------------------------------------------------------------------------

UNDETERMINED = {1: [(27, 35)], 2: [(27, 35)], 3: [(27, 35), (363, 379)], 4: [(35, 43)]}
"""Bytes of a mode whose values no tick tells: sequence, 52-week prices, the dummy time."""


def security_of(expected: dict[str, Any], token: str) -> Security:
    exchange = expected["exchange"]
    if exchange.endswith("_INDEX"):
        return vector_market.security_of(expected, int(token.removeprefix("999")), None)
    expiry = None if exchange in ("NSE", "BSE") else date(2025, 8, 28)
    return vector_market.security_of(expected, int(token), expiry)


def vector_frames() -> list[Any]:
    document = vector_cases.load("angel")
    tokens = {(row["symbol"], row["exchange"]): row["token"] for row in document["instruments"]}
    return [
        pytest.param(bytes.fromhex(frame["hex"]), expected, tokens[expected["symbol"], expected["exchange"]], id=name)
        for item in document["incoming"]
        for name, frame, expected in zip([item["name"]] * 9, item["frames"], item["expect"], strict=False)
    ]


@pytest.mark.parametrize(("frame", "expected", "token"), vector_frames())
def test_the_encoder_writes_the_bytes_of_the_shared_vectors(
    frame: bytes, expected: dict[str, Any], token: str
) -> None:
    security = security_of(expected, token)
    mode = frame[0]
    made = encode_depth20(security) if mode == 4 else encode_packet(security, mode)
    assert len(made) == len(frame)
    blind = UNDETERMINED[mode] + ([(131, 139)] if mode == 3 and "oi" not in expected else [])
    seen = [place for place in range(len(frame)) if not any(start <= place < end for start, end in blind)]
    assert bytes(made[place] for place in seen) == bytes(frame[place] for place in seen)


@pytest.mark.parametrize("kind", MODES)
def test_our_codec_reads_every_instrument_as_the_market_has_it(market: Exchange, kind: str) -> None:
    simulator = AngelSimulator(market)
    codec = AngelCodec()
    listed = instruments(simulator)
    codec.subscribe(list(listed.values()), kind)
    assert len(codec.routes) == len(listed) > 300
    for (symbol, exchange), instrument in listed.items():
        security = market.find(symbol, exchange)
        frame = simulator.encode(security, str(MODES[kind]))
        if frame is None:
            assert kind == "depth20"
            assert security.is_index
            continue
        decoded = codec.decode(frame)
        if kind == "depth20" and exchange != "NSE":
            assert (decoded.ticks, decoded.unknown) == ([], 1)
            continue
        (tick,) = decoded.ticks
        assert tick.instrument == instrument
        everything = security.fields(levels=20 if kind == "depth20" else 5)
        names = {
            "ltp": {"ltp", "timestamp"},
            "quote": set(QUOTE_FIELDS),
            "snap_quote": everything.keys(),
            "depth20": {"timestamp", "depth"},
        }[kind]
        wanted = {name: value for name, value in everything.items() if name in names}
        if "ltt" in wanted:
            wanted["ltt"] = security.traded_at // 1000 * 1000
        assert vector_cases.same_value(tick_fields(tick), wanted), (symbol, tick_fields(tick), wanted)


def test_the_list_names_every_served_instrument_as_the_market_does(market: Exchange) -> None:
    served = {(s.symbol, s.exchange) for s in market.securities if s.exchange in BROKER.adapter.exchanges}
    listed = instruments(AngelSimulator(market))
    assert listed.keys() == served
    for name, instrument in listed.items():
        security = market.find(*name)
        assert instrument.strike == security.strike / PRICE_UNIT
        assert instrument.tick_size == pytest.approx(0 if security.is_index else security.tick / PRICE_UNIT)
    assert listed["NIFTY", "NSE_INDEX"].token == "99926000"
    assert listed["SENSEX", "BSE_INDEX"].token == "99919000"
    assert listed["BANKEX", "BSE_INDEX"].token == "99919012"


# -- conversation ----------------------------------------------------------------------------------------


def test_a_subscription_yields_a_tick_at_once_and_every_change_until_it_ends(market: Exchange) -> None:
    async def scenario(simulator: AngelSimulator) -> None:
        caller = await Caller().call(simulator)
        codec = AngelCodec()
        sbin = instruments(simulator)["SBIN", "NSE"]
        security = market.find("SBIN", "NSE")
        (subscribe,) = codec.subscribe([sbin], "snap_quote")
        (first,) = codec.decode(await caller.ask(str(subscribe))).ticks
        assert first.ltp == security.ltp / PRICE_UNIT
        old = security.ltp
        while security.ltp == old:
            market.step(50)
        (last,) = codec.decode(await caller.hear()).ticks
        while last.ltp == first.ltp:
            (last,) = codec.decode(await caller.hear()).ticks
        assert last.ltp == security.ltp / PRICE_UNIT
        for frame in codec.unsubscribe([sbin], "snap_quote"):
            caller.link.send(str(frame))
        while await caller.ask("ping") != "pong":
            pass
        market.step(2000)
        assert await caller.ask("ping") == "pong"

    run(scenario, market)


def test_one_token_may_have_several_modes_and_each_has_its_own_frames(market: Exchange) -> None:
    async def scenario(simulator: AngelSimulator) -> None:
        caller = await Caller().call(simulator)
        for mode in (1, 2, 3, 4):
            frame = await caller.ask(request(1, mode, {1: ["3045"]}))
            assert isinstance(frame, bytes)
            assert frame[0] == mode
        caller.link.send(json.dumps(request(0, 2, {1: ["3045"]})))
        assert await caller.ask("ping") == "pong"
        (client,) = simulator.clients
        assert client.subscriptions == {market.find("SBIN", "NSE"): {"1", "3", "4"}}

    run(scenario, market)


def test_tokens_beyond_the_quota_are_refused_together_and_the_others_go_on(market: Exchange) -> None:
    async def scenario(simulator: AngelSimulator) -> None:
        caller = await Caller().call(simulator)
        codec = AngelCodec()
        shares = [found for found in instruments(simulator).values() if found.exchange == "NSE"]
        assert len(shares) > 50
        (frame,) = codec.subscribe(shares, "depth20")
        refused = codec.decode(await caller.ask(str(frame)))
        assert (refused.event, refused.refused) == (Event.ERROR, shares)
        assert "Subscription Limit Exceeded" in refused.message
        codec.unsubscribe(shares, "depth20")
        (frame,) = codec.subscribe(shares[:50], "depth20")
        assert codec.decode(await caller.ask(str(frame))).ticks

        everything = list(instruments(simulator).values())
        room = 1000 - 50
        for kind in ("ltp", "quote", "snap_quote"):
            for frame in codec.subscribe_frames(everything[:room], kind):
                caller.link.send(str(frame))
            room -= len(everything[:room])
        assert room == 0
        caller.link.send(str(codec.subscribe_frames(everything[:1], "snap_quote")[0]))  # a duplicate is free
        answer = await caller.ask(str(codec.subscribe([everything[-1]], "snap_quote")[0]))
        while isinstance(answer, bytes):
            answer = await caller.hear()
        assert codec.decode(answer).refused == [everything[-1]]

    run(scenario, market)


@pytest.mark.parametrize(
    "wrong",
    [
        "hello",
        {"action": 1},
        request(2, 1, {1: ["3045"]}),
        request(1, 5, {1: ["3045"]}),
        request(1, 4, {2: ["53001"]}),
        {"action": 1, "params": {"mode": 1, "tokenList": [{"exchangeType": 1, "tokens": [3045]}]}},
        '{"action":' + "[" * 5000,
    ],
)
def test_a_request_that_is_none_gets_an_error_and_harms_nothing(market: Exchange, wrong: object) -> None:
    async def scenario(simulator: AngelSimulator) -> None:
        caller = await Caller().call(simulator)
        answer = await caller.ask(wrong)
        decoded = AngelCodec().decode(answer)
        assert decoded.event is Event.ERROR
        assert "E1001" in decoded.message
        assert await caller.ask("ping") == "pong"

    run(scenario, market)


@pytest.mark.parametrize(
    ("name", "fault"),
    [("jwt", "auth token"), ("client_code", "client code"), ("api_key", "api key"), ("feed_token", "feed token")],
)
def test_a_wrong_credential_is_an_authentication_failure(market: Exchange, name: str, fault: str) -> None:
    async def scenario(simulator: AngelSimulator) -> None:
        wrong = Credentials({**simulator.credentials.values, name: "wrong"})
        with pytest.raises(AuthRejected, match=fault):
            await Caller().call(simulator, wrong)

    run(scenario, market)


def test_an_expired_token_ends_connections_and_only_a_new_one_is_let_in(market: Exchange) -> None:
    async def scenario(simulator: AngelSimulator) -> None:
        caller = await Caller().call(simulator)
        simulator.expire_token()
        closed = await asyncio.wait_for(caller.link.closed, 5)
        assert BROKER.adapter().close_failure(closed.code, closed.reason) is None
        with pytest.raises(AuthRejected):
            await Caller().call(simulator)
        simulator.new_token()
        assert await (await Caller().call(simulator)).ask("ping") == "pong"

    run(scenario, market)


def test_a_fourth_connection_has_to_wait_and_does_not_cost_the_token(market: Exchange) -> None:
    async def scenario(simulator: AngelSimulator) -> None:
        for _ in range(3):
            await Caller().call(simulator)
        with pytest.raises(Unavailable) as refused:
            await Caller().call(simulator)
        assert refused.value.retry_after == 60

    run(scenario, market)


def test_twenty_levels_and_quotes_come_over_two_connections_and_look_like_one_stream() -> None:
    async def scenario() -> None:
        async with rig("angel", rate=20_000) as feed:
            rows = feed.listed(3, "NSE")
            grants = await feed.subscribe(rows, Mode.DEPTH, 20)
            assert [grant.key.depth for grant in grants] == [20] * 3

            def complete() -> bool:
                last = [feed.bus.payloads.get(grant.topic, [{}])[-1] for grant in grants]
                return all(
                    len(shown.get("depth", {}).get(side, ())) == 20 and {"ltp", "close", "volume"} <= shown.keys()
                    for shown in last
                    for side in ("buy", "sell")
                )

            await eventually(complete, "books of twenty levels with quotes")
            assert [(one.channel_name, one.load) for one in feed.feed.pool.connections()] == [
                ("main", {"quote": 3}),
                ("depth20", {"depth20": 3}),
            ]
            await feed.feed.unsubscribe([grant.key for grant in grants])
            await eventually(lambda: not feed.simulator.clients, "the end of both connections")

    asyncio.run(scenario())


# -- REST ------------------------------------------------------------------------------------------------


def test_a_login_over_http_opens_the_feed_and_a_wrong_pin_or_code_does_not(market: Exchange) -> None:
    values = {"api_key": API_KEY, "client_code": CLIENT_CODE, "pin": PIN, "totp_secret": TOTP_SECRET}

    async def scenario(simulator: AngelSimulator) -> None:
        login = BROKER.login(simulator.urls)
        async with httpx.AsyncClient(trust_env=False) as http:
            session = await login.exchange(values, {}, "", http, datetime.now(UTC))
            assert await (await Caller().call(simulator, session)).ask("ping") == "pong"
            for wrong in ({"pin": "0000"}, {"client_code": "X1"}, {"api_key": "other"}, {"totp": a_wrong_code()}):
                with pytest.raises(LoginFailed):
                    await login.exchange(values | wrong, {}, "", http, datetime.now(UTC))

    run(scenario, market)


def a_wrong_code() -> str:
    """Six digits that are no code of the present minutes."""
    moment = datetime.now(UTC).timestamp()
    codes = {pyotp.TOTP(TOTP_SECRET).at(moment + 30 * step) for step in range(-4, 5)}
    return next(code for code in (f"{number:06d}" for number in range(20)) if code not in codes)


def test_a_session_is_renewed_with_its_refresh_token_and_ended_by_a_logout(market: Exchange) -> None:
    async def scenario(simulator: AngelSimulator) -> None:
        url = simulator.urls["api"]
        headers = dict.fromkeys(
            ("X-UserType", "X-SourceID", "X-ClientLocalIP", "X-ClientPublicIP", "X-MACAddress"), "x"
        ) | {"X-PrivateKey": API_KEY}

        async with httpx.AsyncClient(trust_env=False, headers=headers) as http:

            async def post(path: str, body: object, jwt: str = "") -> Any:
                own = {"Authorization": f"Bearer {jwt}"} if jwt else {}
                return (await http.post(f"{url}/rest/{path}", json=body, headers=own)).json()

            code = pyotp.TOTP(TOTP_SECRET).now()
            first = await post(
                "auth/angelbroking/user/v1/loginByPassword",
                {"clientcode": CLIENT_CODE, "password": PIN, "totp": code},
            )
            renew, end = "auth/angelbroking/jwt/v1/generateTokens", "secure/angelbroking/user/v1/logout"
            old = first["data"]
            assert (await post(renew, {"refreshToken": "wrong"}, old["jwtToken"]))["errorcode"] == "AB8050"
            assert (await post(renew, {"refreshToken": old["refreshToken"]}))["errorcode"] == "AG8001"
            second = (await post(renew, {"refreshToken": old["refreshToken"]}, old["jwtToken"]))["data"]
            assert second.keys() == old.keys()
            assert second["jwtToken"] != old["jwtToken"]
            assert (await post(end, {"clientcode": CLIENT_CODE}, old["jwtToken"]))["errorcode"] == "AG8001"
            assert (await post(end, {"clientcode": CLIENT_CODE}, second["jwtToken"]))["status"] is True
        with pytest.raises(AuthRejected):
            await Caller().call(simulator)

    run(scenario, market)


def test_the_instrument_list_is_served_where_the_list_is_looked_for(market: Exchange) -> None:
    async def scenario(simulator: AngelSimulator) -> None:
        subject = BROKER.instruments(simulator.urls)
        (download,) = subject.downloads(None)
        async with httpx.AsyncClient(trust_env=False) as http:
            data = (await http.get(download.url)).content
        assert [(download.filename, data)] == simulator.instrument_dump()
        assert len(list(subject.parse(data, download.filename))) > 300
        assert not subject.skipped

    run(scenario, market)
