"""FYERS' endpoints, limits and handshakes (specification sections 1 to 4, 7 and 10)."""

import time
from collections.abc import Mapping

import httpx
import msgspec

from tickmux.broker.fyers.access_token import read_claims, split_token
from tickmux.broker.fyers.streaming import tbt_codec
from tickmux.broker.fyers.streaming.hsm_codec import HsmCodec
from tickmux.broker.fyers.streaming.tbt_codec import LEVELS, TbtCodec
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
    refused,
)

TOKEN_TROUBLE = frozenset({-8, -15, -16, -17})
"""`code` of a REST answer that is about the token (section 2)."""


class _SocketData(msgspec.Struct):
    socket_url: str = ""


class _SocketAnswer(msgspec.Struct):
    s: str = ""
    code: int = 0
    data: _SocketData | None = None


_decode_answer = msgspec.json.Decoder(_SocketAnswer).decode


class FyersAdapter(BaseBrokerWebSocketAdapter):
    """Two sockets: `hsm` carries quotes and five levels, `tbt` fifty levels of NSE and NFO for a few instruments."""

    name = "fyers"
    display_name = "FYERS"
    transport = "WebSocket, binary deltas; 50 levels: WebSocket, protobuf"
    exchanges = ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "NSE_INDEX", "BSE_INDEX")
    token_life = "until about 03:00 to 06:00 IST"  # noqa: S105
    default_urls = {
        "hsm": "wss://socket.fyers.in/hsm/v1-5/prod",
        "tbt": "wss://rtsocket-api.fyers.in/versova",
        "api": "https://api-t1.fyers.in",
        "lists": "https://public.fyers.in/sym_details",
    }
    channels = {
        "hsm": Channel(
            symbols=2000,
            connections=2,
            max_symbols=5000,
            max_connections=3,
            batch=750,  # two topics each, 1500 a frame
            frame_gap=0.5,
            heartbeat_interval=10.0,
            ping_interval=30.0,  # the heartbeat has no answer, so protocol pings show that the line is alive
            stall_after=45.0,
            quiet_after=90.0,
            backoff=(5.0, 60.0),
        ),
        "tbt": Channel(
            symbols=5,
            connections=3,
            batch=5,
            heartbeat_interval=10.0,
            ping_interval=None,  # `ping` is answered by `pong`
            stall_after=30.0,
            backoff=(5.0, 60.0),
        ),
    }

    def depth_levels(self, exchange: str) -> tuple[int, ...]:
        return (5, LEVELS) if exchange in tbt_codec.EXCHANGES else super().depth_levels(exchange)

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        if mode < Mode.DEPTH:
            return (Stream("hsm", "quote"),)
        if depth == LEVELS and instrument.exchange in tbt_codec.EXCHANGES:
            return (Stream("hsm", "quote"), Stream("tbt", "depth50"))
        return (Stream("hsm", "depth"),)

    def codec(self, channel: str) -> FeedCodec:
        return TbtCodec() if channel == "tbt" else HsmCodec()

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        app_id, token = split_token(credentials.get("access_token"), credentials.get("app_id"))
        try:
            claims = read_claims(token)
        except ValueError as error:
            raise AuthRejected(f"{error}; log in again", certain=True) from None
        if claims.exp <= time.time():
            raise AuthRejected("the access token has expired: log in again", certain=True)
        if channel == "hsm":
            return Endpoint(self.urls["hsm"])
        if not app_id:
            raise AuthRejected("the stored session has no app id: log in again", certain=True)
        headers = {"authorization": f"{app_id}:{token}"}
        return Endpoint(await self._depth_url(headers, http), headers)

    async def _depth_url(self, headers: Mapping[str, str], http: httpx.AsyncClient) -> str:
        """Where the depth feed is today; its usual address when the broker does not say."""
        usual = self.urls["tbt"]
        try:
            response = await http.get(f"{self.urls['api']}/indus/home/tbtws", headers=headers)
        except httpx.HTTPError:
            return usual
        if response.status_code == 401:
            raise refused("Fyers refused the access token", response.status_code, response.content)
        if response.status_code == 429:
            raise Unavailable("the broker's request limit is reached (HTTP 429)", retry_after=60.0)
        try:
            answer = _decode_answer(response.content)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return usual
        if answer.s == "error" and answer.code in TOKEN_TROUBLE:
            raise AuthRejected(
                f"the broker refused the access token (code {answer.code}): log in again", certain=True
            )
        url = answer.data.socket_url if answer.data else ""
        # The token travels in the request's headers: never to a line that is less safe than the usual one.
        secure = url.startswith("wss://") or (url.startswith("ws://") and usual.startswith("ws://"))
        return url if response.status_code == 200 and secure else usual
