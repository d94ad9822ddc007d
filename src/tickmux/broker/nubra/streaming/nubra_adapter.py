"""Nubra's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

import httpx

from tickmux.broker._rest_answers import read_object
from tickmux.broker.nubra.rest import SESSION_EXPIRED, SESSION_OVER, request_headers
from tickmux.broker.nubra.streaming.nubra_mapping import FULL, LTP, MOST_LEVELS, WORDS, NubraCodec
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

_DEPTHS = {"main": 5, "deep": MOST_LEVELS}
"""Channel -> levels: how deep books are is a setting of the whole connection."""
_EXPIRED = "the session has ended: log in again"


class NubraAdapter(BaseBrokerWebSocketAdapter):
    """1000 instruments on each of three connections, far below the limit of 50,000 by weight (at most 8 each)."""

    name = "nubra"
    display_name = "Nubra"
    transport = "WebSocket, protobuf"
    exchanges = tuple(WORDS)
    token_life = "as its token says, about a day"  # noqa: S105
    default_urls = {"feed": "wss://api.nubra.io/apibatch/ws", "api": "https://api.nubra.io"}
    channels = {
        "main": Channel(
            symbols=1000,
            connections=3,
            max_symbols=2000,
            ping_interval=20.0,
            stall_after=31.0,
            quiet_after=60.0,
            backoff=(1.0, 30.0),
        ),
        "deep": Channel(
            symbols=500,
            connections=1,
            ping_interval=20.0,
            stall_after=31.0,
            quiet_after=60.0,
            backoff=(1.0, 30.0),
        ),
    }

    total_connections = 3

    def depth_levels(self, exchange: str) -> tuple[int, ...]:
        return () if exchange.endswith("_INDEX") else tuple(_DEPTHS.values())

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        deep = mode == Mode.DEPTH and depth > _DEPTHS["main"] and not instrument.is_index
        return (Stream("deep" if deep else "main", LTP if mode == Mode.LTP else FULL),)

    def codec(self, channel: str) -> FeedCodec:
        return NubraCodec(_DEPTHS[channel])

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        """The feed's address, or the one that Nubra has assigned to this user."""
        token, device = credentials["session_token"], credentials.get("device_id", "tickmux")
        url = self.urls["feed"]
        try:
            response = await http.get(f"{self.urls['api']}/userinfo", headers=request_headers(device, token))
        except httpx.HTTPError:
            response = None  # the address is known well enough; if nothing can be reached, connecting says so
        if response is not None:
            if response.status_code == SESSION_EXPIRED:
                raise AuthRejected(_EXPIRED, certain=True)
            if response.status_code in SESSION_OVER:
                raise refused("Nubra refused the session", response.status_code, response.content)
            if response.is_success:
                url = self._assigned(read_object(response.content)) or url
        return Endpoint(url, {"Authorization": f"Bearer {token}", "x-device-id": device})

    def _assigned(self, answer: Mapping[str, object]) -> str:
        """The socket that the user's environment names, as it is or in `data`; empty for none that may be used."""
        # Plain ws:// is good enough only where the REST service itself is plain: a simulator.
        schemes = ("wss",) if self.urls["api"].startswith("https:") else ("wss", "ws")
        for part in (answer, answer.get("data")):
            environment = part.get("env_info") if isinstance(part, dict) else None
            url = environment.get("market_ws_url") if isinstance(environment, dict) else None
            if isinstance(url, str) and _is_socket(url, schemes):
                return url
        return ""

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        if status in (*SESSION_OVER, 403):
            return refused("Nubra refused the connection", status, body, certain=status == SESSION_EXPIRED)
        return Unavailable(f"HTTP {status} {reason}".rstrip(), retry_after=60.0 if status == 429 else 0.0)


def _is_socket(url: str, schemes: Collection[str]) -> bool:
    """Whether it is the URL of a socket with one of these schemes."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.netloc)
