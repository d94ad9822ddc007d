"""Dhan's endpoints, limits and streams (specification sections 1 to 4, 7 and 10)."""

import time
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import httpx

from tickmux.broker.dhan.streaming.depth_mapping import DepthCodec
from tickmux.broker.dhan.streaming.dhan_mapping import BESIDE_BOOK, MainFeedCodec
from tickmux.broker.dhan.streaming.standing import Standing
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

_MAIN_KINDS = {Mode.LTP: "ltp", Mode.QUOTE: "quote", Mode.DEPTH: "full"}
_DEEP_EXCHANGES = frozenset({"NSE", "NFO"})
_BACKOFF = (5.0, 60.0)


def client_number(stored: str) -> str:
    """The client id of a stored one, which may read `client_id:::api_key` (section 2)."""
    return stored.partition(":::")[0].strip()


class DhanAdapter(BaseBrokerWebSocketAdapter):
    """DhanHQ's feeds. A user has five connections in all; a sixth closes the oldest, whatever their kinds.

    So three are for the main feed and one for each kind of depth socket. The server pings every 10 seconds,
    which counts as life: a silent market needs no reconnect.
    """

    name = "dhan"
    display_name = "Dhan (DhanHQ)"
    transport = "WebSocket, JSON out, binary in"
    exchanges = ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NSE_INDEX", "BSE_INDEX")
    token_life = "24 hours"  # noqa: S105
    default_urls = {
        "main": "wss://api-feed.dhan.co",
        "depth20": "wss://depth-api-feed.dhan.co/twentydepth",
        "depth200": "wss://full-depth-api.dhan.co/",
        "depth200_other": "wss://full-depth-api.dhan.co/twohundreddepth",
        "auth": "https://auth.dhan.co",
        "instruments": "https://images.dhan.co/api-data/api-scrip-master.csv",
    }
    channels = {
        "main": Channel(
            symbols=1000,
            connections=3,
            max_symbols=5000,
            batch=100,
            frame_gap=0.1,
            heartbeat_interval=5.0,  # nothing is sent: the codecs count time by it
            stall_after=40.0,
            backoff=_BACKOFF,
        ),
        "depth20": Channel(
            symbols=50,
            connections=1,
            batch=50,
            frame_gap=0.1,
            heartbeat_interval=5.0,
            stall_after=40.0,
            backoff=_BACKOFF,
        ),
        "depth200": Channel(
            symbols=1,
            connections=1,
            batch=1,
            frame_gap=0.1,
            heartbeat_interval=5.0,
            stall_after=40.0,
            backoff=_BACKOFF,
        ),
    }

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self.standing = Standing(time.monotonic)
        self._depth200 = "depth200"
        """Which of the two known addresses of the 200-level socket is tried next."""

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        if mode is Mode.DEPTH:
            if instrument.is_index:
                return (Stream("main", "quote"),)  # full packets of an index are not served
            if depth in (20, 200) and instrument.exchange in _DEEP_EXCHANGES:
                # A depth socket carries no prices but those of the book.
                return (Stream("main", BESIDE_BOOK), Stream(f"depth{depth}", f"depth{depth}"))
        return (Stream("main", _MAIN_KINDS[mode]),)

    def depth_levels(self, exchange: str) -> tuple[int, ...]:
        return (5, 20, 200) if exchange in _DEEP_EXCHANGES else super().depth_levels(exchange)

    def codec(self, channel: str) -> FeedCodec:
        if channel == "main":
            return MainFeedCodec(self.standing)
        return DepthCodec(200 if channel == "depth200" else 20, self.standing)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        self.standing.check()
        query = {
            "token": credentials["access_token"].strip(),
            "clientId": client_number(credentials["client_id"]),
            "authType": "2",
        }
        if channel == "main":
            query = {"version": "2", **query}
        url = self.urls[self._depth200 if channel == "depth200" else channel]
        return Endpoint(f"{url}?{urlencode(query, quote_via=quote, safe='')}")

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        if status in (400, 401, 403):
            return refused("Dhan refused the connection", status, body)
        if status == 429:
            return self.standing.blocked()
        return super().handshake_failure(status, reason, headers, body)

    def channel_failure(self, channel: str, status: int, failure: Exception) -> Exception:
        if channel != "depth200" or status not in (400, 401, 403, 404):
            return failure
        # The 200-level socket has moved, and old and new SDKs disagree on its address (section 3).
        self._depth200 = "depth200_other" if self._depth200 == "depth200" else "depth200"
        if isinstance(failure, AuthRejected) and self.standing.is_good():
            return Unavailable(f"Dhan refused the 200-level socket (HTTP {status}), while others go on")
        return failure
