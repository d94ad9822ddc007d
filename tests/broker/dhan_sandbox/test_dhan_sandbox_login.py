"""The sandbox's login: the simulator needs nothing, the live profile what Dhan needs."""

import asyncio
from datetime import datetime, timedelta

import httpx
import pytest

from tickmux.broker.dhan_sandbox.login import DhanSandboxLogin
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed
from tickmux.simulator.dhan import API_KEY, API_SECRET, CLIENT_ID
from tickmux.simulator.dhan_sandbox import DhanSandboxSimulator
from tickmux.simulator.market.exchange import Exchange

NOW = datetime(2025, 8, 18, 14, 30, tzinfo=IST)
TOKEN = "t" * 50


def log_in(values: dict[str, str]) -> tuple[str | None, Credentials]:
    """Without any server: what is asked of one would fail."""

    async def run() -> tuple[str | None, Credentials]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(500))) as http:
            login = DhanSandboxLogin()
            page = await login.begin(values, "", http)
            return page, await login.exchange(values, {}, "", http, NOW)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({}, {}),
        ({"profile": "", "client_id": "", "access_token": ""}, {}),
        ({"profile": " Simulator "}, {}),
        ({"market_hours": "Yes"}, {"market_hours": "yes"}),
        ({"market_hours": "no"}, {}),
        ({"access_token": TOKEN, "client_id": "11:::key"}, {"access_token": TOKEN, "client_id": "11"}),
    ],
)
def test_the_simulator_needs_nothing_and_never_expires(values: dict[str, str], found: dict[str, str]) -> None:
    page, session = log_in(values)
    assert page is None
    for each in (session, DhanSandboxLogin().from_token(values, NOW)):
        assert dict(each.values) == {"profile": "simulator", **found}
        assert each.expires_at is None


@pytest.mark.parametrize(
    ("values", "words"),
    [({"profile": "real"}, "simulator or live"), ({"access_token": "t" * 49}, "at least 50 characters")],
)
def test_what_cannot_be_a_session_is_refused(values: dict[str, str], words: str) -> None:
    with pytest.raises(LoginFailed, match=words):
        log_in(values)
    with pytest.raises(LoginFailed, match=words):
        DhanSandboxLogin().from_token(values, NOW)


def test_every_field_may_be_left_empty() -> None:
    assert all(field.optional for field in DhanSandboxLogin.fields + DhanSandboxLogin.token_fields)


def test_a_live_token_lives_as_long_as_dhans() -> None:
    values = {"profile": "live", "access_token": "opaque", "client_id": "1100000001"}
    session = DhanSandboxLogin().from_token(values, NOW)
    assert dict(session.values) == {"profile": "live", "access_token": "opaque", "client_id": "1100000001"}
    assert session.expires_at == (NOW + timedelta(hours=24)).timestamp()
    with pytest.raises(LoginFailed, match="client id"):
        DhanSandboxLogin().from_token({"profile": "live", "access_token": "opaque"}, NOW)


def test_the_live_profile_logs_in_with_dhan() -> None:
    async def run() -> None:
        simulator = DhanSandboxSimulator(Exchange())
        await simulator.start()
        values = {"profile": "live", "client_id": CLIENT_ID, "api_key": API_KEY, "api_secret": API_SECRET}
        try:
            login = DhanSandboxLogin(simulator.urls)
            async with httpx.AsyncClient(trust_env=False) as http:
                page = await login.begin(values, "", http)
                assert page
                assert page.startswith(f"{simulator.urls['auth']}/login/")
                callback = {"tokenId": simulator.new_token_id()}
                session = await login.exchange(values, callback, "", http, datetime.now(IST))
            assert session.values == simulator.credentials.values
        finally:
            await simulator.stop()

    asyncio.run(run())
