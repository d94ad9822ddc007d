"""m.Stock's simulator: its bytes are the specification's, codec and official SDK read them as the market is."""

import asyncio
import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from broker import vector_cases
from simulator.wire_client import WireClient
from support import vector_market
from support.sdk import official_sdk
from support.simulators import MORNING, running
from tickmux.broker.mstock import BROKER
from tickmux.broker.mstock.streaming.mstock_adapter import MStockAdapter
from tickmux.broker.mstock.streaming.mstock_mapping import MODES, MStockCodec
from tickmux.broker.mstock.streaming.token_trust import TokenTrust
from tickmux.codec import Credentials, Event
from tickmux.instrument import Instrument
from tickmux.login import AnswerWanted, LoginFailed
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Security
from tickmux.simulator.mstock import (
    API_KEY,
    CLIENT_CODE,
    PASSWORD,
    SMS_CODE,
    TOTP_SECRET,
    MStockSimulator,
    encode_packet,
)
from tickmux.tick import Tick, tick_fields

SDK = "mStock-TradingApi-B==1.0.5"


@pytest.fixture(scope="module")
def market() -> Exchange:
    exchange = Exchange(seed=7, clock=lambda: MORNING)
    exchange.step(3000)
    return exchange


async def call(simulator: MStockSimulator, session: Credentials | None = None) -> tuple[WireClient, MStockCodec]:
    """One of our connections, logged in; its codec has nothing subscribed."""
    session = session or simulator.credentials
    adapter = BROKER.adapter(simulator.urls)
    async with httpx.AsyncClient(trust_env=False) as http:
        endpoint = await adapter.endpoint("main", session, http)
    client = await WireClient.connect(endpoint.url)
    codec = MStockCodec(TokenTrust(lambda: 0.0), MStockAdapter().clock)
    client.send(*map(str, codec.open_frames(session)))
    return client, codec


def instruments(simulator: MStockSimulator) -> dict[tuple[str, str], Instrument]:
    reader = BROKER.instruments()
    rows = [row for name, data in simulator.instrument_dump() for row in reader.parse(data, name)]
    assert not reader.skipped
    return {(row.symbol, row.exchange): row for row in rows if row.exchange in BROKER.adapter.exchanges}


# -- bytes -----------------------------------------------------------------------------------------------


def security_of(expected: dict[str, Any], token: str) -> Security:
    exchange = expected["exchange"]
    number = int(token.removeprefix("9999") if exchange == "BSE_INDEX" else token)
    return vector_market.security_of(expected, number, date(2025, 8, 28) if exchange in ("NFO", "BFO") else None)


def vector_packets() -> list[Any]:
    document = vector_cases.load("mstock")
    tokens = {(row["symbol"], row["exchange"]): row["token"] for row in document["instruments"]}
    found = []
    for item in document["incoming"]:
        for frame, expected in zip(item["frames"], item["expect"], strict=False):
            packet = bytes.fromhex(frame["hex"])
            if len(packet) in (51, 123, 379) and expected["exchange"] != "CDS":
                token = tokens[expected["symbol"], expected["exchange"]]
                found.append(pytest.param(packet, expected, token, id=item["name"]))
    return found


UNDETERMINED = [(27, 35), (139, 147), (363, 379)]
"""Bytes whose values no tick tells: sequence, change of open interest, 52-week prices; and the flags of a book."""


@pytest.mark.parametrize(("packet", "expected", "token"), vector_packets())
def test_the_encoder_writes_the_bytes_of_the_shared_vectors(
    packet: bytes, expected: dict[str, Any], token: str
) -> None:
    made = encode_packet(security_of(expected, token), packet[0])
    assert len(made) == len(packet)
    blind = [*UNDETERMINED, *((at, at + 2) for at in range(147, 347, 20))]
    if expected["exchange"].endswith("_INDEX"):
        blind += [(347, 363)]
    seen = [place for place in range(len(packet)) if not any(start <= place < end for start, end in blind)]
    assert bytes(made[place] for place in seen) == bytes(packet[place] for place in seen)


