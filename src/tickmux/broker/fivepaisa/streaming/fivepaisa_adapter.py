"""5paisa's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

import httpx

from tickmux.broker.fivepaisa.access_token import read_claims
from tickmux.broker.fivepaisa.streaming.fivepaisa_mapping import SEGMENTS, FivepaisaCodec
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import (
    AuthRejected,
    BaseBrokerWebSocketAdapter,
    Channel,
    Endpoint,
    Stream,
)

_SERVERS = {"A": "feed_a", "B": "feed_b", "C": "feed_c"}
"""What a token says of its socket's host -> the name of the URL."""


class FivepaisaAdapter(BaseBrokerWebSocketAdapter):
    """The Xstream feed: one connection, 3000 scrips, 5 levels of depth. `clock` gives epoch seconds."""

    name = "fivepaisa"
    display_name = "5paisa"
    transport = "WebSocket, JSON"
    exchanges = tuple(SEGMENTS)
    token_life = "until the token's own expiry, the same day or early the next"  # noqa: S105
    default_urls = {
        "feed": "wss://openfeed.5paisa.com/Feeds/api/chat",
        "feed_a": "wss://aopenfeed.5paisa.com/feeds/api/chat",
        "feed_b": "wss://bopenfeed.5paisa.com/feeds/api/chat",
        "feed_c": "wss://openfeed.5paisa.com/feeds/api/chat",
        "api": "https://Openapi.5paisa.com/VendorsAPI/Service1.svc",
    }
    channels = {
        "main": Channel(
            symbols=1000,
            connections=1,
            max_symbols=3000,
            batch=50,
            frame_gap=0.5,
            heartbeat_interval=30.0,
            ping_interval=10.0,
            stall_after=15.0,  # a pong is due 5 s after its ping
            quiet_after=60.0,
            backoff=(5.0, 60.0),
        )
    }

    def __init__(self, urls: Mapping[str, str] | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__(urls)
        self._clock = clock

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        if mode is Mode.LTP or instrument.is_index:
            return (Stream("main", "feed"),)
        kind = "depth" if mode is Mode.DEPTH else "feed"
        has_open_interest = SEGMENTS[instrument.exchange][1] == "D"
        return (Stream("main", f"{kind}+oi" if has_open_interest else kind),)

    def codec(self, channel: str) -> FeedCodec:
        return FivepaisaCodec()

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        # The session knows when its token ends, from the token's own word.
        if credentials.expires_at is not None and credentials.expires_at <= self._clock():
            raise AuthRejected("5paisa's access token has expired: log in again", certain=True)
        token = credentials["access_token"]
        value = quote(f"{token}|{credentials['client_code']}", safe="")
        return Endpoint(f"{self.urls[_SERVERS.get(read_claims(token).server, 'feed')]}?Value1={value}")
