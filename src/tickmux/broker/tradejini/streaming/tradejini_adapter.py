"""Tradejini's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

from urllib.parse import quote, urlencode

import httpx

from tickmux.broker.tradejini.streaming.tradejini_mapping import EXCHANGES, TradejiniCodec
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

_REFUSED = (4001, 401)
"""Close codes of a dead token; the documentation has one, its list of questions the other."""


class TradejiniAdapter(BaseBrokerWebSocketAdapter):
    """The Nxtrad stream: 3000 instruments a connection, 5 connections a user, 5 levels of depth."""

    name = "tradejini"
    display_name = "Tradejini (CubePlus)"
    transport = "WebSocket, JSON out, binary in"
    exchanges = EXCHANGES
    token_life = "24 hours"  # noqa: S105
    default_urls = {
        "feed": "wss://api.tradejini.com/v2.1/stream",
        "api": "https://api.tradejini.com/v2",
    }
    channels = {
        "main": Channel(
            symbols=1000,
            connections=3,
            max_symbols=3000,
            max_connections=5,
            batch=3000,  # whole lists are sent, so parts would only repeat each other
            frame_gap=0.25,
            settle=0.25,
            heartbeat_interval=30.0,
            ping_interval=None,
            stall_after=60.0,
            # Half as much would do where busy instruments are watched; a quiet option alone would reconnect for ever.
            quiet_after=120.0,
            backoff=(5.0, 60.0),
        )
    }

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        book = mode is Mode.DEPTH and not instrument.is_index
        return (Stream("main", "L5" if book else "L1"),)

    def codec(self, channel: str) -> FeedCodec:
        return TradejiniCodec()

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        keys = {"token": f"{credentials['api_key']}:{credentials['access_token']}", "version": "3.1"}
        return Endpoint(f"{self.urls['feed']}?{urlencode(keys, quote_via=quote, safe=':')}")

    def close_failure(self, code: int, reason: str) -> Exception | None:
        if code in _REFUSED or "unauthorized" in reason.lower():
            return AuthRejected(f"the broker ended the session ({code}): log in again", certain=True)
        return None
