"""One client's connection: what comes in, what goes out, and how fast.

Out: frames are appended to `pending` and written with one call a drain. A client that falls behind, because its
socket is full or because it answers pings late (`reading_pace.py`), leaves all lanes and costs the others nothing; it
gets the newest values a portion at a time until it keeps up again. Requests are answered by `client_requests.py`.

Owns timers: for authentication, for a late answer to a ping, for the next portion, for hanging up. Bounds: the queue
of requests, the outgoing buffer by the transport's high-water mark and one drain, subscriptions by `Limits`, a
message by `max_message`.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import picows
from picows import WSFrame, WSMsgType, WSTransport

from tickmux.errors import CloseCode, ErrorCode, RequestError
from tickmux.websocket_proxy.client_protocol import ClientProtocol
from tickmux.websocket_proxy.client_requests import ClientRequests
from tickmux.websocket_proxy.client_socket import make_room, silent_for, unacknowledged
from tickmux.websocket_proxy.feed import Feed
from tickmux.websocket_proxy.feed_news import FeedNews
from tickmux.websocket_proxy.frames import Opcode, close_frame, frame_header
from tickmux.websocket_proxy.lost_socket import is_lost
from tickmux.websocket_proxy.protocol import Options
from tickmux.websocket_proxy.reading_pace import FIRST, ReadingPace
from tickmux.websocket_proxy.rendering import encode_frame
from tickmux.websocket_proxy.request_queue import RequestQueue
from tickmux.websocket_proxy.session_host import SessionHost
from tickmux.websocket_proxy.subscription_index import Slot

HIGH_WATER = 64 << 10
LOW_WATER = 16 << 10
STRANGERS_MESSAGE = 4 << 10
"""Bytes of a message before authentication."""
_BEFORE_AN_ANSWER = 64 << 10
"""Bytes that a client of which nothing is known gets as long as its machine takes them."""
_STEP = 0.05
"""Seconds between two portions, at least."""
_SLOTS_A_SECOND = 200_000
"""Subscriptions of one client that are looked at for its portions."""
_HANG_UP = 1.0
"""Seconds that a client has to answer a close frame."""
_LINGER = 60.0
"""Seconds for which a client that has stopped reading may still find out why it was closed."""


def _nowhere(data: bytes) -> None:
    """What a socket that is gone is sent."""


class ClientSession(picows.WSListener):
    """One connected client."""

    def __init__(self, proxy: SessionHost["ClientSession"], protocol: ClientProtocol) -> None:
        self._proxy = proxy
        self.protocol = protocol
        self._loop = asyncio.get_running_loop()
        self.address = protocol.address
        self.pending: list[bytes] = []
        """Frames that wait for `flush`."""
        self.append: Callable[[bytes], object] = self.pending.append
        self.user = ""
        self.key_digest = b""
        self.offered = b""
        """A key that has come and may be good; its feed is being made."""
        self.feed: Feed | None = None
        self.verifying = False
        """Whether a key has come that is being looked at."""
        self.options = Options()
        self.max_message = STRANGERS_MESSAGE
        self.paused = False
        """Whether it is behind, and out of its lanes."""
        self.marks: dict[Slot, int] = {}
        """While paused: which payload of each subscription was the last to go out."""
        self._transport: WSTransport | None = None
        self._write: Callable[[bytes], object] = _nowhere
        self._full = False
        self._room = asyncio.Event()
        self._room.set()
        self._reading = True
        self._pace = ReadingPace(self._loop.time())
        self._step_timer: asyncio.TimerHandle | None = None
        self._late_timer: asyncio.TimerHandle | None = None
        self._last_step = 0.0
        self._asked_bytes = self._read_bytes = 0
        """`bytes` when the last ping went out, and when the last one went out that was answered."""
        self._look_at = FIRST
        """The number of `bytes` at which it is time to ask, or too many lie unread."""
        self._requests = ClientRequests(self, proxy)
        limits = proxy.limits
        self._queue = RequestQueue(
            self._requests.carry_out,
            self._has_room,
            self._update_reading,
            rate=limits.rate,
            burst=limits.burst,
            longest=limits.max_waiting,
        )
        self._fragments: bytearray | None = None
        self._grace: asyncio.TimerHandle | None = None
        self.news = FeedNews(self, proxy.index)
        self.closing = False
        self.lingering = False
        """Whether the session has ended, and only its socket is still there for the client to read."""
        self._left = False
        self.since = proxy.now_ms()
        """When it connected, epoch ms."""
        self.messages = 0
        """Frames that were written."""
        self.bytes = 0
        """Bytes that were written."""
        self.heard_at = self._loop.time()
        """When anything last came from it."""
        self.waiting_bytes = 0
        """What it had not read when that was last looked at."""
        self._waiting_since = 0.0

    # -- picows -------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        underlying = transport.underlying_transport
        underlying.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self._write = underlying.write
        if not self._proxy.admit(self):
            self.refuse_place()
            return
        self.begin_grace()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.protocol.unfinished = 0
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            self._answer_close()
        elif self.closing:
            return
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close(CloseCode.PROTOCOL_ERROR, "reserved bits are set: no extension was agreed on")
        elif frame.payload_size > self.max_message:
            self.too_long()
        else:
            self.heard_at = self._loop.time()
            self._take(kind, frame)

    def _take(self, kind: WSMsgType, frame: WSFrame) -> None:
        if kind == WSMsgType.TEXT and frame.fin and self._fragments is None:
            self._receive(frame.get_payload_as_bytes())
        elif kind == WSMsgType.PONG:
            read = self._asked_bytes - self._read_bytes
            if self._pace.answered(frame.get_payload_as_bytes(), self.heard_at, read):
                self._answered_ping()
        elif kind == WSMsgType.PING:
            payload = frame.get_payload_as_bytes()
            self._control(frame_header(Opcode.PONG, len(payload)) + payload)
        elif kind == WSMsgType.BINARY:
            self._fragments = None
            self._proxy.counters.bad_requests += 1
            self._requests.refuse(
                RequestError(ErrorCode.INVALID_JSON, "a binary frame: send requests as JSON in text frames")
            )
        else:
            self._assemble(kind, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closing = True
        self._cancel_timers()
        self._queue.close()
        self._room.set()
        self._leave()

    def pause_writing(self) -> None:
        """The socket is full."""
        self._full = True
        self._room.clear()
        self._fall_behind()
        self._update_reading()

    def resume_writing(self) -> None:
        """The socket has room again; a portion goes out when the client has read what was written."""
        if not self._full or self.closing:
            return
        self._full = False
        self._room.set()
        self._update_reading()
        if self.paused:
            self._ask_or_step()

    # -- out ----------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes all pending frames with one call."""
        pending = self.pending
        if not pending:
            return
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        self.messages += len(pending)
        self.bytes += len(data)
        self._proxy.counters.bytes += len(data)
        pending.clear()
        try:
            self._write(data)
        except RuntimeError:  # closed by the loop, which has not told us yet: the other clients' turn is now
            self._write = _nowhere
        if self.bytes > self._look_at:
            self._look_at_window()

    def send(self, message: dict[str, Any]) -> None:
        """Sends an answer or event, behind what is pending. It does not count for the window: it was asked for."""
        frame = encode_frame(message, self.options.encoding)
        self._read_bytes += len(frame)
        self._look_at += len(frame)
        self._control(frame)

    def send_frame(self, frame: bytes) -> None:
        """Sends a prepared frame, behind what is pending."""
        self._control(frame)

    def _control(self, frame: bytes) -> None:
        self.append(frame)
        self.flush()

    def write_buffer_size(self) -> int:
        """Bytes that the socket has not taken yet."""
        if self._transport is None or self._transport.is_disconnected:
            return 0
        return int(self._transport.underlying_transport.get_write_buffer_size())

    # -- pace ---------------------------------------------------------------------------------------------

    def _look_at_window(self) -> None:
        """Much has been written since the client last said what it has read."""
        self._look_at = 1 << 62
        if self.closing or self.paused or self.feed is None or not self._asks():
            return
        if not self._pace.answers and self.bytes < _BEFORE_AN_ANSWER and not self._unread():
            self._read_bytes = self.bytes  # it has answered no ping yet, but its machine has everything
        if self.bytes > self._read_bytes + self._pace.window:
            self._fall_behind()
        elif self._pace.asked_at is None:
            self._ask()
        else:
            self._look_at = self._read_bytes + self._pace.window

    def _fall_behind(self) -> None:
        if self.paused or self.closing:
            return
        self.paused = True
        self._look_at = 1 << 62
        self._proxy.counters.pauses += 1
        self.marks = self._proxy.index.pause(self)
        self._pace.fall_behind(self._loop.time())
        if not self._full:
            self._ask_or_step()

    def _ask_or_step(self) -> None:
        """Behind: the next portion follows the answer to a ping, or comes at once where nobody answers pings."""
        if self._asks():
            if self._pace.asked_at is None:
                self._ask()
        else:
            self._step_in(_STEP)

    def _asks(self) -> bool:
        return self._proxy.limits.ping_interval > 0 and not self._pace.mute

    def _ask(self) -> None:
        payload = self._pace.ask(self._loop.time())
        self._look_at = 1 << 62
        self._control(frame_header(Opcode.PING, len(payload)) + payload)
        self._asked_bytes = self.bytes
        if not self.paused:
            self._look_at = self._read_bytes + self._pace.window
        if self._late_timer is None:
            self._late_timer = self._loop.call_later(0.3, self._look_for_answer)

    def _look_for_answer(self) -> None:
        """A ping went out a while ago."""
        self._late_timer = None
        now = self._loop.time()
        if self.closing or self._pace.asked_at is None:
            return
        if self._pace.gives_up(now, self._unread()):
            self._read_bytes = self.bytes
            if self.paused:
                self._step_in(0.0)
            return
        if not self.paused and self.bytes > self._asked_bytes and self._pace.answers and self._pace.late(now):
            self._fall_behind()
        self._late_timer = self._loop.call_later(
            1.0 if self.paused and self._pace.answers else 0.1, self._look_for_answer
        )

    def _unread(self) -> int:
        if self._transport is None:
            return 0
        return self.write_buffer_size() + unacknowledged(self._transport.underlying_transport)

    def _answered_ping(self) -> None:
        self._read_bytes = max(self._read_bytes, self._asked_bytes)
        if not self.paused:
            self._look_at = self._read_bytes + self._pace.window // 2
        if self.paused:
            self._step_in(max(0.0, self._last_step + self._step_time() - self._loop.time()))
        elif self._pace.late(self._loop.time()) and self.bytes > self._asked_bytes:
            self._fall_behind()
        elif self.bytes > self._look_at:
            self._look_at_window()

    def _step_time(self) -> float:
        return max(_STEP, len(self.marks) / _SLOTS_A_SECOND)

    def _step_in(self, seconds: float) -> None:
        if self._step_timer is None:
            self._step_timer = self._loop.call_later(seconds, self._step)

    def _step(self) -> None:
        """A portion for a client that is behind; or nothing was left to send, and it may try to keep up again."""
        self._step_timer = None
        if self.closing or not self.paused or self._full:
            return
        if not self._asks() and self._unread():  # read by the kernel at least
            self._step_in(_STEP)
            return
        self._last_step = self._loop.time()
        sent, everything = self._proxy.dispatcher.catch_up(self, self.marks, self._pace.portion)
        self.news.catch_up()
        if everything and self._pace.may_try(self._last_step):
            self._keep_up()
        elif sent:
            self.flush()
            self._ask_or_step()
        else:
            self._step_in(self._step_time())

    def _keep_up(self) -> None:
        self.paused = False
        self.marks = {}
        self._proxy.index.resume(self)
        self._look_at = self._read_bytes + self._pace.window // 2
        self.flush()

    def look_after(self, now: float) -> None:
        """Once in a while: asks a client that gets data whether it keeps up, and one that gets none whether it
        lives."""
        limits = self._proxy.limits
        if self.closing or self.feed is None or not limits.ping_interval:
            return
        if not self.paused and self.bytes > self._asked_bytes and self._pace.due(now):
            self._ask()
        elif self._pace.asked_at is None:
            if now - max(self.heard_at, self._pace.last_asked) >= limits.ping_interval:
                self._ask()
        elif now - self._pace.asked_at > limits.ping_timeout and now - self.heard_at > limits.ping_timeout:
            self._drop_if_dead(limits.ping_timeout)

    def has_stopped_reading(self, now: float) -> bool:
        """Whether it has read nothing for `slow_consumer` seconds while data waited."""
        waiting = self._unread() if self.paused else self.write_buffer_size()
        if not waiting or waiting != self.waiting_bytes:
            self.waiting_bytes, self._waiting_since = waiting, now
        limit = self._proxy.limits.slow_consumer
        if waiting and now - self._waiting_since >= limit:
            return True
        return self.paused and self._pace.waited_for(now) >= limit

    def _drop_if_dead(self, timeout: float) -> None:
        """No answer to a ping. A client that knows no pings stays as long as its kernel acknowledges what is sent."""
        transport = self._transport
        if transport is None or not self._unread():
            return
        if silent_for(transport.underlying_transport) > timeout:
            self._proxy.refusals.tell("vanished", address=self.address, user=self.user)
            transport.disconnect(False)

    # -- end ----------------------------------------------------------------------------------------------

    def drop_if_lost(self) -> None:
        """Lets go of a client whose end the event loop has not noticed."""
        if self._transport is not None and is_lost(self._transport.underlying_transport):
            self._transport.disconnect(False)

    def refuse_place(self) -> None:
        """All places for clients are taken."""
        self.close(CloseCode.TRY_AGAIN_LATER, "connection limit reached")

    def too_long(self) -> None:
        """A message, finished or not, is longer than this client may send now."""
        if not self.closing:
            known = "" if self.feed is not None else " before authentication"
            self.close(CloseCode.MESSAGE_TOO_BIG, f"more than {self.max_message} bytes{known}")
            self.protocol.turn_deaf()

    def close(self, code: int, reason: str) -> None:
        """Says why, waits for the client's answer, and hangs up a second later at the latest.

        Where the socket is full the kernel is given room for what has begun to go out and the close frame behind it,
        so that a client that reads again finds out.
        """
        if self.closing:
            return
        counters = self._proxy.counters
        counters.closes[int(code)] = counters.closes.get(int(code), 0) + 1
        if code != CloseCode.GOING_AWAY:
            self._proxy.refusals.tell(
                f"close_{int(code)}", address=self.address, user=self.user, because=reason, connected_since=self.since
            )
        self.closing = True
        self._cancel_timers()
        self._queue.close()
        self._room.set()
        if self.paused:
            self.pending.clear()
        if self._transport is not None and (self.paused or self.write_buffer_size()):
            make_room(self._transport.underlying_transport, self.write_buffer_size())
        self._control(close_frame(code, reason))
        self._update_reading()
        if code == CloseCode.SLOW_CONSUMER:
            self._linger()
        else:
            self._loop.call_later(_HANG_UP, self._hang_up)

    def _linger(self) -> None:
        """Leaves the socket to a client that does not read, so that it finds the close frame when it does.

        Were it closed on this side, the client's answers to pings that lie before that frame would be met with a
        reset, and the frame would be lost. The session has gone all the same.
        """
        self.lingering = True
        self.protocol.turn_deaf()
        if self._transport is not None:
            self._transport.underlying_transport.write_eof()
        self._loop.call_later(_LINGER, self._hang_up)
        self._leave()

    def _leave(self) -> None:
        """Gives back all that the session has, once."""
        if not self._left:
            self._left = True
            self.news.stop()
            self._proxy.forget(self)

    def _answer_close(self) -> None:
        """The client's close frame: the answer to ours, or its own wish."""
        if not self.closing:
            self.closing = True
            self._cancel_timers()
            self._queue.close()
            self._control(close_frame(1000, ""))
        if self._transport is not None:
            self._transport.underlying_transport.close()
            self._loop.call_later(_HANG_UP, self._transport.disconnect, False)

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(False)

    def _cancel_timers(self) -> None:
        for timer in (self._grace, self._step_timer, self._late_timer):
            if timer is not None:
                timer.cancel()
        self._grace = self._step_timer = self._late_timer = None

    async def farewell(self) -> None:
        """After the connection has gone: waits for the request under way, then gives everything back."""
        await self._queue.ended()
        await self._requests.release_all(self.feed)

    # -- in -----------------------------------------------------------------------------------------------

    def _assemble(self, kind: WSMsgType, frame: WSFrame) -> None:
        """A fragmented text message: rare, yet allowed."""
        if kind == WSMsgType.TEXT:
            self._fragments = bytearray()
        if self._fragments is None:
            self._requests.refuse(
                RequestError(ErrorCode.INVALID_JSON, "a continuation of nothing: send whole text frames")
            )
            return
        self._fragments += frame.get_payload_as_memoryview()
        if len(self._fragments) > self.max_message:
            self._fragments = None
            self.too_long()
        elif frame.fin:
            message, self._fragments = bytes(self._fragments), None
            self._receive(message)

    def _receive(self, message: bytes) -> None:
        self._proxy.counters.requests += 1
        if not self._queue.put(message):
            self._proxy.counters.rate_limited += 1
            self._proxy.refusals.tell("rate_limited", address=self.address, user=self.user)
            limits = self._proxy.limits
            self._requests.refuse(
                RequestError(
                    ErrorCode.RATE_LIMITED,
                    f"too many requests: {limits.rate} a second are carried out and {limits.max_waiting} may wait; "
                    "put several symbols in one",
                )
            )
        self._update_reading()

    def _update_reading(self) -> None:
        """Reads on, unless answers find no room, too many requests wait, or a stranger's request is not done yet."""
        if self._transport is None or self._transport.is_disconnected:
            return
        wanted = self.closing or not (self._full or self._queue.crowded or (self.feed is None and self._queue.busy))
        if wanted != self._reading:
            self._reading = wanted
            underlying = self._transport.underlying_transport
            if wanted:
                underlying.resume_reading()
            else:
                underlying.pause_reading()

    async def _has_room(self) -> None:
        await self._room.wait()

    def spend(self, instruments: int) -> None:
        """What the present request costs, in instruments that it is about."""
        self._queue.spend(instruments)

    @property
    def key_digests(self) -> tuple[bytes, bytes]:
        """Tell the clients of one API key, should it be revoked: of the key that it uses, and of the one it will."""
        return self.key_digest, self.offered

    # -- authentication -----------------------------------------------------------------------------------

    def begin_grace(self) -> None:
        """From now on the time for authentication runs."""
        if self._grace is None and self.feed is None and not self.closing:
            self._grace = self._loop.call_later(self._proxy.limits.auth_grace, self._out_of_grace)

    def end_grace(self) -> None:
        """A key has come: how long we take to look at it is not the client's time."""
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _out_of_grace(self) -> None:
        self._grace = None
        self.close(CloseCode.NOT_AUTHENTICATED, f"not authenticated within {self._proxy.limits.auth_grace:g} s")

    def adopt(self, user: str, feed: Feed, options: Options) -> None:
        """It has authenticated, with the key that it offered."""
        self.key_digest = self.offered
        self.user, self.feed, self.options = user, feed, options
        self.max_message = self._proxy.limits.max_message

    def follow_feed(self, feed: Feed) -> None:
        """Shows the feed's state now and whenever it changes, to a client that wants to know."""
        self.news.follow(feed)

    def expect_data(self) -> None:
        """Data follow what was just subscribed: asks how quick an answer can be while little lies before it."""
        if self._pace.never_asked and self._asks():
            self._ask()

    @property
    def full(self) -> bool:
        """Whether its socket takes nothing more at present."""
        return self.paused and self._full
