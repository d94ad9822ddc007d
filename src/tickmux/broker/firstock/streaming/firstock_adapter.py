"""Firstock's endpoints, limits and handshake (specification sections 1 to 3 and 7)."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import httpx

from tickmux.broker.firstock.streaming.firstock_mapping import EXCHANGES, KIND, FirstockCodec
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import (
    BaseBrokerWebSocketAdapter,
    Channel,
    Endpoint,
    Stream,
    Unavailable,
)


class FirstockAdapter(BaseBrokerWebSocketAdapter):
    """At most three sessions at a time, other programs' included; limits of instruments are not published."""

    name = "firstock"
    display_name = "Firstock"
    transport = "WebSocket, JSON with deltas"
    exchanges = EXCHANGES
    token_life = "one day"  # noqa: S105
    default_urls = {
        "feed": "wss://socket.firstock.in/V2/ws",
        "api": "https://api.firstock.in/V1",
    }
    channels = {
        "main": Channel(
            symbols=1000,
            connections=3,
            batch=100,
            frame_gap=0.1,
            heartbeat_interval=10.0,  # nothing is sent but what has not been answered
            ping_interval=30.0,
            stall_after=45.0,  # a ping and 10 s for its pong
            quiet_after=120.0,
            backoff=(5.0, 60.0),
        )
    }

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        return (Stream("main", KIND),)

    def codec(self, channel: str) -> FeedCodec:
        return FirstockCodec()

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        session = {"userId": credentials["user_id"], "jKey": credentials["token"], "source": "developer-api"}
        query = urlencode(session, quote_via=quote, safe="")
        return Endpoint(f"{self.urls['feed']}?{query}", {"Origin": "https://firstock.in"})

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        failure = super().handshake_failure(status, reason, headers, body)
        if isinstance(failure, Unavailable):
            return failure
        # A dead session is told in the first frame; whoever refuses the handshake does not mean it (section 3).
        return Unavailable(f"HTTP {status} {reason}".rstrip())
