"""What the members of the XTS family share of their adapters (specification sections 1 to 4, 7 and 10)."""

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tickmux.broker._xts.codec import XtsCodec
from tickmux.broker._xts.messages import LTP
from tickmux.broker._xts.rest import JSON_PREFIX, prefix_of, says_token_is_dead, with_prefix
from tickmux.broker._xts.socketio import DEFAULT_PING_INTERVAL
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

_KINDS = {Mode.LTP: "ltp", Mode.QUOTE: "quote", Mode.DEPTH: "depth"}
_UNSUPPORTED_PROTOCOL = 5

NSE_AND_BSE = ("NSE", "BSE", "NFO", "BFO", "NSE_INDEX", "BSE_INDEX")
ALL_EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "NSE_INDEX", "BSE_INDEX")


def xts_urls(base: str, prefix: str = JSON_PREFIX) -> dict[str, str]:
    """A member's addresses: `api` for REST and `feed` for the stream, both with the prefix."""
    api = f"{base}{prefix}"
    return {"api": api, "feed": _feed_of(api)}


def _feed_of(api: str) -> str:
    scheme, _, rest = api.partition("://")
    return f"{scheme.replace('http', 'ws')}://{rest}/socket.io/"


class XtsAdapter(BaseBrokerWebSocketAdapter):
    """One market-data session for a key pair, one socket for a session, 5 levels of depth.

    `urls` may give `api` alone: the stream is then taken from the same host and prefix. A session that was made under
    the broker's other prefix stays under it.
    """

    transport = "Socket.IO 2 over WebSocket, JSON; subscriptions over REST"
    token_life = "24 hours, or until the next login with the same key"  # noqa: S105
    channels = {
        "main": Channel(
            symbols=50,  # what most keys get; the broker sets it for each key
            connections=1,
            max_symbols=1000,
            batch=50,
            frame_gap=0.5,
            heartbeat_interval=DEFAULT_PING_INTERVAL,
            ping_interval=None,  # Engine.IO's own pings show that the server lives
            stall_after=45.0,
            quiet_after=90.0,
        )
    }
    ltp_code: ClassVar[int] = LTP
    """What LTP subscribes where the stream is JSON."""
    has_other_prefix: ClassVar[bool] = True
    """Whether a login that meets HTTP 404 may try the other prefix."""
    login_source: ClassVar[str] = "WebAPI"
    """What a login says of its client; "" for nothing."""
    master_prefix: ClassVar[str] = ""
    """Where the instrument master is, if not under the session's prefix."""

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        given = {name: url.rstrip("/") if name == "api" else url for name, url in (urls or {}).items()}
        if "api" in given:
            given.setdefault("feed", _feed_of(given["api"]))
        super().__init__(given)
        self._generation = 3

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        return (Stream("main", _KINDS[mode]),) if self.serves(instrument.exchange) else ()

    def codec(self, channel: str) -> FeedCodec:
        return XtsCodec(prefix_of(self.urls["api"]), self.ltp_code, self.login_source, self._generation)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        query = {
            "token": credentials["token"],
            "userID": credentials["user_id"],
            "publishFormat": "JSON",
            "broadcastMode": "Full",
            "transport": "websocket",
            "EIO": str(self._generation),
        }
        prefix = credentials.get("prefix")
        feed, api = (with_prefix(self.urls[name], prefix) for name in ("feed", "api"))
        return Endpoint(f"{feed}?{urlencode(query, quote_via=quote, safe='')}", rest_base=api)

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        if says_token_is_dead(body[:1024].decode("utf-8", "replace")):
            # Not in the broker's words, which may repeat the token.
            return AuthRejected(f"the broker refused the session's token (HTTP {status})", certain=True)
        if status == 400 and _error_code(body) == _UNSUPPORTED_PROTOCOL:
            # The server speaks one generation only, and it was not the one that was asked for.
            self._generation = 7 - self._generation
            return Unavailable(f"the broker wants Engine.IO {self._generation}")
        return super().handshake_failure(status, reason, headers, body)


def _error_code(body: bytes) -> object:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return found.get("code") if isinstance(found, dict) else None
