"""What one client asks for, and what it hears: each request of the protocol carried out.

Called by the client's queue, one request at a time. Before authentication only `authenticate`, `ping` and what needs
no user is carried out, and nothing else is looked at.
"""

import asyncio
import logging
import secrets
from hashlib import sha256
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from tickmux.errors import CloseCode, ErrorCode, RequestError
from tickmux.websocket_proxy.client_subscriptions import ClientSubscriptions, Holder
from tickmux.websocket_proxy.feed import Feed
from tickmux.websocket_proxy.feed_state import FeedInfo
from tickmux.websocket_proxy.frames import text_frame
from tickmux.websocket_proxy.large_message import PIECE, decoded
from tickmux.websocket_proxy.protocol import (
    Authenticate,
    BadRequest,
    Command,
    Options,
    Ping,
    Request,
    Subscribe,
    Unsubscribe,
    answer,
    as_request,
    auth_error,
    error_answer,
    not_authenticated,
    parse_request,
)
from tickmux.websocket_proxy.session_host import SessionHost

log = logging.getLogger(__name__)

_CANNOT_SERVE = frozenset({"reconnecting", "auth_expired", "stopped"})


class Asker(Holder, Protocol):
    """What requests need of the session that they came to."""

    address: str
    user: str
    offered: bytes
    feed: Feed | None
    verifying: bool
    max_message: int

    def send_frame(self, frame: bytes) -> None: ...

    def close(self, code: int, reason: str) -> None: ...

    def refuse_place(self) -> None: ...

    def spend(self, instruments: int) -> None: ...

    def begin_grace(self) -> None: ...

    def end_grace(self) -> None: ...

    def adopt(self, user: str, feed: Feed, options: Options) -> None: ...

    def follow_feed(self, feed: Feed) -> None: ...


A = TypeVar("A", bound=Asker)


