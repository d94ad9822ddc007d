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
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import picows
from picows import WSFrame, WSMsgType, WSTransport

from tickmux.errors import CloseCode, ErrorCode, RequestError
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed import Feed, Grant, Want
from tickmux.websocket_proxy.feed_state import FeedStatus
from tickmux.websocket_proxy.frames import Opcode, close_frame, frame_header, text_frame
from tickmux.websocket_proxy.lost_socket import is_lost
from tickmux.websocket_proxy.mapping import ANSWER_MODES
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
    overall,
    parse_request,
)
from tickmux.websocket_proxy.rendering import encode_frame
from tickmux.websocket_proxy.subscription_index import LaneKey, Slot

if TYPE_CHECKING:
    from tickmux.websocket_proxy.server import WebSocketProxy

log = logging.getLogger(__name__)

HIGH_WATER = 256 << 10
LOW_WATER = 64 << 10
INBOX_REQUESTS = 5000
INBOX_BYTES = 4 << 20


class ClientSession(picows.WSListener):
    """One connected client."""

    def __init__(self, proxy: "WebSocketProxy") -> None:
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self.pending: list[bytes] = []
        """Frames that wait for `flush`."""
        self.append: Callable[[bytes], object] = self.pending.append
        self.user = ""
        self.key_digest = b""
        """Tells the clients of one API key, should it be revoked."""
        self.feed: Feed | None = None
        self.paused = False
        self._options = Options()
        self._transport: WSTransport | None = None
        self._write: Callable[[bytes], object] = lambda data: None
        self._marks: dict[Slot, int] = {}
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._fragments: bytearray | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._attempts = 0
        self._tokens = float(proxy.limits.burst)
        self._tokens_at = self._loop.time()
        self._unlisten: Callable[[], None] = lambda: None
        self._closing = False
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
        if self._closing:
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
        self._closing = True
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
            self._marks = self._proxy.index.pause(self)
            if self._transport is not None:
                self._transport.underlying_transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.paused or self._closing:
            return
        self.paused = False
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()
        self._proxy.index.resume(self)
        marks, self._marks = self._marks, {}
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
        self._control(encode_frame(message, self._options.encoding))

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
        if not self._closing:
            self._proxy.counters.closes[int(code)] = self._proxy.counters.closes.get(int(code), 0) + 1
            self._control(close_frame(code, reason))
            self._hang_up()

    def _hang_up(self) -> None:
        self._closing = True
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
            self._worker = self._loop.create_task(self._work())

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
            while self._inbox and not self._closing:
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
                await self._subscribe(request, self.feed)
            case Unsubscribe():
                await self._unsubscribe(request.request_id, request.items, self.feed)
            case Command():
                await self._command(request, self.feed)

    def _pong(self, ping: Ping) -> None:
        pong = answer(ping.request_id, type="pong", status="success", server_timestamp=self._proxy.now_ms())
        if ping.timestamp is not None:
            pong["client_timestamp"] = ping.timestamp
        if ping.ping_id is not None:
            pong["_pingId"] = ping.ping_id
        self.send(pong)

    # -- authentication -----------------------------------------------------------------------------------

    async def _authenticate(self, request: Authenticate) -> None:
        user = await self._proxy.verify(request.api_key)
        if self._closing:
            return
        if user is None:
            error = RequestError(
                ErrorCode.AUTHENTICATION_ERROR,
                "the API key is not valid: make one with `tickmux apikey create`, or see `tickmux apikey list`",
            )
            self._auth_failed(error, request.request_id)
            return
        try:
            feed = await self._proxy.feed_of(user)
        except RequestError as error:
            self.send(auth_error(error, request.request_id))
            return
        if self._closing:
            return
        if self.feed is not None and self.feed is not feed:
            await self._release_all()
        if self._grace is not None:
            self._grace.cancel()
        self.user, self.feed, self._options = user, feed, request.options
        self.key_digest = key_digest(request.api_key)
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
        if self.feed is not None and not self._closing:
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

    # -- subscriptions ------------------------------------------------------------------------------------

    async def _subscribe(self, request: Subscribe, feed: Feed) -> None:
        held = self._proxy.index.held(self)
        room = self._proxy.limits.max_subscriptions - len(held)
        verdicts: list[Grant | RequestError] = []
        wants: list[Want] = []
        for item in request.items:
            mode = item.mode or Mode.QUOTE
            if item.error is not None:
                verdicts.append(item.error)
            elif room <= 0 and (item.symbol, item.exchange, mode) not in held:
                verdicts.append(self._no_room())
            else:
                room -= (item.symbol, item.exchange, mode) not in held
                wants.append(Want(item.symbol, item.exchange, mode, item.depth))
                verdicts.append(_PENDING)
        granted = iter(await feed.subscribe(wants))
        verdicts = [next(granted) if verdict is _PENDING else verdict for verdict in verdicts]
        returned = [self._hold(item, verdict, feed) for item, verdict in zip(request.items, verdicts, strict=True)]
        entries = [_subscribed(item, verdict, feed) for item, verdict in zip(request.items, verdicts, strict=True)]
        good = [isinstance(verdict, Grant) for verdict in verdicts]
        if not self._closing:
            self._answer_subscribe(request, feed, entries, good)
            for item, verdict in zip(request.items, verdicts, strict=True):
                if isinstance(verdict, Grant):
                    self._proxy.dispatcher.snapshot(self, self._lane(item), verdict.topic, verdict.snapshot)
            if self.pending:
                self.flush()
        await feed.unsubscribe([key for key in returned if key is not None])

    def _answer_subscribe(
        self, request: Subscribe, feed: Feed, entries: list[dict[str, Any]], good: list[bool]
    ) -> None:
        status = overall(good)
        self._proxy.counters.errors += good.count(False)
        message = {
            "success": "Subscription processing complete",
            "partial": f"{good.count(False)} of {len(good)} subscriptions failed, see subscriptions",
            "error": entries[0].get("message", "")
            if len(entries) == 1
            else "all subscriptions failed, see subscriptions",
        }[status]
        self.send(
            answer(
                request.request_id,
                type="subscribe",
                status=status,
                subscriptions=entries,
                message=message,
                broker=feed.broker,
            )
        )

    def _hold(self, item: Item, verdict: Grant | RequestError, feed: Feed) -> Any:
        """Enters a granted subscription into the index; the key whose reference has to be given back, if any: the
        one that this client held before, or the granted one when the client has gone meanwhile."""
        if not isinstance(verdict, Grant):
            return None
        if self._closing:
            return verdict.key
        index, key = self._proxy.index, verdict.key
        before = index.held(self).get((key.symbol, key.exchange, key.mode))
        returned = before.topic.key if before is not None else None
        index.add(self, key, verdict.topic, feed.broker, self._lane(item), foreign=feed.foreign)
        if self.paused:
            self._marks.update(index.pause(self))
        return returned

    def _lane(self, item: Item) -> LaneKey:
        options = self._options
        throttle = item.throttle_ms if item.throttle_ms is not None else options.throttle_ms
        milliseconds = self._proxy.limits.throttle_ms if throttle is None else throttle
        return LaneKey(options.format, options.encoding, options.sequence, milliseconds / 1000)

    def _no_room(self) -> RequestError:
        self._proxy.counters.rate_limited += 1
        return RequestError(
            ErrorCode.SUBSCRIPTION_LIMIT,
            f"this client holds {self._proxy.limits.max_subscriptions} subscriptions, the most that it may: "
            "unsubscribe some, or open another connection",
        )

    async def _unsubscribe(self, request_id: Any, items: Sequence[Item], feed: Feed) -> None:
        successful: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        released = []
        for item in items:
            if item.error is not None:
                failed.append(_failure(item.symbol, item.exchange, item.error))
                continue
            held = self._proxy.index.slots(self, item.symbol, item.exchange)
            slots = held if item.mode is None else [slot for slot in held if slot[2] == item.mode]
            if not slots:
                failed.append(_failure(item.symbol, item.exchange, _not_held(item)))
            for slot in slots:
                released.append(self._proxy.index.remove(self, slot))
                successful.append(_released(slot, feed))
        await feed.unsubscribe([key for key in released if key is not None])
        status = "success" if not failed else "partial" if successful else "error"
        self.send(
            answer(
                request_id,
                type="unsubscribe",
                status=status,
                message=f"{len(successful)} unsubscribed" + (f", {len(failed)} failed" if failed else ""),
                successful=successful,
                failed=failed,
                broker=feed.broker,
            )
        )

    async def _command(self, command: Command, feed: Feed) -> None:
        match command.action:
            case "unsubscribe_all":
                names = dict.fromkeys((slot[0], slot[1]) for slot in self._proxy.index.held(self))
                await self._unsubscribe(command.request_id, [Item(*name) for name in names], feed)
            case "list_subscriptions":
                self.send(
                    answer(command.request_id, type="subscriptions", status="success", subscriptions=self._list(feed))
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

    def _list(self, feed: Feed) -> list[dict[str, Any]]:
        return [
            {
                "symbol": symbol,
                "exchange": exchange,
                "mode": ANSWER_MODES[mode],
                "depth": held.topic.key.depth,
                "throttle_ms": round(held.lane.throttle * 1000),
                "broker": feed.broker,
            }
            for (symbol, exchange, mode), held in self._proxy.index.held(self).items()
        ]

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
            **feed.info(),
        }

    async def _release_all(self) -> None:
        """Gives everything back that this client holds."""
        feed = self.feed
        index = self._proxy.index
        released = [index.remove(self, slot) for slot in tuple(index.held(self))]
        if feed is not None:
            await feed.unsubscribe([key for key in released if key is not None])

    async def farewell(self) -> None:
        """After the connection has gone: waits for the request under way, then gives everything back."""
        if self._worker is not None:
            await asyncio.wait([self._worker])
        await self._release_all()


