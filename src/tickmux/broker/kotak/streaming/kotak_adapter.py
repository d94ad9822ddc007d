"""Kotak's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import msgspec

from tickmux.broker._login_record import LoginRecord
from tickmux.broker.kotak.streaming.kotak_mapping import TOKEN_LIMIT, KotakCodec
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

_LOGIN_PATIENCE = 10.0
_LOOK_UP_PATIENCE = 5.0
_DEEP_EXCHANGES = frozenset({"NSE", "NFO"})
_WEBSOCKET_SCHEMES = {"https": "wss", "http": "ws", "wss": "wss", "ws": "ws"}


class _Data(msgspec.Struct):
    configs: dict[str, Any] = {}


class _Settings(msgspec.Struct):
    """What Kotak's configuration service answers."""

    data: _Data


class KotakAdapter(BaseBrokerWebSocketAdapter):
    """SFeed, the successor of the retired HSM feed. The address depends on the account's data center."""

    name = "kotak"
    display_name = "Kotak Neo"
    transport = "WebSocket, JSON out, binary in"
    exchanges = ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "NSE_INDEX", "BSE_INDEX")
    token_life = "about a day"  # noqa: S105
    default_urls = {
        "feed": "wss://sfeed.kotaksecurities.com/apifeed",
        "config": "https://lapi.kotaksecurities.com/5config/config",
        "login": "https://mis.kotaksecurities.com",
        "files": "https://lapi.kotaksecurities.com/wso2-scripmaster/v1/prod",
    }
    refuses_by_closing = True
    channels = {
        "main": Channel(
            symbols=1000,
            connections=3,
            max_symbols=TOKEN_LIMIT,
            batch=500,
            ping_interval=20.0,
            stall_after=60.0,  # pongs count: nothing else need come outside market hours
            quiet_after=60.0,
            ready_timeout=_LOGIN_PATIENCE,
            backoff=(5.0, 60.0),
        )
    }

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self._logins = LoginRecord(time.monotonic, _LOGIN_PATIENCE)

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        if instrument.is_index:
            return (Stream("main", "index"),)
        if mode is Mode.DEPTH:
            deep = depth > 5 and instrument.exchange in _DEEP_EXCHANGES
            return (Stream("main", "full_depth" if deep else "depth"),)
        return (Stream("main", "lite" if mode is Mode.LTP else "scrips"),)

    def depth_levels(self, exchange: str) -> tuple[int, ...]:
        """The full book has as many rows as the broker sends; 20 is what NSE itself publishes."""
        return (5, 20) if exchange in _DEEP_EXCHANGES else super().depth_levels(exchange)

    def codec(self, channel: str) -> FeedCodec:
        return KotakCodec(time.time_ns() // 1_000_000, self._logins)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        if self._logins.silent_too_often():
            raise AuthRejected("Kotak has not answered the last three log-ins of this session: log in again")
        url = self.urls["feed"]
        if url != self.default_urls["feed"]:  # the user's own setting goes before everything
            return Endpoint(url)
        looked_up = await self._look_up(credentials.get("data_center"), http)
        return Endpoint(looked_up or _websocket_url(credentials.get("feed_url")) or url)

    def close_failure(self, code: int, reason: str) -> Exception | None:
        if code != 1006 and self._logins.closed_too_often():  # without a close frame it was the network
            return AuthRejected(
                "Kotak has closed the connection right after the log-in three times in a row, which is how it "
                "refuses a session: log in again"
            )
        return None

    async def _look_up(self, data_center: str, http: httpx.AsyncClient) -> str:
        """The feed's address for a data center; empty where the configuration service does not tell."""
        if not data_center:
            return ""
        query = {"appVersion": "1.0", "platform": "api", "environment": "prod"}
        try:
            answer = await http.get(self.urls["config"], params=query, timeout=_LOOK_UP_PATIENCE)
            if not answer.is_success:
                return ""
            configs = msgspec.json.decode(answer.content, type=_Settings).data.configs
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, UnicodeError, RecursionError):
            return ""
        source = configs.get(f"{data_center}_broadcast_source")
        return _websocket_url(configs.get(f"{data_center}_{source}_broadcast_endpoint"))


def _websocket_url(value: object) -> str:
    """`value` as a WebSocket URL; empty where it is none."""
    if not isinstance(value, str):
        return ""
    try:
        parts = urlsplit(value.strip())
        scheme = _WEBSOCKET_SCHEMES.get(parts.scheme)
        if scheme is None or not parts.hostname:
            return ""
        _ = parts.port  # raises where it is no number
    except ValueError:
        return ""
    return urlunsplit(parts._replace(scheme=scheme))
