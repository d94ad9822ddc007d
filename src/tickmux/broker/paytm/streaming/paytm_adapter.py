"""Paytm Money's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

import time
from collections.abc import Mapping
from urllib.parse import quote

import httpx

from tickmux.broker._clock_offset import ClockOffset
from tickmux.broker.paytm.streaming.farewells import Farewells
from tickmux.broker.paytm.streaming.paytm_mapping import EPOCH, FRAME_PREFERENCES, WIRE_EXCHANGES, PaytmCodec
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import (
    BaseBrokerWebSocketAdapter,
    Channel,
    Endpoint,
    Stream,
    refused,
)

_KINDS = {Mode.LTP: "LTP", Mode.QUOTE: "QUOTE", Mode.DEPTH: "FULL"}
_DERIVATIVES = frozenset({"NFO", "BFO"})
_BUSY = frozenset({408, 425, 429})
"""Refusals of this moment, not of this token."""


class PaytmAdapter(BaseBrokerWebSocketAdapter):
    """Paytm Money's broadcast feed. Its limits are not published: one connection of 1000 instruments is safe.

    There is no welcome: a handshake that is accepted is a session.
    """

    name = "paytm"
    display_name = "Paytm Money"
    transport = "WebSocket, JSON out, binary in"
    exchanges = tuple(WIRE_EXCHANGES)
    token_life = "one trading day"  # noqa: S105
    default_urls = {
        "feed": "wss://developer-ws.paytmmoney.com/broadcast/user/v1/data",
        "api": "https://developer.paytmmoney.com",
        "login": "https://login.paytmmoney.com/merchant-login",
        "instruments": "https://developer.paytmmoney.com/data/v1/scrips/security_master.csv",
    }
    refuses_by_closing = True
    channels = {
        "main": Channel(
            symbols=1000,
            connections=1,
            batch=FRAME_PREFERENCES,
            frame_gap=0.1,
            settle=0.5,  # the rate that the server bears is not known, so wishes are gathered
            ping_interval=30.0,
            stall_after=40.0,  # a ping every 30 s, and 10 s to answer it
            quiet_after=60.0,
            backoff=(2.0, 60.0),
        )
    }

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self.farewells = Farewells(time.monotonic)
        self.clock = ClockOffset(self.name, time.time, epoch=EPOCH)

    @property
    def notes(self) -> tuple[str, ...]:
        return (self.clock.words,)

    def asked_mode(self, instrument: Instrument, mode: Mode) -> Mode:
        # Open interest comes with full packets only, which count no more than others.
        return Mode.DEPTH if mode is Mode.QUOTE and instrument.exchange in _DERIVATIVES else mode

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        return (Stream("main", _KINDS[mode]),)

    def codec(self, channel: str) -> FeedCodec:
        return PaytmCodec(self.farewells, self.clock)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        token = credentials["public_access_token"]
        self.farewells.begin(token)
        return Endpoint(f"{self.urls['feed']}?x_jwt_token={quote(token, safe='')}")

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        if 400 <= status < 500 and status not in _BUSY:
            return refused("Paytm Money refused the connection", status, body)
        return super().handshake_failure(status, reason, headers, body)

    def close_failure(self, code: int, reason: str) -> Exception | None:
        return self.farewells.closed(code)
