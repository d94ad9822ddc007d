"""Motilal Oswal's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from tickmux.broker._login_record import LoginRecord
from tickmux.broker.motilal.streaming.motilal_mapping import INDEX, SCRIP, MotilalCodec, is_session_refusal
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

USUAL_LIMIT = 200
"""Scrips of one connection where the broker does not say (section 3)."""
_HIGHEST_LIMIT = 1000
_LIMIT_PATH = "/rest/report/v1/getbroadcastmaxlimit"
_LIMIT_PATIENCE = 5.0
_FIRST_FRAME_WITHIN = 30.0


class _Answer(msgspec.Struct):
    """REST's envelope; the types of its fields are not checked yet."""

    status: Any = None
    message: Any = None
    data: Any = None


class MotilalAdapter(BaseBrokerWebSocketAdapter):
    """The broadcast of one client code: one connection, as many scrips as the account is allowed.

    No token travels on it. Whether the session lives is asked over REST before every connect, with the limit.
    """

    name = "motilal"
    display_name = "Motilal Oswal (MOFSL)"
    transport = "WebSocket, binary"
    exchanges = ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "NSE_INDEX", "BSE_INDEX")
    token_life = "until 06:00 IST"  # noqa: S105
    default_urls = {
        "feed": "wss://ws1feed.motilaloswal.com/jwebsocket/jwebsocket",
        "api": "https://openapi.motilaloswal.com",
    }
    refuses_by_closing = True
    channels = {
        "main": Channel(
            symbols=USUAL_LIMIT,
            connections=1,
            max_symbols=_HIGHEST_LIMIT,
            ping_interval=None,  # the broker's own heartbeats come day and night
            stall_after=45.0,
            backoff=(2.0, 30.0),
        )
    }

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self._logins = LoginRecord(time.monotonic, _FIRST_FRAME_WITHIN)
        self._limit = _HIGHEST_LIMIT
        """Scrips that the broker allows; the pool's own limit counts until it has been asked."""

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        return (Stream("main", INDEX if instrument.is_index else SCRIP),)

    def fits(self, channel: str, load: Mapping[str, int], limit: int) -> bool:
        """Indices need no registration, and so no room."""
        return load.get(SCRIP, 0) <= min(limit, self._limit)

    def codec(self, channel: str) -> FeedCodec:
        return MotilalCodec(self._logins)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        self._limit = await self._broadcast_limit(credentials, http)
        return Endpoint(self.urls["feed"])

    def close_failure(self, code: int, reason: str) -> Exception | None:
        if code != 1006 and self._logins.closed_too_often():  # without a close frame it was the network
            return AuthRejected(
                "Motilal Oswal has closed the connection right after the login three times in a row: log in again"
            )
        return None

    async def _broadcast_limit(self, credentials: Credentials, http: httpx.AsyncClient) -> int:
        """How many scrips may be registered; raises AuthRejected where the session is refused."""
        if not credentials.get("auth_token"):
            return USUAL_LIMIT
        headers = rest_headers(credentials)
        try:
            response = await http.post(
                f"{self.urls['api']}{_LIMIT_PATH}", json={"clientcode": ""}, headers=headers, timeout=_LIMIT_PATIENCE
            )
            answer = msgspec.json.decode(response.content, type=_Answer)
        except httpx.HTTPError:
            return USUAL_LIMIT
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            answer = _Answer()
        if is_session_refusal(answer.status, answer.message):
            raise AuthRejected("Motilal Oswal does not accept the session: log in again", certain=True)
        if response.status_code == 401:
            raise refused("Motilal Oswal does not accept the session", response.status_code, response.content)
        told = answer.data.get("MaxBroadcastLimit") if isinstance(answer.data, dict) else None
        text = str(told)
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
        return number or USUAL_LIMIT


def rest_headers(session: Credentials) -> dict[str, str]:
    """What every REST call carries (section 2); without `auth_token` for the login itself.

    Addresses and devices must be named, and any plausible ones do: nobody's real ones are given away.
    """
    headers = {
        "Accept": "application/json",
        "User-Agent": "MOSL/V.1.1.0",
        "ApiKey": session["api_key"],
        "apisecretkey": session.get("api_secret"),
        "ClientLocalIp": "127.0.0.1",
        "ClientPublicIp": "127.0.0.1",
        "MacAddress": "02:00:00:00:00:00",
        "SourceId": "WEB",
        "vendorinfo": session["client_code"],
        "osname": "Linux",
        "osversion": "1",
        "devicemodel": "computer",
        "manufacturer": "none",
        "productname": "tickmux",
        "productversion": "1",
        "browsername": "none",
        "browserversion": "1",
    }
    if token := session.get("auth_token"):
        headers["Authorization"] = token
    return headers
