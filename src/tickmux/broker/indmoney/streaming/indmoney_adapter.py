"""INDmoney's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

from collections.abc import Mapping

import httpx

from tickmux.broker.indmoney.streaming.indmoney_mapping import PREFIXES, IndmoneyCodec
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

_CANNOT_AUTHENTICATE = 513
_REFUSALS = (401, 403, _CANNOT_AUTHENTICATE)
_PROFILE_PATIENCE = 5.0


class IndmoneyAdapter(BaseBrokerWebSocketAdapter):
    """The price socket: 3 connections a user, 3000 instruments each; the best bid and ask are all its depth."""

    name = "indmoney"
    display_name = "INDmoney (INDstocks)"
    transport = "WebSocket, JSON"
    exchanges = tuple(PREFIXES)
    token_life = "24 hours"  # noqa: S105
    default_urls = {
        "feed": "wss://ws-prices.indstocks.com/api/v1/ws/prices",
        "api": "https://api.indstocks.com",
    }
    channels = {
        "main": Channel(
            symbols=1000,
            connections=3,
            max_symbols=3000,
            batch=1000,
            ping_interval=30.0,
            stall_after=40.0,  # a pong is due 10 s after its ping
            quiet_after=120.0,
            backoff=(2.0, 60.0),
        )
    }

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        return (Stream("main", "ltp" if mode is Mode.LTP else "quote"),)

    def depth_levels(self, exchange: str) -> tuple[int, ...]:
        return () if exchange.endswith("_INDEX") else (1,)

    def bare_name(self, instrument: Instrument) -> str:
        """Updates name an instrument by its id alone, and ids repeat across segments (section 4)."""
        return instrument.token

    def codec(self, channel: str) -> FeedCodec:
        return IndmoneyCodec()

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        headers = {"Authorization": credentials["access_token"]}  # no `Bearer`
        # The socket refuses a dead token with a status that is no registered one, which not every client can read.
        try:
            answer = await http.get(f"{self.urls['api']}/user/profile", headers=headers, timeout=_PROFILE_PATIENCE)
        except httpx.HTTPError:
            pass  # the socket is on another host and may work
        else:
            if answer.status_code in _REFUSALS:
                raise _refusal(answer.status_code, answer.content)
        return Endpoint(self.urls["feed"], headers)

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        if status in _REFUSALS:
            return _refusal(status, body)
        return super().handshake_failure(status, reason, headers, body)


def _refusal(status: int, body: bytes) -> Exception:
    if status == _CANNOT_AUTHENTICATE or b"TokenException" in body[:4096]:
        return AuthRejected(
            f"INDmoney refused the token (HTTP {status}): log in again; another login may have ended this one",
            certain=True,
        )
    return refused("INDmoney refused the connection", status, body)
