"""Groww's endpoints, limits and handshake (specification sections 1 to 4, 7 and 10)."""

from collections.abc import Mapping

import httpx

from tickmux.broker.groww.rest import NOT_AUTHORISED, error_code, parse_answer, request_headers
from tickmux.broker.groww.streaming.groww_mapping import DEPTH, FOLDERS, PRICE, GrowwCodec
from tickmux.broker.groww.streaming.socket_identity import Refusals, SocketIdentity
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

_PAUSE = 60.0


class GrowwAdapter(BaseBrokerWebSocketAdapter):
    """One connection of 1000 instruments, 5 levels of depth. Every connect needs a new key pair and socket token."""

    name = "groww"
    display_name = "Groww"
    transport = "NATS over WebSocket, protobuf"
    exchanges = tuple(FOLDERS)
    token_life = "until 06:00 IST"  # noqa: S105
    default_urls = {
        "feed": "wss://socket-api.groww.in",
        "socket_token": "https://api.groww.in/v1/api/apex/v1/socket/token/create/",
    }
    channels = {
        "main": Channel(
            symbols=1000,
            connections=1,
            batch=500,
            heartbeat_interval=30.0,
            # No WebSocket pings: a gateway would answer them in place of a dead NATS server. Two unanswered NATS
            # PINGs without any data are the end.
            ping_interval=None,
            stall_after=70.0,
            quiet_after=75.0,
            backoff=(2.0, 60.0),
        )
    }

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self._refusals = Refusals()
        self._newest = SocketIdentity.fresh()

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        return (Stream("main", DEPTH if mode == Mode.DEPTH else PRICE),)

    def codec(self, channel: str) -> FeedCodec:
        """A codec with an identity of its own, for which the `endpoint` that follows gets the socket token."""
        self._newest = SocketIdentity.fresh()
        return GrowwCodec(self._newest, self._refusals)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        # A connection asks for its codec and goes on to its endpoint without a pause between, so that the newest
        # identity is the caller's here, and only here: other connections may make theirs while this one waits.
        identity = self._newest
        headers = request_headers(credentials["access_token"])
        try:
            response = await http.post(
                self.urls["socket_token"], json={"socketKey": identity.public_key}, headers=headers
            )
        except httpx.HTTPError as error:
            raise Unavailable(f"Groww's socket token service cannot be reached ({type(error).__name__})") from None
        answer = parse_answer(response.content)
        status, code = response.status_code, error_code(answer)
        if code == NOT_AUTHORISED:
            raise AuthRejected(
                f"Groww gives no socket token (HTTP {status}): log in again (the access token ends at 06:00 IST), "
                "or check that the account has the Trading API subscription",
                certain=True,
            )
        if status in (401, 403):
            raise refused("Groww gives no socket token", status, response.content)
        token = answer.get("token")
        if not response.is_success or not isinstance(token, str) or not token:
            named = f", {code}" if code else ""
            raise Unavailable(f"Groww gives no socket token (HTTP {status}{named})", _PAUSE if status == 429 else 0.0)
        identity.token = token
        return Endpoint(self.urls["feed"])

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        # Nothing of the session is in the handshake, so that no answer to it can be about the session.
        return Unavailable(f"HTTP {status} {reason}".rstrip(), _PAUSE if status in (401, 403, 429) else 0.0)
