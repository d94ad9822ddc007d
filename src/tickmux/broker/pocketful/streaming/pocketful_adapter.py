"""Pocketful's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

import time
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

import httpx

from tickmux.broker.pocketful.streaming.early_closes import EarlyCloses
from tickmux.broker.pocketful.streaming.pocketful_mapping import EXCHANGE_CODES, PocketfulCodec
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import (
    AuthRejected,
    BaseBrokerWebSocketAdapter,
    Channel,
    Endpoint,
    Stream,
    refused,
)

DIRECT = "direct"
"""What a session's `flow` is when it comes of the login by password, which has hosts of its own (section 2)."""

_KINDS = {Mode.LTP: "compact", Mode.QUOTE: "quote", Mode.DEPTH: "depth"}


class PocketfulAdapter(BaseBrokerWebSocketAdapter):
    """The feed of the trading API: one connection, 1000 instruments, 5 levels of depth.

    The host of the feed is that of the login which issued the token. `clock` is monotonic, in seconds.
    """

    name = "pocketful"
    display_name = "Pocketful"
    transport = "WebSocket, JSON out, binary in"
    exchanges = tuple(EXCHANGE_CODES)
    token_life = "until about 03:00 IST"  # noqa: S105
    default_urls = {
        "feed": "wss://trade.pocketful.in/ws/v1/feeds",
        "api": "https://trade.pocketful.in",
        "direct_feed": "wss://algo.pocketful.in/ws/v1/feeds",
        "direct_api": "https://algo.pocketful.in",
    }
    refuses_by_closing = True
    channels = {
        "main": Channel(
            symbols=1000,
            connections=1,
            batch=100,
            frame_gap=0.1,
            heartbeat_interval=8.0,
            ping_interval=30.0,
            stall_after=75.0,  # nothing but pongs need come from a quiet market
            quiet_after=60.0,
            backoff=(5.0, 60.0),
        )
    }

    def __init__(self, urls: Mapping[str, str] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(urls)
        self._closes = EarlyCloses(clock)

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        # Also for an index, whose book the codec leaves out: one kind for all makes one request of a wish, not two.
        return (Stream("main", _KINDS[mode]),)

    def codec(self, channel: str) -> FeedCodec:
        return PocketfulCodec(self._closes)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        query = {"login_id": credentials["client_id"], "access_token": credentials["access_token"]}
        feed = self.urls["direct_feed" if credentials.get("flow") == DIRECT else "feed"]
        return Endpoint(f"{feed}?{urlencode(query, quote_via=quote, safe='')}")

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        if 400 <= status < 500 and status != 429:
            return refused("Pocketful refused the connection", status, body, certain=b"TokenException" in body[:4096])
        return super().handshake_failure(status, reason, headers, body)

    def close_failure(self, code: int, reason: str) -> Exception | None:
        if self._closes.are_too_many():
            return AuthRejected(
                "Pocketful closes every new connection at once, which is how it refuses a token: log in again"
            )
        return None