@pytest.mark.parametrize("kind", MODES)
def test_our_codec_reads_every_instrument_as_the_market_has_it(market: Exchange, kind: str) -> None:
    simulator = MStockSimulator(market)
    codec = MStockCodec(TokenTrust(lambda: 0.0), MStockAdapter().clock)
    listed = instruments(simulator)
    codec.subscribe(list(listed.values()), kind)
    assert len(codec.routes) == len(listed) > 250
    for (symbol, exchange), instrument in listed.items():
        security = market.find(symbol, exchange)
        (tick,) = codec.decode(simulator.encode(security, str(MODES[kind]))).ticks
        assert tick.instrument == instrument
        everything = security.fields()
        names = {"ltp", "timestamp"}
        if kind != "ltp":
            names |= {"open", "high", "low", "close"}
            if not security.is_index:
                names |= {
                    "volume",
                    "last_trade_quantity",
                    "avg_trade_price",
                    "total_buy_quantity",
                    "total_sell_quantity",
                }
        if kind == "snap_quote" and not security.is_index:
            names |= {"ltt", "upper_circuit", "lower_circuit", "depth"} | (
                {"oi"} if security.is_derivative else set()
            )
        wanted = {name: everything[name] for name in names} | {
            name: everything[name] // 1000 * 1000
            for name in ("ltt", "timestamp")
            if name in names  # type: ignore[operator]
        }
        found = tick_fields(tick)
        assert found.keys() == wanted.keys()
        assert all(vector_cases.same_value(found[name], value) for name, value in wanted.items())


# -- conversation ----------------------------------------------------------------------------------------


def test_nothing_comes_before_login_and_every_change_after_it(market: Exchange) -> None:
    async def scenario() -> None:
        async with running(MStockSimulator(market)) as simulator:
            client, codec = await call(simulator)
            assert codec.decode(await client.receive()).event is Event.ACK
            sbin = instruments(simulator)["SBIN", "NSE"]
            client.send(*map(str, codec.subscribe([sbin], "snap_quote")))
            (first,) = codec.decode(await client.receive()).ticks
            assert first.ltp == market.find("SBIN", "NSE").ltp / PRICE_UNIT
            market.step(2000)
            (last,) = codec.decode((await client.flush())[-1]).ticks
            assert (last.ltp, last.volume) == (
                market.find("SBIN", "NSE").ltp / PRICE_UNIT,
                market.find("SBIN", "NSE").volume,
            )
            client.send(*map(str, codec.unsubscribe([sbin], "snap_quote")))
            await client.flush()
            market.step(2000)
            assert await client.flush() == []

            adapter = BROKER.adapter(simulator.urls)
            async with httpx.AsyncClient(trust_env=False) as http:
                url = (await adapter.endpoint("main", simulator.credentials, http)).url
            silent = await WireClient.connect(url)
            silent.send(*map(str, codec.subscribe([sbin], "ltp")))
            assert await silent.flush() == []

    asyncio.run(scenario())


def test_a_wrong_token_is_complained_about_and_hung_up_on(market: Exchange) -> None:
    async def scenario() -> None:
        async with running(MStockSimulator(market)) as simulator:
            client, codec = await call(simulator, Credentials({"api_key": API_KEY, "access_token": "old"}))
            decoded = codec.decode(await client.receive())
            assert (decoded.event, decoded.restart) == (Event.ERROR, True)
            assert await client.ended() == 1008

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "wrong",
    [
        "hello",
        b"\xff\xfe",
        '{"action":1}',
        '{"action":2,"params":{"mode":1,"tokenList":[]}}',
        '{"action":1,"params":{"mode":4,"tokenList":[]}}',
        '{"action":1,"params":{"mode":1,"tokenList":[{"exchangeType":1,"tokens":[3045]}]}}',
        '{"action":' + "[" * 5000,
    ],
)
def test_a_request_that_is_none_gets_an_error_and_costs_nothing(market: Exchange, wrong: str | bytes) -> None:
    async def scenario() -> None:
        async with running(MStockSimulator(market)) as simulator:
            client, codec = await call(simulator)
            await client.receive()
            client.send(wrong)
            decoded = codec.decode(await client.receive())
            assert (decoded.event, decoded.restart) == (Event.ERROR, False)
            client.send(*map(str, codec.subscribe([instruments(simulator)["SBIN", "NSE"]], "ltp")))
            assert codec.decode(await client.receive()).ticks

    asyncio.run(scenario())