class ClientRequests(Generic[A]):
    """The requests of `client`."""

    def __init__(self, client: A, proxy: SessionHost[A]) -> None:
        self._client = client
        self._proxy = proxy
        self._held = ClientSubscriptions(client, proxy)
        self._attempts = 0

    async def carry_out(self, message: bytes) -> None:
        """Does one request, and answers it whatever happens."""
        if message == b"ping":  # the Excel add-in's keep-alive: bare text
            self._client.send_frame(text_frame(b"pong"))
            return
        request_id: Any = None
        try:
            request = await self._parsed(message)
            request_id = request.request_id
            await self._handle(request)
        except BadRequest as error:
            self._proxy.counters.bad_requests += 1
            if error.of_auth:
                self._auth_failed(error, error.request_id)
            else:
                self.refuse(error, error.request_id)
        except RequestError as error:
            self.refuse(error, request_id)
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("request failed, reference %s", reference)
            self.refuse(RequestError(ErrorCode.SERVER_ERROR, f"a defect of ours, reference {reference}"), request_id)

    def refuse(self, error: RequestError, request_id: Any = None) -> None:
        self._proxy.counters.errors += 1
        if not self._client.closing:
            self._client.send(error_answer(error, request_id))

    async def release_all(self, feed: Feed | None) -> None:
        await self._held.release_all(feed)

    async def _parsed(self, message: bytes) -> Request:
        most = self._proxy.limits.max_subscriptions
        if self._client.feed is None:
            if len(message) > self._client.max_message:
                raise not_authenticated()
            return parse_request(message, most, authenticated=False)
        if len(message) <= PIECE:
            return parse_request(message, most)
        whole: Any = None
        for found in decoded(message, most):
            whole = found
            await asyncio.sleep(0)
        return as_request(whole, most)

    async def _handle(self, request: Request) -> None:
        match request:
            case Ping():
                self._pong(request)
            case Authenticate():
                await self._authenticate(request)
            case Command(action="pong"):
                pass
            case Command(action="get_supported_brokers"):
                self._supported_brokers(request)
            case _ if self._client.feed is None:
                raise not_authenticated()
            case Subscribe():
                self._client.spend(len(request.entries))
                await self._held.subscribe(request, self._client.feed)
            case Unsubscribe():
                self._client.spend(len(request.entries))
                await self._held.unsubscribe(request, self._client.feed)
            case Command():
                await self._command(request, self._client.feed)

    def _pong(self, ping: Ping) -> None:
        pong = answer(ping.request_id, type="pong", status="success", server_timestamp=self._proxy.now_ms())
        if ping.timestamp is not None:
            pong["client_timestamp"] = ping.timestamp
        if ping.ping_id is not None:
            pong["_pingId"] = ping.ping_id
        self._client.send(pong)

    def _supported_brokers(self, command: Command) -> None:
        brokers = list(self._proxy.brokers)
        self._client.send(
            answer(
                command.request_id, type="supported_brokers", status="success", brokers=brokers, count=len(brokers)
            )
        )

    # -- authentication -----------------------------------------------------------------------------------

    async def _authenticate(self, request: Authenticate) -> None:
        client = self._client
        client.end_grace()
        client.verifying = True
        try:
            await self._try_key(request)
        except RequestError as error:  # no feed, or a database that cannot be asked: no verdict on the key
            client.send(auth_error(error, request.request_id))
        finally:
            client.verifying = False
            client.offered = b""
            client.begin_grace()

    async def _try_key(self, request: Authenticate) -> None:
        client = self._client
        user = await self._proxy.verify(request.api_key)
        if client.closing:
            return
        if user is None:
            self._auth_failed(_wrong_key(), request.request_id)
            return
        # From here on whoever revokes the key finds this client, which closes it.
        client.offered = key_digest(request.api_key)
        feed = await self._proxy.feed_of(user)
        if client.feed is not None and client.feed is not feed:
            await self._held.release_all(client.feed)
        # It may have taken a while to make the feed, and another process may have revoked the key meanwhile.
        still = await self._proxy.verify(request.api_key)
        if client.closing:
            return
        if still != user:
            self._auth_failed(_wrong_key(), request.request_id)
            return
        if client.feed is None and not self._proxy.authenticated(client):
            client.refuse_place()
            return
        client.adopt(user, feed, request.options)
        features = {"ltp": True, "quote": True, "depth": True, "orders": feed.has_orders}
        client.send(
            answer(
                request.request_id,
                type="auth",
                status="success",
                message="Authentication successful",
                broker=feed.broker,
                user_id=user,
                supported_features=features,
            )
        )
        client.follow_feed(feed)

    def _auth_failed(self, error: RequestError, request_id: Any) -> None:
        client = self._client
        self._proxy.counters.auth_failures += 1
        self._proxy.refusals.tell("authentication", address=client.address, because=error.message[:80])
        self._attempts += 1
        client.send(auth_error(error, request_id))
        if self._attempts >= self._proxy.limits.auth_attempts and client.feed is None:
            client.close(CloseCode.NOT_AUTHENTICATED, "too many bad keys")

    # -- commands -----------------------------------------------------------------------------------------

    async def _command(self, command: Command, feed: Feed) -> None:
        held = len(self._proxy.index.held(self._client))
        match command.action:
            case "unsubscribe_all":
                self._client.spend(held)
                await self._held.unsubscribe_all(command.request_id, feed)
            case "list_subscriptions":
                self._client.spend(held)
                listed = await self._held.listing(feed)
                self._client.send(
                    answer(command.request_id, type="subscriptions", status="success", subscriptions=listed)
                )
            case "get_broker_info":
                self._client.send(answer(command.request_id, **self._broker_info(feed)))
            case _:  # SDKs take an error here for the end of the connection
                self._client.send(
                    answer(
                        command.request_id,
                        type=command.action,
                        status="success",
                        message=f"{feed.broker} has no order feed here: only market data",
                        available=False,
                    )
                )

    def _broker_info(self, feed: Feed) -> dict[str, Any]:
        status = feed.status
        return {
            "type": "broker_info",
            "status": "success",
            "broker": feed.broker,
            "adapter_status": "disconnected" if status.state in _CANNOT_SERVE else "connected",
            "user_id": self._client.user,
            "feed_state": status.state.value,
            "feed_since": status.since,
            "feed_message": status.message,
            "subscriptions": len(self._proxy.index.held(self._client)),
            **_counts(feed.info()),
        }


def _counts(info: FeedInfo) -> dict[str, Any]:
    counts: dict[str, Any] = msgspec.to_builtins(info)
    return counts | {"counters": counts["counters"] or {}}


def _wrong_key() -> RequestError:
    return RequestError(
        ErrorCode.AUTHENTICATION_ERROR,
        "the API key is not valid: make one with `tickmux apikey create`, or see `tickmux apikey list`",
    )


def key_digest(api_key: str) -> bytes:
    """What is remembered of a key."""
    return sha256(api_key.encode(errors="surrogatepass")).digest()
