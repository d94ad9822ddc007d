"""Angel One's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

from collections.abc import Mapping

import httpx

from tickmux.broker.angel.streaming.angel_mapping import EXCHANGE_TYPES, OI_EXCHANGES, TOKEN_LIMIT, AngelCodec
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import (
    AuthRejected,
    BaseBrokerWebSocketAdapter,
    Channel,
    Endpoint,
    Stream,
    Unavailable,
)

_KINDS = {Mode.LTP: "ltp", Mode.QUOTE: "quote", Mode.DEPTH: "snap_quote"}
_HEADER_FAULTS = ("auth token", "client code", "api key", "feed token")
_BUSY_WORDS = b"exceeding access rate"
_BUSY_SECONDS = 60.0


class AngelAdapter(BaseBrokerWebSocketAdapter):
    """SmartAPI WebSocket Streaming 2.0: 1000 tokens a connection, 3 connections a client code.

    Twenty levels (NSE shares) are a subscription of their own that carries nothing but the book, 50 tokens a
    connection. They have the channel `depth20`, next to the quotes of the same instrument on `main`.
    """

    name = "angel"
    display_name = "Angel One"
    transport = "WebSocket, binary"
    exchanges = tuple(EXCHANGE_TYPES)
    token_life = "until midnight IST"  # noqa: S105
    total_connections = 3  # of one client code (section 3)
    default_urls = {
        "feed": "wss://smartapisocket.angelone.in/smart-stream",
        "api": "https://apiconnect.angelone.in",
        "instruments": "https://margincalculator.angelbroking.com/OpenAPI_File/files/OpenAPIScripMaster.json",
    }
    channels = {
        "main": Channel(
            symbols=TOKEN_LIMIT,
            connections=3,
            batch=500,
            heartbeat_interval=10.0,
            ping_interval=None,  # the documented heartbeat is the text one
            stall_after=25.0,  # a pong is due every 10 s, day and night
            quiet_after=90.0,
            backoff=(2.0, 60.0),
        ),
        "depth20": Channel(
            symbols=50,
            connections=1,
            max_connections=3,
            batch=50,
            heartbeat_interval=10.0,
            ping_interval=None,
            stall_after=25.0,
            quiet_after=90.0,
            backoff=(2.0, 60.0),
        ),
    }

    def asked_mode(self, instrument: Instrument, mode: Mode) -> Mode:
        # Open interest comes with snap quotes only, which count no more against the limit than quotes.
        return Mode.DEPTH if mode is Mode.QUOTE and instrument.exchange in OI_EXCHANGES else mode

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        if mode is Mode.DEPTH and depth >= 20 and instrument.exchange == "NSE":
            # Not the snap quote: its five levels would take turns with the twenty.
            return (Stream("main", "quote"), Stream("depth20", "depth20"))
        return (Stream("main", _KINDS[mode]),)

    def depth_levels(self, exchange: str) -> tuple[int, ...]:
        return (5, 20) if exchange == "NSE" else super().depth_levels(exchange)

    def codec(self, channel: str) -> FeedCodec:
        return AngelCodec()

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        headers = {
            "Authorization": credentials["jwt"],
            "x-api-key": credentials["api_key"],
            "x-client-code": credentials["client_code"],
            "x-feed-token": credentials["feed_token"],
        }
        return Endpoint(self.urls["feed"], headers)

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        if status == 429:
            return Unavailable("too many connections of this client code (HTTP 429)", _BUSY_SECONDS)
        if status == 403 and _BUSY_WORDS in body.lower():
            return Unavailable("Angel One's access rate is exceeded (HTTP 403)", _BUSY_SECONDS)
        if status == 401:
            said = next((value for name, value in headers.items() if name.lower() == "x-error-message"), "").lower()
            fault = next((fault for fault in _HEADER_FAULTS if fault in said), "session")
            return AuthRejected(f"Angel One refused the {fault} (HTTP 401)", certain=bool(said))
        return super().handshake_failure(status, reason, headers, body)
