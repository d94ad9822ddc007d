"""Zerodha's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

from urllib.parse import quote, urlencode

import httpx

from tickmux.broker.zerodha.streaming.zerodha_mapping import ZerodhaCodec
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

_KINDS = {Mode.LTP: "ltp", Mode.QUOTE: "quote", Mode.DEPTH: "full"}
_DERIVATIVES = frozenset({"NFO", "BFO", "CDS", "BCD", "MCX", "NCO"})
_AUTH_WORDS = ("403", "unauthorized", "tokenexception")


def bare_token(stored: str) -> str:
    """The access token of a stored one, which may read `api_key:access_token` (section 2)."""
    head, colon, tail = stored.strip().partition(":")
    return tail.strip() if colon else head


class ZerodhaAdapter(BaseBrokerWebSocketAdapter):
    """Kite Connect's ticker: 3000 instruments a connection, 3 connections an API key, 5 levels of depth."""

    name = "zerodha"
    display_name = "Zerodha (Kite Connect)"
    transport = "WebSocket, binary"
    exchanges = (
        "NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO",
        "NSE_INDEX", "BSE_INDEX", "MCX_INDEX", "GLOBAL_INDEX",
    )  # fmt: skip
    token_life = "until 06:00 IST"  # noqa: S105
    default_urls = {
        "feed": "wss://ws.kite.trade",
        "api": "https://api.kite.trade",
        "login": "https://kite.zerodha.com/connect/login",
    }
    channels = {
        "main": Channel(
            symbols=3000,
            connections=1,
            max_connections=3,
            batch=500,
            frame_gap=0.2,  # a subscription is two frames, and ten a second are the most (section 3)
            ping_interval=20.0,
            stall_after=15.0,  # heartbeats flow day and night (section 7)
            backoff=(2.0, 60.0),
        )
    }
    has_orders = False

    def asked_mode(self, instrument: Instrument, mode: Mode) -> Mode:
        # Open interest comes with full packets only, which count no more against any limit than others.
        return Mode.DEPTH if mode is Mode.QUOTE and instrument.exchange in _DERIVATIVES else mode

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        return (Stream("main", _KINDS[mode]),)

    def codec(self, channel: str) -> FeedCodec:
        return ZerodhaCodec()

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        keys = {"api_key": credentials["api_key"], "access_token": bare_token(credentials["access_token"])}
        query = urlencode(keys, quote_via=quote, safe="")
        return Endpoint(f"{self.urls['feed']}?{query}", {"X-Kite-Version": "3", "User-Agent": "tickmux"})

    def close_failure(self, code: int, reason: str) -> Exception | None:
        if any(word in reason.lower() for word in _AUTH_WORDS):
            return AuthRejected(f"the broker ended the session: {reason[:100]}", certain=True)
        return None
