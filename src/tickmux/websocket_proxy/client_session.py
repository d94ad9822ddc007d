"""One client: authentication, subscriptions, outgoing buffer, back-pressure.

Owns one task while requests are waiting (`_work`), and one timer (the grace period of authentication). Bounds: the
inbox in requests and bytes, the outgoing buffer by the transport's high-water mark and one drain, subscriptions by
`Limits`. A client that does not read leaves all lanes and costs the others nothing; when it reads again it gets the
newest value of each of its subscriptions.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import picows
from picows import WSFrame, WSMsgType, WSTransport

from tickmux import owned_task
from tickmux.errors import CloseCode, ErrorCode, RequestError
from tickmux.websocket_proxy.client_subscriptions import ClientSubscriptions
from tickmux.websocket_proxy.feed import Feed
from tickmux.websocket_proxy.feed_state import FeedInfo, FeedStatus
from tickmux.websocket_proxy.frames import Opcode, close_frame, frame_header, text_frame
from tickmux.websocket_proxy.lost_socket import is_lost
from tickmux.websocket_proxy.protocol import (
    Authenticate,
    BadRequest,
    Command,
    Item,
    Options,
    Ping,
    Request,
    Subscribe,
    Unsubscribe,
    answer,
    auth_error,
    error_answer,
    parse_request,
)
from tickmux.websocket_proxy.rendering import encode_frame
from tickmux.websocket_proxy.session_host import SessionHost
from tickmux.websocket_proxy.subscription_index import Slot

log = logging.getLogger(__name__)

HIGH_WATER = 256 << 10
LOW_WATER = 64 << 10
INBOX_REQUESTS = 5000
INBOX_BYTES = 4 << 20
_LONG_WAIT = 0.5
"""Seconds that a feed may take to be made before the key is looked at again."""


class ClientSession(picows.WSListener):
    """One connected client."""

    def __init__(self, proxy: SessionHost["ClientSession"]) -> None:
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self.pending: list[bytes] = []
        """Frames that wait for `flush`."""
        self.append: Callable[[bytes], object] = self.pending.append
        self.user = ""
        self.key_digest = b""
        self._offered = b""
        """A key that is good and whose feed is being made."""
        self.feed: Feed | None = None
        self.paused = False
        self.options = Options()
        self._transport: WSTransport | None = None
        self._write: Callable[[bytes], object] = lambda data: None
        self.marks: dict[Slot, int] = {}
        """While paused: which payload of each subscription was the last to go out."""
        self._held = ClientSubscriptions(self, proxy)
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._fragments: bytearray | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._attempts = 0
        self._tokens = float(proxy.limits.burst)
        self._tokens_at = self._loop.time()
        self._unlisten: Callable[[], None] = lambda: None
        self.closing = False
        self.since = proxy.now_ms()
        """When it connected, epoch ms."""
        self.messages = 0
        """Frames that were written."""
        self.waiting_bytes = 0
        self.waiting_since = 0.0

    # -- picows -------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        underlying = transport.underlying_transport
        underlying.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self._write = underlying.write
        if not self._proxy.admit(self):
            self.close(CloseCode.TRY_AGAIN_LATER, "connection limit reached")
            return
        self._grace = self._loop.call_later(self._proxy.limits.auth_grace, self._out_of_grace)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.closing:
            return
        kind = frame.msg_type
        if kind == WSMsgType.TEXT and frame.fin and self._fragments is None:
            self._receive(frame.get_payload_as_bytes())
        elif kind == WSMsgType.PING:
            payload = frame.get_payload_as_bytes()
            self._control(frame_header(Opcode.PONG, len(payload)) + payload)
        elif kind == WSMsgType.CLOSE:
            self._control(close_frame(1000, ""))
            self._hang_up()
        elif kind == WSMsgType.BINARY:
            self._proxy.counters.bad_requests += 1
            self._refuse(RequestError(ErrorCode.INVALID_JSON, "a binary frame: send requests as JSON in text frames"))
        elif kind != WSMsgType.PONG:
            self._assemble(kind, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closing = True
        if self._grace is not None:
            self._grace.cancel()
        self._unlisten()
        self._inbox.clear()
        self._proxy.forget(self)

    def pause_writing(self) -> None:
        """The socket is full: leave all lanes, and take no further requests, until it has drained."""
        if not self.paused:
            self.paused = True
            self._proxy.counters.pauses += 1
            self.marks = self._proxy.index.pause(self)
            if self._transport is not None:
                self._transport.underlying_transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.paused or self.closing:
            return
        self.paused = False
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()
        self._proxy.index.resume(self)
        marks, self.marks = self.marks, {}
        self._proxy.dispatcher.catch_up(self, marks)
        self.flush()

    # -- out ----------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes all pending frames with one call."""
        pending = self.pending
        if not pending:
            return
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        self.messages += len(pending)
        self._proxy.counters.bytes += len(data)
        pending.clear()
        self._write(data)

    def send(self, message: dict[str, Any]) -> None:
        """Sends an answer or event, behind what is pending."""
        self._control(encode_frame(message, self.options.encoding))

    def _control(self, frame: bytes) -> None:
        self.append(frame)
        self.flush()

    def write_buffer_size(self) -> int:
        """Bytes that the socket has not taken yet."""
        if self._transport is None or self._transport.is_disconnected:
            return 0
        return int(self._transport.underlying_transport.get_write_buffer_size())

    def drop_if_lost(self) -> None:
        """Lets go of a client whose end the event loop has not noticed."""
        if self._transport is not None and is_lost(self._transport.underlying_transport):
            self._transport.disconnect(False)

    def close(self, code: int, reason: str) -> None:
        """Says why and hangs up; the socket is gone a second later at the latest."""
        if not self.closing:
            self._proxy.counters.closes[int(code)] = self._proxy.counters.closes.get(int(code), 0) + 1
            self._control(close_frame(code, reason))
            self._hang_up()

    def _hang_up(self) -> None:
        self.closing = True
        transport = self._transport
        if transport is not None:
            transport.underlying_transport.close()
            self._loop.call_later(1.0, transport.disconnect, False)

    # -- in -----------------------------------------------------------------------------------------------

    def _assemble(self, kind: WSMsgType, frame: WSFrame) -> None:
        """A fragmented text message: rare, yet allowed."""
        if kind == WSMsgType.TEXT:
            self._fragments = bytearray()
        if self._fragments is None:
            self._refuse(RequestError(ErrorCode.INVALID_JSON, "a continuation of nothing: send whole text frames"))
            return
        self._fragments += frame.get_payload_as_memoryview()
        if len(self._fragments) > self._proxy.limits.max_message:
            self._fragments = None
            self.close(CloseCode.MESSAGE_TOO_BIG, f"more than {self._proxy.limits.max_message} bytes")
        elif frame.fin:
            message, self._fragments = bytes(self._fragments), None
            self._receive(message)

    def _receive(self, message: bytes) -> None:
        self._proxy.counters.requests += 1
        full = len(self._inbox) >= INBOX_REQUESTS or self._inbox_bytes + len(message) > INBOX_BYTES
        if full or not self._within_rate():
            self._proxy.counters.rate_limited += 1
            self._refuse(
                RequestError(
                    ErrorCode.RATE_LIMITED,
                    f"too many requests: at most {self._proxy.limits.rate} a second; put several symbols in one",
                )
            )
            return
        self._inbox.append(message)
        self._inbox_bytes += len(message)
        if self._worker is None:
            self._worker = owned_task.start(self._work(), "requests of a client")

    def _within_rate(self) -> bool:
        now = self._loop.time()
        limits = self._proxy.limits
        self._tokens = min(float(limits.burst), self._tokens + (now - self._tokens_at) * limits.rate)
        self._tokens_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    async def _work(self) -> None:
        """Carries the waiting requests out, in order."""
        try:
            while self._inbox and not self.closing:
                message = self._inbox.popleft()
                self._inbox_bytes -= len(message)
                await self._carry_out(message)
        finally:
            self._worker = None

    async def _carry_out(self, message: bytes) -> None:
        if message == b"ping":  # the Excel add-in's keep-alive: bare text
            self._control(text_frame(b"pong"))
            return
        request_id: Any = None
        try:
            request = parse_request(message, self._proxy.limits.max_subscriptions)
            request_id = request.request_id
            await self._handle(request)
        except BadRequest as error:
            self._proxy.counters.bad_requests += 1
            if error.of_auth:
                self._auth_failed(error, error.request_id)
            else:
                self._refuse(error, error.request_id)
        except RequestError as error:
            self._refuse(error, request_id)
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("request failed, reference %s", reference)
            self._refuse(RequestError(ErrorCode.SERVER_ERROR, f"a defect of ours, reference {reference}"), request_id)

    def _refuse(self, error: RequestError, request_id: Any = None) -> None:
        self._proxy.counters.errors += 1
        self.send(error_answer(error, request_id))

    async def _handle(self, request: Request) -> None:
        match request:
            case Ping():
                self._pong(request)
            case Authenticate():
                await self._authenticate(request)
            case Command(action="pong"):
                pass
            case _ if self.feed is None:
                raise RequestError(
                    ErrorCode.NOT_AUTHENTICATED, 'authenticate first: {"action":"authenticate","api_key":"…"}'
                )
            case Subscribe():
                await self._held.subscribe(request, self.feed)
            case Unsubscribe():
                await self._held.unsubscribe(request.request_id, request.items, self.feed)
            case Command():
                await self._command(request, self.feed)

    def _pong(self, ping: Ping) -> None:
        pong = answer(ping.request_id, type="pong", status="success", server_timestamp=self._proxy.now_ms())
        if ping.timestamp is not None:
            pong["client_timestamp"] = ping.timestamp
        if ping.ping_id is not None:
            pong["_pingId"] = ping.ping_id
        self.send(pong)

    @property
    def key_digests(self) -> tuple[bytes, bytes]:
        """Tell the clients of one API key, should it be revoked: of the key that it uses, and of the one it will."""
        return self.key_digest, self._offered

    # -- authentication -----------------------------------------------------------------------------------

    async def _authenticate(self, request: Authenticate) -> None:
        digest = key_digest(request.api_key)
        try:
            user = await self._proxy.verify(request.api_key)
            if self.closing:
                return
            # From here on whoever revokes the key finds this client, which closes it.
            self._offered = digest
            began = self._loop.time()
            feed = await self._proxy.feed_of(user) if user is not None else None
            if feed is not None and self.feed is not None and self.feed is not feed:
                await self._held.release_all(self.feed)
            if user is not None and self._loop.time() - began > _LONG_WAIT:
                user = await self._proxy.verify(request.api_key)  # another process may have revoked it meanwhile
        except RequestError as error:
            self.send(auth_error(error, request.request_id))
            return
        finally:
            self._offered = b""
        if self.closing:
            return
        if user is None or feed is None:
            refusal = RequestError(
                ErrorCode.AUTHENTICATION_ERROR,
                "the API key is not valid: make one with `tickmux apikey create`, or see `tickmux apikey list`",
            )
            self._auth_failed(refusal, request.request_id)
            return
        if self._grace is not None:
            self._grace.cancel()
        self.user, self.feed, self.options = user, feed, request.options
        self.key_digest = digest
        features = {"ltp": True, "quote": True, "depth": True, "orders": feed.has_orders}
        self.send(
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
        self._unlisten()
        if request.options.feed_status:
            self._unlisten = feed.listen(self._show_status)
            self._show_status(feed.status)

    def _auth_failed(self, error: RequestError, request_id: Any) -> None:
        self._proxy.counters.auth_failures += 1
        self._attempts += 1
        self.send(auth_error(error, request_id))
        if self._attempts >= self._proxy.limits.auth_attempts and self.feed is None:
            self.close(CloseCode.NOT_AUTHENTICATED, "too many bad keys")

    def _out_of_grace(self) -> None:
        if self.feed is None:
            self.close(CloseCode.NOT_AUTHENTICATED, f"not authenticated within {self._proxy.limits.auth_grace:g} s")

    def _show_status(self, status: FeedStatus) -> None:
        if self.feed is not None and not self.closing:
            self.send(
                {
                    "type": "feed_status",
                    "broker": self.feed.broker,
                    "state": status.state.value,
                    "since": status.since,
                    "message": status.message,
                    "symbols": status.symbols,
                }
            )

    async def _command(self, command: Command, feed: Feed) -> None:
        match command.action:
            case "unsubscribe_all":
                names = dict.fromkeys((slot[0], slot[1]) for slot in self._proxy.index.held(self))
                await self._held.unsubscribe(command.request_id, [Item(*name) for name in names], feed)
            case "list_subscriptions":
                self.send(
                    answer(
                        command.request_id,
                        type="subscriptions",
                        status="success",
                        subscriptions=self._held.listing(feed),
                    )
                )
            case "get_broker_info":
                self.send(answer(command.request_id, **self._broker_info(feed)))
            case "get_supported_brokers":
                brokers = list(self._proxy.brokers)
                self.send(
                    answer(
                        command.request_id,
                        type="supported_brokers",
                        status="success",
                        brokers=brokers,
                        count=len(brokers),
                    )
                )
            case _:
                raise RequestError(ErrorCode.BROKER_ERROR, f"{feed.broker} has no order feed here: only market data")

    def _broker_info(self, feed: Feed) -> dict[str, Any]:
        status = feed.status
        return {
            "type": "broker_info",
            "status": "success",
            "broker": feed.broker,
            "adapter_status": "connected" if status.state in _CONNECTED else "disconnected",
            "user_id": self.user,
            "feed_state": status.state.value,
            "feed_since": status.since,
            "feed_message": status.message,
            "subscriptions": len(self._proxy.index.held(self)),
            **_counts(feed.info()),
        }

    async def farewell(self) -> None:
        """After the connection has gone: waits for the request under way, then gives everything back."""
        if self._worker is not None:
            await asyncio.wait([self._worker])
        await self._held.release_all(self.feed)


def _counts(info: FeedInfo) -> dict[str, Any]:
    counts: dict[str, Any] = msgspec.to_builtins(info)
    return counts | {"counters": counts["counters"] or {}}


def key_digest(api_key: str) -> bytes:
    return sha256(api_key.encode(errors="surrogatepass")).digest()


_CONNECTED = frozenset({"live", "stalled", "market_closed"})
