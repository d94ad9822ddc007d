"""Pocketful's endpoints, limits and hand-shake (specification sections 1 to 4, 7 and 10)."""

import time
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

import httpx

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
)

_KINDS = {Mode.LTP: "compact", Mode.QUOTE: "quote", Mode.DEPTH: "depth"}
_EARLY = 5.0
_EARLY_CLOSES = 2
"""So many closes in a row, each within `_EARLY` seconds and without a frame, are a refused token (section 3)."""


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
    }
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
        self._clock = clock
        self._opened_at = 0.0
        self._codec: PocketfulCodec | None = None
        self._early_closes = 0

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        kind = _KINDS[mode]
        return (Stream("main", "quote" if kind == "depth" and instrument.is_index else kind),)

    def codec(self, channel: str) -> FeedCodec:
        self._codec = PocketfulCodec()
        return self._codec

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        query = {"login_id": credentials["client_id"], "access_token": credentials["access_token"]}
        self._opened_at = self._clock()
        return Endpoint(f"{self.urls['feed']}?{urlencode(query, quote_via=quote, safe='')}")

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        if 400 <= status < 500 and status != 429:
            return AuthRejected(f"Pocketful refused the connection (HTTP {status}): log in again")
        return super().handshake_failure(status, reason, headers, body)

    def close_failure(self, code: int, reason: str) -> Exception | None:
        heard = self._codec is not None and self._codec.heard
        if heard or self._clock() - self._opened_at >= _EARLY:
            self._early_closes = 0
            return None
        self._early_closes += 1
        if self._early_closes < _EARLY_CLOSES:
            return None
        self._early_closes = 0
        return AuthRejected(
            "Pocketful closes every new connection at once, which is how it refuses a token: log in again"
        )
