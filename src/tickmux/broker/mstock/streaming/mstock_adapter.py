"""m.Stock's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

import time
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import httpx

from tickmux.broker._clock_offset import ClockOffset
from tickmux.broker.mstock.streaming.mstock_mapping import EPOCH, EXCHANGE_TYPES, OI_EXCHANGES, MStockCodec
from tickmux.broker.mstock.streaming.token_trust import TokenTrust
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter, Channel, Endpoint, Stream

_KINDS = {Mode.LTP: "ltp", Mode.QUOTE: "quote", Mode.DEPTH: "snap_quote"}


class MStockAdapter(BaseBrokerWebSocketAdapter):
    """m.Stock's Type B feed. Its limits are not published: one connection of 1000 instruments is known to work.

    Nothing is waited for after LOGIN: the wording of its answer is undocumented, and none may come.
    """

    name = "mstock"
    display_name = "m.Stock by Mirae Asset"
    transport = "WebSocket, JSON out, binary in"
    exchanges = tuple(EXCHANGE_TYPES)
    token_life = "until about 03:00 IST"  # noqa: S105
    default_urls = {
        "feed": "wss://ws.mstock.trade",
        "api": "https://api.mstock.trade",
        "annexure": "https://tradingapi.mstock.com/docs/v1/Annexure/",
    }
    refuses_by_closing = True
    channels = {
        "main": Channel(
            symbols=1000,
            connections=1,
            batch=100,
            ping_interval=20.0,
            stall_after=30.0,  # a ping every 20 s, and 10 s to answer it
            quiet_after=90.0,
            backoff=(2.0, 60.0),
        )
    }

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self.trust = TokenTrust(time.monotonic)
        self.clock = ClockOffset(self.name, time.time, epoch=EPOCH)

    @property
    def notes(self) -> tuple[str, ...]:
        return (self.clock.words,)

    def asked_mode(self, instrument: Instrument, mode: Mode) -> Mode:
        # Open interest comes with snap quotes only, which count no more than quotes.
        return Mode.DEPTH if mode is Mode.QUOTE and instrument.exchange in OI_EXCHANGES else mode

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        return (Stream("main", _KINDS[mode]),)

    def codec(self, channel: str) -> FeedCodec:
        return MStockCodec(self.trust, self.clock)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        token = credentials["access_token"]
        self.trust.check(token)
        query = urlencode({"API_KEY": credentials["api_key"], "ACCESS_TOKEN": token}, quote_via=quote, safe="")
        return Endpoint(f"{self.urls['feed']}?{query}")

    def close_failure(self, code: int, reason: str) -> Exception | None:
        return self.trust.closed(code)
