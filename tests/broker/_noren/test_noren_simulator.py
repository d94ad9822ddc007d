"""The family's simulated servers, member by member: wire against vectors and codec, sessions, logins, lists."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pyotp
import pytest

from broker import vector_cases
from simulator.wire_client import WireClient
from support.feeds import rig
from support.servers import eventually
from tickmux.broker._noren.noren_codec import DEPTH, TOUCHLINE
from tickmux.codec import Credentials, Event, FeedCodec
from tickmux.feeds.session_keeper import Session
from tickmux.login import AnswerWanted, LoginFailed
from tickmux.simulator import aliceblue, definedge, flattrade, load_simulator
from tickmux.simulator._noren import server as _noren
from tickmux.simulator._noren.lists import broker_symbol
from tickmux.simulator._noren.wire import about, identity, market_fields
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.tick import Mode, tick_fields
from tickmux.websocket_proxy.broker_factory import load_broker

MEMBERS = ("shoonya", "zebu", "tradesmart", "flattrade", "definedge", "aliceblue")
MORNING = 1_755_490_500.0
"""09:45 in India on a Monday, epoch seconds."""

members = pytest.mark.parametrize("name", MEMBERS)


@pytest.fixture(scope="module")
def market() -> Exchange:
    return Exchange(seed=3, clock=lambda: MORNING)


def run(name: str, market: Exchange, scenario: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    async def session() -> None:
        simulator = load_simulator(name)(market)
        await simulator.start()
        try:
            await scenario(simulator)
        finally:
            await simulator.stop()

    asyncio.run(session())


def instruments(name: str, simulator: Any) -> dict[tuple[str, str], Any]:
    subject = load_broker(name).instruments()
    rows = {
        (row.symbol, row.exchange): row
        for file, data in simulator.instrument_dump()
        for row in subject.parse(data, file)
    }
    assert set(subject.skipped) <= {"no trading symbol"}
    return rows


class Caller:
    """Our adapter and codec on a bare socket."""

    def __init__(self, name: str, simulator: Any, credentials: Credentials | None = None) -> None:
        self.adapter = load_broker(name).adapter(simulator.urls)
        self.credentials = credentials or simulator.credentials
        self.codec: FeedCodec

    async def call(self) -> Any:
        """Connects and says who we are; what the answer amounts to."""
        async with httpx.AsyncClient(trust_env=False) as http:
            endpoint = await self.adapter.endpoint("main", self.credentials, http)
        self.codec = self.adapter.codec("main")
        self.wire = await WireClient.connect(endpoint.url)
        self.wire.send(*self.codec.open_frames(self.credentials))
        return self.codec.decode(await self.wire.receive())

    async def told(self) -> list[Any]:
        """The ticks of what has come."""
        decoded = [self.codec.decode(frame) for frame in await self.wire.flush()]
        assert all(one.event in (None, Event.ACK) and not one.unknown for one in decoded)
        return [tick for one in decoded for tick in one.ticks]


def expected(security: Security, mode: Mode) -> dict[str, Any]:
    """What the engine says, as the wire can: times in whole seconds."""
    fields = security.fields(5)
    for name in ("timestamp", "ltt"):
        if name in fields:
            fields[name] = int(str(fields[name])) // 1000 * 1000
    if mode is Mode.QUOTE:
        for name in ("ltt", "last_trade_quantity", "total_buy_quantity", "total_sell_quantity"):
            fields.pop(name, None)
        for name in ("upper_circuit", "lower_circuit", "depth"):
            fields.pop(name, None)
    return fields


# -- the wire --------------------------------------------------------------------------------------------


def price(rupees: str) -> int:
    return round(float(rupees) * PRICE_UNIT)


def security_of(frame: dict[str, str], symbol: str, exchange: str) -> Security:
    """The instrument that a vector's snapshot describes."""
    day = datetime.fromtimestamp(int(frame["ft"]), UTC)
    hours, minutes, seconds = map(int, frame.get("ltt", "11:54:43").split(":"))
    midnight = int(frame["ft"]) - (int(frame["ft"]) + 19_800) % 86_400
    levels = {
        side: [
            Level(price(frame[f"{side}p{n}"]), int(frame[f"{side}q{n}"]), int(frame.get(f"{side}o{n}", "1")))
            for n in range(1, 6)
            if f"{side}p{n}" in frame and float(frame[f"{side}p{n}"])
        ]
        for side in "bs"
    }
    in_lots, ls = exchange == "CDS", int(frame["ls"])
    made = Security(
        symbol=symbol,
        exchange=exchange,
        name=symbol,
        kind="INDEX" if exchange.endswith("_INDEX") else "FUT" if "oi" in frame else "EQ",
        token=int(frame["tk"]),
        tick=price(frame["ti"]),
        lot_size=1 if exchange == "MCX" else ls,
        multiplier=1000 if in_lots else ls if exchange == "MCX" else 1,
        expiry=date(day.year, day.month, day.day) if "oi" in frame else None,
        ltp=price(frame["lp"]),
        close=price(frame["c"]),
        open=price(frame["o"]),
        high=price(frame["h"]),
        low=price(frame["l"]),
        updated_at=int(frame["ft"]) * 1000,
        traded_at=(midnight + hours * 3600 + minutes * 60 + seconds) * 1000,
        volume=int(frame.get("v", "0")),
        turnover=int(frame.get("v", "0")) * price(frame.get("ap", "0")),
        oi=int(frame.get("oi", "0")),
        last_quantity=int(frame.get("ltq", "0")),
        total_buy=int(frame.get("tbq", "0")),
        total_sell=int(frame.get("tsq", "0")),
        upper_circuit=price(frame.get("uc", "0")),
        lower_circuit=price(frame.get("lc", "0")),
        year_high=price(frame.get("52h", "0")),
        year_low=price(frame.get("52l", "0")),
    )
    made.bids, made.asks = levels["b"], levels["s"]
    return made


