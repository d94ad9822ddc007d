"""Endpoints, limits and streams of the family's members, and what refused handshakes mean."""

from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from broker._xts.xts_wire import MEMBERS, SESSION, run
from tickmux.broker._xts.adapter import XtsAdapter
from tickmux.broker.ibulls.streaming.ibulls_adapter import IbullsAdapter
from tickmux.broker.rmoney.streaming.rmoney_adapter import RmoneyAdapter
from tickmux.broker.wisdom.streaming.wisdom_adapter import WisdomAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import AuthRejected, Endpoint, Unavailable
from tickmux.websocket_proxy.broker_factory import Broker


def endpoint(adapter: XtsAdapter, credentials: Credentials = SESSION) -> Endpoint:
    async def main() -> Endpoint:
        async with httpx.AsyncClient() as http:
            return await adapter.endpoint("main", credentials, http)

    found: Endpoint = run(main())
    return found


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_connect_asks_nobody_for_a_new_session(member: Broker) -> None:
    found = endpoint(member.adapter())  # type: ignore[arg-type]
    assert dict(parse_qsl(urlsplit(found.url).query)) == {
        "token": "TOKEN1", "userID": "USER1", "publishFormat": "JSON", "broadcastMode": "Full",
        "transport": "websocket", "EIO": "3",
    }  # fmt: skip
    assert "TOKEN1" not in repr(found)


def test_token_and_user_are_percent_encoded() -> None:
    odd = Credentials({"token": "a+b/c=&x", "user_id": "U 1"})
    assert "token=a%2Bb%2Fc%3D%26x&userID=U%201&" in endpoint(WisdomAdapter(), odd).url


def test_stream_and_rest_stay_under_the_sessions_prefix() -> None:
    found = endpoint(WisdomAdapter(), Credentials({**SESSION.values, "prefix": "/apibinarymarketdata"}))
    assert found.url.startswith("wss://trade.wisdomcapital.in/apibinarymarketdata/socket.io/?")
    assert found.rest_base == "https://trade.wisdomcapital.in/apibinarymarketdata"


@pytest.mark.parametrize("url", ["http://10.0.0.1:3000/apimarketdata", "http://10.0.0.1:3000/apimarketdata/"])
def test_one_address_moves_rest_and_stream(url: str) -> None:
    found = endpoint(IbullsAdapter({"api": url}))
    assert found.rest_base == "http://10.0.0.1:3000/apimarketdata"
    assert found.url.startswith("ws://10.0.0.1:3000/apimarketdata/socket.io/?")
    codec = IbullsAdapter({"api": url}).codec("main")
    assert codec.code_of("ltp") == 1512  # type: ignore[attr-defined]


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_exchanges_that_a_member_does_not_offer_have_no_stream(member: Broker) -> None:
    adapter = member.adapter()
    for exchange in ("NSE", "NFO", "BFO", "CDS", "MCX", "NSE_INDEX", "BCD", "CRYPTO"):
        streams = adapter.streams(Instrument("X", exchange, "1"), Mode.LTP, 5)
        assert bool(streams) == adapter.serves(exchange)
    assert not adapter.serves("BCD")


def test_what_ltp_subscribes_depends_on_the_member() -> None:
    codes = {m.name: m.adapter().codec("main").code_of("ltp") for m in MEMBERS}  # type: ignore[attr-defined]
    assert {name for name, code in codes.items() if code == 1501} == {"ibulls", "jainamxts", "rmoney"}
    assert RmoneyAdapter().depth_levels("NSE") == (5,)


@pytest.mark.parametrize("body", [b'{"code":5,"message":"Unsupported protocol version"}'])
def test_a_server_of_the_other_generation_is_met_in_it(body: bytes) -> None:
    adapter = WisdomAdapter()
    assert isinstance(adapter.handshake_failure(400, "Bad Request", {}, body), Unavailable)
    assert "EIO=4" in endpoint(adapter).url
    assert adapter.codec("main").heartbeat_frames() == []
    adapter.handshake_failure(400, "Bad Request", {}, body)
    assert "EIO=3" in endpoint(adapter).url
    assert adapter.codec("main").heartbeat_frames() == ["2"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"type":"error","code":"e-session-0007","description":"Invalid Token"}', AuthRejected),
        (400, b"Invalid Token", AuthRejected),
        (401, b"", AuthRejected),
        (403, b"<html>", AuthRejected),
        (400, b'{"code":3,"message":"Bad request"}', Unavailable),
        (400, b"[5]", Unavailable),
        (400, b"\xff", Unavailable),
        (502, b"<html>", Unavailable),
        (429, b"", Unavailable),
    ],
)
def test_what_a_refused_handshake_means(status: int, body: bytes, kind: type[Exception]) -> None:
    adapter = WisdomAdapter()
    failure = adapter.handshake_failure(status, "", {}, body)
    assert type(failure) is kind
    assert "e-session" not in str(failure)  # the broker's words may repeat the token
    assert "EIO=3" in endpoint(adapter).url
