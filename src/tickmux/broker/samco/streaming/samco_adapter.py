"""Samco's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

from collections.abc import Mapping

import httpx

from tickmux.broker.samco.streaming.listing_ids import ListingIds, session_headers
from tickmux.broker.samco.streaming.samco_mapping import SamcoCodec
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


class SamcoAdapter(BaseBrokerWebSocketAdapter):
    """Samco's two streams on one connection. Its limits are not published, so one connection of 1000 it is."""

    name = "samco"
    display_name = "Samco (Stocknote)"
    transport = "WebSocket, JSON"
    exchanges = ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "NSE_INDEX", "BSE_INDEX")
    token_life = "until 08:00 IST"  # noqa: S105
    default_urls = {
        "feed": "wss://stream.samco.in",
        "api": "https://tradeapi.samco.in",
        "login": "https://tradeapi.samco.in/oauth/authorize",
        "master": "https://developers.stocknote.com/doc/ScripMaster.csv",
    }
    channels = {
        "main": Channel(
            symbols=1000,
            connections=1,
            max_symbols=3000,
            batch=3000,  # whole lists are sent, so parts would only repeat each other
            frame_gap=0.25,
            settle=0.25,
            ping_interval=30.0,
            stall_after=40.0,  # 10 s for the pong
            quiet_after=120.0,
            backoff=(2.0, 60.0),
        )
    }

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self._listing_ids = ListingIds()

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        # Also for an index, whose book the codec leaves out: one kind for all makes one list of a wish, not two.
        return (Stream("main", "depth" if mode is Mode.DEPTH else "quote"),)

    def codec(self, channel: str) -> FeedCodec:
        return SamcoCodec(self._listing_ids)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        headers = session_headers(credentials)
        if not all(value.isascii() and value.isprintable() and value for value in headers.values()):
            raise AuthRejected("what is stored is no session token of Samco: log in again", certain=True)
        return Endpoint(self.urls["feed"], headers, rest_base=self.urls["api"])

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        if status in (401, 403):
            remedy = "log in again; if that does not help, register this computer's public IP address for the API key"
            return refused("Samco refused the session", status, body, remedy=remedy)
        return super().handshake_failure(status, reason, headers, body)