def test_snapshots_of_the_shared_vectors_are_what_the_encoder_writes() -> None:
    compared = 0
    for name in ("_noren", *MEMBERS):
        document = vector_cases.load(name)
        names = {
            (row["brexchange"], row["token"]): (row["symbol"], row["exchange"]) for row in document["instruments"]
        }
        for item in document["incoming"]:
            for text in (frame["text"] for frame in item["frames"]):
                frame = json.loads(text) if text.endswith("}") else {}
                key = (frame.get("e"), frame.get("tk"))
                complete = {"ls", "lp", "ft", "o", "c", "v" if key[1] not in ("26000", "26009", "1") else "o"}
                odd = re.search(r'42949672\.95|"[bs]p[1-5]":"0\.0|"ml"|"ue"|"ord_msg"', text)
                if frame.get("t") not in ("tk", "dk") or key not in names or not complete <= frame.keys() or odd:
                    continue
                security = security_of(frame, *names[key])
                kind = TOUCHLINE if frame["t"] == "tk" else DEPTH
                sent = {"t": frame["t"], **identity(security), **about(security, frame["ts"])}
                sent |= market_fields(security, kind)
                loose = {"pc", "ap"} | ({"v"} if not security.volume else set())
                assert {k: v for k, v in sent.items() if k not in loose} == {
                    k: v for k, v in frame.items() if k not in loose
                }, item["name"]
                compared += 1
    assert compared > 30


@members
@pytest.mark.parametrize("mode", [Mode.QUOTE, Mode.DEPTH])
def test_what_the_codec_understands_is_what_the_exchange_made(name: str, market: Exchange, mode: Mode) -> None:
    async def scenario(simulator: Any) -> None:
        caller = Caller(name, simulator)
        answer = await caller.call()
        assert (answer.event, answer.ready) == (Event.ACK, True)
        listed = instruments(name, simulator)
        rows = [row for place, row in enumerate(listed.values()) if row.is_index or place % 2]
        ((_, kind),) = caller.adapter.streams(rows[0], mode, 5)
        caller.wire.send(*caller.codec.subscribe(rows, kind))
        last = {(tick.instrument.symbol, tick.instrument.exchange): tick for tick in await caller.told()}
        for _ in range(2):
            for key, tick in last.items():
                assert vector_cases.same_value(tick_fields(tick), expected(market.find(*key), mode)), key
            market.step(1500)
            fresh = await caller.told()
            assert fresh
            last |= {(tick.instrument.symbol, tick.instrument.exchange): tick for tick in fresh}
        assert len(last) == len(rows) > 150
        caller.wire.send(*caller.codec.unsubscribe(rows, kind))
        await caller.wire.flush()
        market.step(500)
        assert await caller.told() == []

    run(name, market, scenario)