def test_a_login_over_http_opens_feed_and_list_and_wrong_values_do_not(market: Exchange) -> None:
    values = {"api_key": API_KEY, "client_code": CLIENT_CODE, "password": PASSWORD, "totp_secret": TOTP_SECRET}

    async def scenario() -> None:
        async with running(MStockSimulator(market)) as simulator, httpx.AsyncClient(trust_env=False) as http:
            login = BROKER.login(simulator.urls)
            old = simulator.credentials
            session = await login.exchange(values, {}, "", http, datetime.now(UTC))
            assert session.values == simulator.credentials.values != old.values
            client, codec = await call(simulator, session)
            assert codec.decode(await client.receive()).event is Event.ACK

            reader = BROKER.instruments(simulator.urls)
            files = [
                (one.filename, (await http.get(one.url, headers=dict(one.headers))).content)
                for one in reader.downloads(session)
            ]
            assert files == simulator.instrument_dump()
            refused = reader.downloads(old)[1]
            assert (await http.get(refused.url, headers=dict(refused.headers))).status_code == 401

            for wrong in ({"password": "x"}, {"client_code": "X1"}, {"api_key": "other"}, {"totp": a_wrong_code()}):
                with pytest.raises(LoginFailed):
                    await login.exchange(values | wrong, {}, "", http, datetime.now(UTC))

    asyncio.run(scenario())


def test_a_login_without_a_totp_goes_on_with_the_code_of_an_sms(market: Exchange) -> None:
    values = {"api_key": API_KEY, "client_code": CLIENT_CODE, "password": PASSWORD}

    async def scenario() -> None:
        async with running(MStockSimulator(market)) as simulator, httpx.AsyncClient(trust_env=False) as http:
            login = BROKER.login(simulator.urls)

            async def log_in(code: str) -> Credentials:
                with pytest.raises(AnswerWanted) as wanted:
                    await login.exchange(values, {}, "", http, datetime.now(UTC))
                answered = {**values, **wanted.value.kept, wanted.value.field.name: code}
                return await login.exchange(answered, {}, "", http, datetime.now(UTC))

            with pytest.raises(LoginFailed, match="did not accept the code by SMS"):
                await log_in("000000")
            assert (await log_in(SMS_CODE)).values == simulator.credentials.values

    asyncio.run(scenario())


def a_wrong_code() -> str:
    """Six digits that are no code of the present minutes."""
    moment = datetime.now(UTC).timestamp()
    codes = {pyotp.TOTP(TOTP_SECRET).at(moment + 30 * step) for step in range(-4, 5)}
    return next(code for code in (f"{number:06d}" for number in range(20)) if code not in codes)


# -- the official SDK ------------------------------------------------------------------------------------

CHOSEN = (("SBIN", "NSE"), ("RELIANCE", "BSE"), ("Nifty 50", "NSE_INDEX"), ("SENSEX", "BSE_INDEX"), ("NIFTY", "NFO"), ("SENSEX", "BFO"))  # fmt: skip # noqa: E501
SDK_NAMES = {1: "nsecm", 2: "nsefo", 3: "bsecm", 4: "bsefo"}
END = bytes((1, 1)) + b"0".ljust(25, b"\0") + bytes(24)


