"""What a broker's refusal says: it named the token, it merely shut the door, or it meant a limit. Every broker."""

import asyncio

import httpx
import pytest

from support.feeds import rig
from tickmux.simulator import load_simulator, simulator_names
from tickmux.simulator.market.exchange import Exchange
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable, refused
from tickmux.websocket_proxy.broker_factory import load_broker

BROKERS = [name for name in simulator_names() if name != "dhan_sandbox"]  # its feed is made up here: no handshake


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_shut_door_names_no_token(broker, status):
    failure = load_broker(broker).adapter({}).handshake_failure(status, "Forbidden", {}, b"<html>Forbidden</html>")
    assert isinstance(failure, Unavailable) or not failure.certain


@pytest.mark.parametrize("broker", BROKERS)
def test_a_limit_in_the_disguise_of_403_is_a_limit(broker):
    body = b"Access denied because of exceeding access rate"
    failure = load_broker(broker).adapter({}).handshake_failure(403, "Forbidden", {}, body)
    assert isinstance(failure, Unavailable)


@pytest.mark.parametrize(
    "broker, status, headers, body",
    [
        ("angel", 401, {"x-error-message": "Invalid Header - Invalid Auth token"}, b""),
        ("nubra", 440, {}, b""),
        ("indmoney", 513, {}, b"Cannot authenticate"),
        ("indmoney", 403, {}, b'{"status":"error","error_type":"TokenException"}'),
        ("pocketful", 403, {}, b'{"status":"error","error_type":"TokenException"}'),
        ("iifl", 400, {}, b'{"type":"error","code":"e-session-0007","description":"Invalid Token"}'),
    ],
)
def test_a_token_that_is_named_is_refused_for_certain(broker, status, headers, body):
    failure = load_broker(broker).adapter({}).handshake_failure(status, "Refused", headers, body)
    assert isinstance(failure, AuthRejected)
    assert failure.certain


def test_a_refusal_over_rest_that_speaks_of_a_limit_is_one():
    assert isinstance(refused("Broker refused", 403, b"Too Many requests"), Unavailable)
    assert isinstance(refused("Broker refused", 403, b""), AuthRejected)
    assert refused("Broker refused", 403, b"too many sessions", certain=True).certain


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize(
    "broker, status",
    [
        *[(name, status) for name in ("aliceblue", "groww", "indmoney") for status in (401, 403)],
        ("nubra", 401),
        ("fyers", 401),
    ],
)
def test_rest_calls_before_a_connect_tell_them_apart_too(broker, status, limited):
    body = b"exceeding access rate" if limited else b""

    async def main():
        transport = httpx.MockTransport(lambda request: httpx.Response(status, content=body))
        adapter = load_broker(broker).adapter({})
        channel = "tbt" if broker == "fyers" else next(iter(adapter.channels))
        adapter.codec(channel)
        async with httpx.AsyncClient(transport=transport) as http:
            with pytest.raises((AuthRejected, Unavailable)) as caught:
                await adapter.endpoint(channel, credentials_of(broker), http)
        assert isinstance(caught.value, Unavailable) if limited else not caught.value.certain

    asyncio.run(main())


def credentials_of(broker):
    return load_simulator(broker)(Exchange(seed=1)).credentials


@pytest.mark.parametrize("broker", [name for name in BROKERS if load_broker(name).adapter({}).refuses_by_closing])
def test_a_token_that_was_never_good_for_more_than_an_open_door_is_dead_after_one_verdict(broker):
    async def main():
        async with rig(broker) as feed:
            feed.simulator.subscribe = lambda client, *_: client.close(1000)  # it accepts, then hangs up
            await feed.subscribe(feed.listed(1), Mode.LTP)
            await feed.state("auth_expired")
            assert feed.feed.counters.auth_failures == 1

    asyncio.run(main())