@members
def test_nothing_is_told_before_the_connect_message(name: str, market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        wire = await WireClient.connect(simulator.urls["feed"])
        wire.send('{"t":"t","k":"NSE|3045"}', '{"t":"h"}', "garbage", "[1]", b"\xff", '{"t":["t"]}')
        market.step(500)
        assert await wire.flush() == []

    run(name, market, scenario)


@members
@pytest.mark.parametrize("wrong", [{"token": "x"}, {"user_id": "x"}])
def test_a_wrong_token_or_user_is_refused_and_the_socket_left_open(
    name: str, market: Exchange, wrong: dict[str, str]
) -> None:
    async def scenario(simulator: Any) -> None:
        caller = Caller(name, simulator)
        codec = caller.adapter.codec("main")
        if name == "aliceblue":
            simulator.socket_session = True
        wire = await WireClient.connect(simulator.urls["feed"])
        wire.send(*codec.open_frames(Credentials({**simulator.credentials.values, **wrong})))
        assert codec.decode(await wire.receive()).event is Event.AUTH_ERROR
        wire.send(*codec.open_frames(simulator.credentials))
        assert codec.decode(await wire.receive()).ready

    run(name, market, scenario)


@members
def test_a_second_connection_of_a_user_ends_the_first(name: str, market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        first, second = Caller(name, simulator), Caller(name, simulator)
        assert (await first.call()).ready
        assert (await second.call()).ready
        assert await first.wire.ended() == 1000

    run(name, market, scenario)


def test_a_new_subscriber_of_what_was_watched_before_gets_deltas_against_its_snapshot(market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        caller = Caller("shoonya", simulator)
        await caller.call()
        row = instruments("shoonya", simulator)["SBIN", "NSE"]
        for _ in range(3):
            caller.wire.send(*caller.codec.subscribe([row], DEPTH))
            await caller.told()
            market.step(800)
            last = (await caller.told())[-1]
            assert vector_cases.same_value(tick_fields(last), expected(market.find("SBIN", "NSE"), Mode.DEPTH))
            caller.wire.send(*caller.codec.unsubscribe([row], DEPTH))
            await caller.wire.flush()
            market.step(800)

    run("shoonya", market, scenario)


@members
def test_heartbeats_are_answered_where_the_broker_does(name: str, market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        caller = Caller(name, simulator)
        await caller.call()
        caller.wire.send(*caller.codec.heartbeat_frames())
        events = [caller.codec.decode(frame).event for frame in await caller.wire.flush()]
        assert events == ([] if name in ("definedge", "aliceblue") else [Event.HEARTBEAT])

    run(name, market, scenario)


def test_beyond_a_members_limit_nothing_is_said(market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        simulator.most_scrips = 2
        caller = Caller("definedge", simulator)
        await caller.call()
        rows = list(instruments("definedge", simulator).values())[:4]
        for row in rows:
            caller.wire.send(*caller.codec.subscribe([row], TOUCHLINE))
        assert [tick.instrument for tick in await caller.told()] == rows[:2]

    run("definedge", market, scenario)


# -- sessions --------------------------------------------------------------------------------------------


def test_alice_blues_lost_websocket_session_is_made_anew_without_a_login() -> None:
    async def main() -> None:
        async with rig("aliceblue") as feed:
            grants = await feed.subscribe(feed.listed(5), Mode.QUOTE)
            await feed.ticking(grants)
            connects = feed.feed.counters.connects
            feed.simulator.drop_socket_session()
            await eventually(lambda: feed.feed.counters.connects > connects)
            feed.bus.clear()
            await feed.ticking(grants)
            assert feed.feed.counters.auth_failures == 0

    asyncio.run(main())


def test_flattrades_refusals_right_after_a_good_session_are_waited_out() -> None:
    async def main() -> None:
        async with rig("flattrade") as feed:
            grants = await feed.subscribe(feed.listed(5), Mode.QUOTE)
            await feed.ticking(grants)
            simulator, refusals = feed.simulator, [3]
            answer = simulator.connect_answer

            def moody(accepted: bool) -> str:
                refusals[0] -= 1
                return answer(accepted and refusals[0] < 0)

            simulator.connect_answer = moody
            simulator.disconnect_all()
            await eventually(lambda: refusals[0] < 0)
            assert feed.feed.counters.auth_failures == 0
            feed.bus.clear()
            simulator.connect_answer = answer
            simulator.disconnect_all()
            await feed.ticking(grants)

    asyncio.run(main())


def test_zebus_other_token_is_tried_when_the_first_is_refused() -> None:
    async def main() -> None:
        async with rig("zebu", retry_waits=()) as feed:
            good = feed.simulator.credentials
            values = {"user_id": good["user_id"], "token": "stale", "other_token": good["token"]}

            async def both() -> Session:
                return Session(Credentials(dict(values)), feed.sessions.version())

            feed.sessions.read = both
            grants = await feed.subscribe(feed.listed(5), Mode.QUOTE)
            await feed.ticking(grants)
            assert feed.feed.counters.auth_failures == 0
            values["other_token"] = "stale, too"
            feed.sessions.stored_again += 1
            feed.simulator.disconnect_all()
            await feed.state("auth_expired")
            assert feed.feed.counters.auth_failures == 1

    asyncio.run(main())


def test_a_broker_that_ends_every_session_at_once_is_given_time_and_the_reason_is_named() -> None:
    adapter = load_broker("tradesmart").adapter()
    for ended in range(1, 5):
        adapter.memory.attempt(Credentials({"user_id": "a", "token": "b"}), 0)
        adapter.memory.accepted()
        failure = adapter.close_failure(1000, "")
        assert (failure is None) == (ended < 3)
    assert failure is not None
    assert "another program" in str(failure)
    assert failure.retry_after == 60.0


# -- REST ------------------------------------------------------------------------------------------------

OAUTH_VALUES = {"client_id": _noren.CLIENT_ID, "secret_key": _noren.SECRET_KEY}
VALUES = {
    "shoonya": OAUTH_VALUES,
    "zebu": OAUTH_VALUES,
    "tradesmart": OAUTH_VALUES,
    "flattrade": {"api_key": flattrade.API_KEY, "api_secret": flattrade.API_SECRET},
    "definedge": {"api_token": definedge.API_TOKEN, "api_secret": definedge.API_SECRET},
    "aliceblue": {"app_code": aliceblue.APP_CODE, "api_secret": aliceblue.API_SECRET},
}


@members
def test_a_login_opens_the_feed_and_a_wrong_secret_does_not(name: str, market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        simulator.redirect_url = "http://127.0.0.1:5001/x/callback"
        login = load_broker(name).login(simulator.urls)
        async with httpx.AsyncClient(trust_env=False) as http:

            async def log_in(values: dict[str, str]) -> Credentials:
                values = {**values, "totp": pyotp.TOTP(definedge.TOTP_SECRET).now()}
                page = await login.begin(values, simulator.redirect_url, http)
                callback = {}
                if page is not None:
                    sent = (await http.get(page)).headers["location"]
                    callback = dict(parse_qsl(urlsplit(sent).query))
                return await login.exchange(values, callback, "", http, datetime.now(UTC))

            old = simulator.credentials
            session = await log_in(VALUES[name])
            assert session["token"] != old["token"]
            assert (await Caller(name, simulator, session).call()).ready
            secret = next(field for field in VALUES[name] if "secret" in field)
            with pytest.raises(LoginFailed):
                await log_in({**VALUES[name], secret: "wrong"})

    run(name, market, scenario)


def test_definedges_sent_code_opens_the_feed_once(market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        login, values = load_broker("definedge").login(simulator.urls), VALUES["definedge"]
        async with httpx.AsyncClient(trust_env=False) as http:

            async def question() -> dict[str, str]:
                with pytest.raises(AnswerWanted) as asked:
                    await login.exchange(values, {}, "", http, datetime.now(UTC))
                return {**values, **asked.value.kept, asked.value.field.name: definedge.SENT_CODE}

            answered = await question()
            session = await login.exchange(answered, {}, "", http, datetime.now(UTC))
            assert (await Caller("definedge", simulator, session).call()).ready
            with pytest.raises(LoginFailed):
                await login.exchange(answered, {}, "", http, datetime.now(UTC))
            wrong = {**await question(), "otp": "000000"}
            with pytest.raises(LoginFailed):
                await login.exchange(wrong, {}, "", http, datetime.now(UTC))

    run("definedge", market, scenario)


@members
def test_instrument_lists_are_served_where_they_are_looked_for(name: str, market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        subject = load_broker(name).instruments(simulator.urls)
        found = []
        async with httpx.AsyncClient(trust_env=False) as http:
            for download in subject.downloads(None):
                answer = await http.get(download.url)
                assert answer.status_code == 200, download.url
                found += subject.parse(answer.content, download.filename)
        keys = {(row.symbol, row.exchange): row for row in found}
        for security in simulator.listed:
            if name in ("shoonya", "zebu", "tradesmart") and security.symbol == "SENSEX50":
                continue  # their lists have no indices of BSE
            row = keys[security.symbol, security.exchange]
            assert (row.token, row.strike) == (str(security.token), security.strike / PRICE_UNIT)
            if not security.is_index:
                assert row.brsymbol == broker_symbol(security)
                if name != "flattrade":
                    assert row.tick_size == pytest.approx(security.tick / PRICE_UNIT)

    run(name, market, scenario)