def key_digest(api_key: str) -> bytes:
    return sha256(api_key.encode(errors="surrogatepass")).digest()


_PENDING = RequestError(ErrorCode.SERVER_ERROR, "no verdict")
_CONNECTED = frozenset({"live", "stalled", "market_closed"})


def _subscribed(item: Item, verdict: Grant | RequestError, feed: Feed) -> dict[str, Any]:
    if not isinstance(verdict, Grant):
        return _failure(item.symbol, item.exchange, verdict)
    return {
        "symbol": item.symbol,
        "exchange": item.exchange,
        "status": "success",
        "mode": ANSWER_MODES[verdict.key.mode],
        "depth": verdict.key.depth,
        "broker": feed.broker,
    }


def _released(slot: Slot, feed: Feed) -> dict[str, Any]:
    symbol, exchange, mode = slot
    return {
        "symbol": symbol,
        "exchange": exchange,
        "status": "success",
        "mode": ANSWER_MODES[mode],
        "broker": feed.broker,
    }


def _failure(symbol: str, exchange: str, error: RequestError) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "exchange": exchange,
        "status": "error",
        "code": error.code.value,
        "message": error.message,
    }


def _not_held(item: Item) -> RequestError:
    what = f" in mode {ANSWER_MODES[item.mode]}" if item.mode is not None else ""
    return RequestError(
        ErrorCode.INVALID_PARAMETERS,
        f"{item.symbol} on {item.exchange} is not subscribed{what} by this client: see list_subscriptions",
    )