def in_the_sdks_words(tick: Tick, mode: int) -> dict[str, Any]:
    """Our tick as the SDK would show it, with 0 where we say nothing."""

    def wall(moment: int | None) -> str:
        shown = (moment or 315_532_800_000 - 19_800_000) / 1000 + 19_800
        return datetime.fromtimestamp(shown, UTC).strftime("%Y-%m-%dT%I:%M:%S%p")

    def book(side: str) -> list[tuple[Any, ...]]:
        return [(one.price, one.quantity, one.orders) for one in (getattr(tick.depth, side) if tick.depth else [])]

    found: dict[str, Any] = {
        "subscription_mode": mode,
        "instrument_token": tick.instrument.token,
        "ex_timestamp": wall(tick.timestamp),
        "ltp": tick.ltp or 0,
    }
    if mode > 1:
        found |= {
            "last_traded_qty": tick.last_trade_quantity or 0,
            "avg_traded_price": tick.avg_trade_price or 0,
            "vol_traded_today": tick.volume or 0,
            "tot_buy_qty": tick.total_buy_quantity or 0,
            "tot_sell_qty": tick.total_sell_quantity or 0,
            "ohlc": {name: getattr(tick, name) or 0 for name in ("open", "high", "low", "close")},
        }
    if mode == 3:
        found |= {
            "last_traded_timestamp": wall(tick.ltt),
            "upper_circuit_lmt": tick.upper_circuit or 0,
            "lower_circuit_lmt": tick.lower_circuit or 0,
            "bid": book("buy"),
            "ask": book("sell"),
        }
        if tick.oi is not None:
            found["open_interest"] = tick.oi
    return found


def as_told(packet: dict[str, Any]) -> dict[str, Any]:
    for side in ("bid", "ask"):
        if side in packet:
            packet[side] = [(one["price"], one["quantity"], one["orders"]) for one in packet[side]]
    return packet


def test_the_official_sdk_reads_the_same_as_we_do(tmp_path: Path) -> None:
    moment = [MORNING]
    exchange = Exchange(seed=3, clock=lambda: moment[0])
    folder = official_sdk(SDK)

    async def scenario() -> None:
        async with running(MStockSimulator(exchange)) as simulator:
            listed = list(instruments(simulator).values())
            chosen = [next(one for one in listed if (one.name, one.exchange) == name) for name in CHOSEN]
            client, codec = await call(simulator)
            await client.receive()
            wanted = []
            for mode, kind in enumerate(MODES, 1):
                (request,) = codec.subscribe(chosen, kind)
                client.send(str(request))
                for group in json.loads(str(request))["params"]["tokenList"]:
                    wanted.append((SDK_NAMES[group["exchangeType"]], group["tokens"], mode))
            assert len(await client.flush()) == 3 * len(chosen)
            keys = simulator.credentials
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("mstock_sdk_client.py")),
                str(folder), simulator.urls["feed"], keys["api_key"], keys["access_token"],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=tmp_path,  # it writes its logs where it is started
            )  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps(wanted).encode() + b"\n")
                theirs: list[dict[str, Any]] = []

                async def hear() -> bool:
                    line = await asyncio.wait_for(process.stdout.readline(), 20)  # type: ignore[union-attr]
                    if line and (told := json.loads(line))[0] == "tick":
                        theirs.append(as_told(told[1]))
                    return bool(line)

                while len(theirs) < 3 * len(chosen):
                    assert await hear(), "the SDK has ended"
                for _ in range(20):
                    moment[0] += 1
                    exchange.step(100)
                simulator.send_garbage(END)
                while await hear():
                    pass
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()
            frames = [frame for frame in await client.flush() if frame != END]
            ours = [
                in_the_sdks_words(codec.decode(frame).ticks[0], frame[0])
                for frame in frames
                if isinstance(frame, bytes)
            ]
            assert {mine["subscription_mode"] for mine in ours} == {1, 2, 3}
            theirs = theirs[3 * len(chosen) :]
            assert len(theirs) == len(ours) > 100
            for told, mine in zip(theirs, ours, strict=True):
                assert {name: told[name] for name in mine} == mine

    asyncio.run(scenario())
