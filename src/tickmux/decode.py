"""What `tickmux decode` says: a vector file or a capture, run through a broker's codec. No network, no clock.

The document is a JSON object (`docs/brokers` and the vector files have examples):

    broker       a broker's name, or a protocol family's (`_noren`, `_xts`)
    instruments  what is subscribed: rows with at least symbol, exchange and token
    incoming     items of `name` and `frames` ({"hex"} binary, {"text"} text), each for a fresh codec
    outgoing     items of `name` and `call`, each for a fresh codec

An item may name its `channel` (or `feed`), and calls that came `before` it; an incoming one also what is
subscribed (`instruments`, `mode`, `depth_level`; all of them in depth mode otherwise). With `continuous` true,
incoming items of a channel share one codec. `expect` is never looked at. Results are plain dicts, one an item; its
`event` is that of the last frame that has one, and beside ticks only trouble counts.

Other strings of the document, of an item's call and of its `credentials` reach the codec as credentials,
through `open_frames` before anything is subscribed. Calls that no method of the contract covers go to
`FeedCodec.call_frames`, their `instruments` resolved to `Instrument` objects.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import httpx
import msgspec

from tickmux.capture import (
    CaptureError,
    chosen,
    depth_of,
    earlier_calls,
    instruments_of,
    item_call,
    item_frames,
    item_name,
    items,
    mode_of,
    session_values,
)
from tickmux.codec import BinaryText, Credentials, Event, FeedCodec, Frame, HttpRequest
from tickmux.codec_session import CodecSession, book_channel
from tickmux.instrument import Instrument
from tickmux.order_update import OrderUpdate
from tickmux.orders.account import AccountOrders
from tickmux.orders.naming import ListedNames
from tickmux.tick import Mode, Tick, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected, BaseBrokerWebSocketAdapter, Unavailable
from tickmux.websocket_proxy.broker_factory import UnknownBroker, load_broker

_CONNECT, _HEARTBEAT, _CLOSE = ("connect", "open"), ("heartbeat", "ping"), ("disconnect", "close")
_SUBSCRIBE, _UNSUBSCRIBE, _CHANGE = "subscribe", "unsubscribe", ("set_mode", "change_mode")
_TROUBLE = (Event.MALFORMED, Event.ERROR, Event.AUTH_ERROR)
_ORDERS = "orders"
_WORDS_ABOUT_THE_FILE = frozenset(
    {"broker", "oracle", "remark", "note", "notes", "compare", "codec", "session_note", "base_url", "prefix"}
)


def decode_document(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One line for each incoming, then for each outgoing item; raises CaptureError or UnknownBroker at once."""
    adapter = adapter_for(document.get("broker"))
    instruments = instruments_of(document.get("instruments"))
    incoming = [
        (item, _channel(adapter, item, document, where), item_frames(item, where))
        for item, where in items(document, "incoming")
    ]
    outgoing = [
        (item, _channel(adapter, item, document, where), item_call(item, where))
        for item, where in items(document, "outgoing")
    ]
    return _lines(document, adapter, instruments, incoming, outgoing)


def adapter_for(broker: object) -> BaseBrokerWebSocketAdapter:
    """The adapter of a broker, or the one that a protocol family offers for its vectors as VECTOR_ADAPTER."""
    if not isinstance(broker, str) or not broker:
        raise CaptureError("the document names no `broker`")
    if not re.fullmatch(r"_[a-z]+", broker):
        return load_broker(broker).adapter()
    try:
        family = import_module(f"tickmux.broker.{broker}")
    except ModuleNotFoundError:
        raise UnknownBroker(broker) from None
    offered: type[BaseBrokerWebSocketAdapter] | None = getattr(family, "VECTOR_ADAPTER", None)
    if offered is None:
        raise UnknownBroker(broker)
    return offered()


# -- the two kinds of items ------------------------------------------------------------------------------


def _lines(
    document: Mapping[str, Any],
    adapter: BaseBrokerWebSocketAdapter,
    instruments: Sequence[Instrument],
    incoming: Sequence[tuple[Mapping[str, Any], str, list[bytes | str]]],
    outgoing: Sequence[tuple[Mapping[str, Any], str, Mapping[str, Any]]],
) -> Iterator[dict[str, Any]]:
    by_name = {(instrument.symbol, instrument.exchange): instrument for instrument in instruments}
    listed = ListedNames(instruments)
    kept: dict[str, CodecSession] = {}
    for number, (item, channel, frames) in enumerate(incoming):
        line: dict[str, Any] = {"name": item_name(item, number), "ticks": [], "event": None}
        try:
            channel = channel or next(iter(adapter.channels))
            session = kept.get(channel) or _subscribed(adapter, channel, item, instruments, by_name)
            if document.get("continuous") is True:
                kept[channel] = session
            line |= _decoded(session.codec, frames, listed)
        except Exception as error:  # an item that cannot be set up must not hide the ones after it
            line["error"] = _words(error)
        yield line
    for number, (item, channel, call) in enumerate(outgoing):
        line = {"name": item_name(item, number), "frames": []}
        try:
            if not channel:
                channel = book_channel(adapter, chosen(call.get("instruments"), by_name), depth_of(call))
            line |= _Caller(document, item, CodecSession(adapter, channel), by_name).run(call)
        except Exception as error:  # a call that this broker cannot make must not hide the ones after it
            line["error"] = _words(error)
        yield line


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error.args[0] if error.args else ''}"


def _subscribed(
    adapter: BaseBrokerWebSocketAdapter,
    channel: str,
    item: Mapping[str, Any],
    instruments: Sequence[Instrument],
    by_name: Mapping[tuple[str, str], Instrument],
) -> CodecSession:
    session = CodecSession(adapter, channel)
    wanted = chosen(item["instruments"], by_name) if "instruments" in item else instruments
    session.subscribe_incoming(wanted, mode_of(item.get("mode")) or Mode.DEPTH, depth_of(item))
    return session


def _decoded(codec: FeedCodec, frames: Iterable[bytes | str], listed: ListedNames) -> dict[str, Any]:
    orders: list[OrderUpdate] = []
    ticks: list[dict[str, object]] = []
    replies: list[Frame] = []
    events: list[Event] = []
    failed: list[str] = []
    for number, frame in enumerate(frames):
        try:
            decoded = codec.decode(frame)
        except Exception as error:  # a codec promises not to raise; the frames after this one count all the same
            failed.append(f"frame {number}: {_words(error)}")
            events.append(Event.MALFORMED)
            continue
        ticks += map(tick_line, decoded.ticks)
        orders += map(listed.name, decoded.orders)
        replies += decoded.replies
        if decoded.event:
            events.append(decoded.event)
    telling = [event for event in events if event in _TROUBLE or not ticks]
    line: dict[str, Any] = {"ticks": ticks, "event": telling[-1] if telling else None}
    if orders:
        line |= _order_lines(orders)
    if replies:
        line["replies"] = [frame_line(reply) for reply in replies]
    if failed:
        line["error"] = "; ".join(failed[:5])
    return line


def _order_lines(decoded: Sequence[OrderUpdate]) -> dict[str, Any]:
    """What the account's clients are told (`orders`), and all that was decoded where that is more."""
    account = AccountOrders()
    told = [news for update in decoded if (news := account.tell(update)) is not None]
    lines = {"orders": msgspec.to_builtins(told)}
    return lines if told == decoded else lines | {"decoded": msgspec.to_builtins(decoded)}


class _Caller:
    """One outgoing item: the codec's earlier calls are made unseen, then `run` gives what the call sends."""

    def __init__(
        self,
        document: Mapping[str, Any],
        item: Mapping[str, Any],
        session: CodecSession,
        by_name: Mapping[tuple[str, str], Instrument],
    ) -> None:
        self.session = session
        self.by_name = by_name
        self.earlier = [call for key in ("before", "after") for call in earlier_calls(item.get(key))]
        self.writes_handshake = isinstance(document.get("format"), dict)
        self.context = {
            name: value
            for name, value in document.items()
            if isinstance(value, str) and name not in _WORDS_ABOUT_THE_FILE
        } | {name: str(item[name]) for name in ("profile", "protocol") if name in item}
        config = item.get("config")  # what an item sets otherwise than its document: XTS's path prefix
        if isinstance(config, Mapping):
            self.context |= {str(name): value for name, value in config.items() if isinstance(value, str)}
        elif isinstance(config, str):
            self.context["prefix"] = config

    def run(self, call: Mapping[str, Any]) -> dict[str, Any]:
        values = self.context | session_values(call)
        op = call["op"]
        if op not in _CONNECT and values:
            with suppress(LookupError, ValueError):  # the call may give less than a whole session
                self.session.codec.open_frames(Credentials(values))
        for earlier in self.earlier:
            self._frames(earlier, values)
        frames = self._frames(call, values)
        base = self._rest_base(values) if any(isinstance(frame, HttpRequest) for frame in frames) else ""
        line: dict[str, Any] = {"frames": [frame_line(frame, base) for frame in frames]}
        if op in _CONNECT and not frames and (url := self._url(values)):
            if self.writes_handshake:
                line["frames"] = [{"ws": {"url": url}}]
            else:
                line["url"] = url
        return line

    def _frames(self, call: Mapping[str, Any], values: Mapping[str, str]) -> list[Frame]:
        op, codec = call["op"], self.session.codec
        mode, depth = mode_of(call.get("mode")), depth_of(call)
        instruments = chosen(call.get("instruments", ()), self.by_name)
        if op == _SUBSCRIBE and (mode or "mode" not in call):
            return self.session.subscribe(instruments, mode or Mode.QUOTE, depth)
        if op == _UNSUBSCRIBE and (mode or "mode" not in call):
            return self.session.unsubscribe(instruments, mode, depth)
        if op in _CHANGE and (target := mode_of(call.get("to")) or mode):
            return self.session.change(instruments, mode_of(call.get("from")), target, depth)
        named = op in (*_CONNECT, *_HEARTBEAT, *_CLOSE)
        frames: list[Frame] = []
        if op in _CONNECT:
            frames = codec.open_frames(Credentials(values))
        elif op in _HEARTBEAT:
            frames = codec.heartbeat_frames()
        elif op in _CLOSE:
            frames = codec.close_frames()
        if frames:
            return frames
        try:
            return codec.call_frames({**call, "instruments": instruments})
        except ValueError:
            if named:  # nothing is sent for it
                return []
            raise

    def _url(self, values: Mapping[str, str]) -> str:
        return _endpoint(self.session, Credentials(values))[0]

    def _rest_base(self, values: Mapping[str, str]) -> str:
        return _endpoint(self.session, Credentials(_Unknown(values)))[1]


class _Unknown(dict[str, str]):
    """Credentials of which only some matter: what is not given is empty."""

    def __missing__(self, name: str) -> str:
        return ""


def _endpoint(session: CodecSession, credentials: Credentials) -> tuple[str, str]:
    """(URL, REST base) of the session's channel; empty where only the broker itself could tell."""

    async def ask() -> tuple[str, str]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(_refuse)) as http:
            endpoint = await session.adapter.endpoint(session.channel, credentials, http)
        return endpoint.url, endpoint.rest_base

    try:
        return asyncio.run(ask())
    except (AuthRejected, Unavailable, LookupError, httpx.HTTPError):
        return "", ""


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("decoding makes no requests", request=request)


# -- lines -----------------------------------------------------------------------------------------------


def tick_line(tick: Tick) -> dict[str, object]:
    """The tick by the names of the client protocol; absent fields are absent."""
    instrument = tick.instrument
    return {
        "symbol": instrument.symbol,
        "exchange": instrument.exchange,
        "mode": tick.mode.name,
        **tick_fields(tick),
    }


def frame_line(frame: Frame, rest_base: str = "") -> dict[str, Any]:
    """The frame as vector files write it: `text`, `hex` or `http`."""
    if isinstance(frame, HttpRequest):
        url = frame.url if "://" in frame.url else f"{rest_base.rstrip('/')}/{frame.url.lstrip('/')}"
        request: dict[str, Any] = {"method": frame.method, "url": url, "headers": dict(frame.headers)}
        if frame.body is not None:
            request["headers"] = {"Content-Type": "application/json", **frame.headers}
            request["json"] = frame.body
        return {"http": request}
    if isinstance(frame, BinaryText):
        return {"text": frame.decode("utf-8", "replace"), "opcode": "binary"}
    if isinstance(frame, str):
        return {"text": frame}
    return {"hex": frame.hex()}


def _channel(
    adapter: BaseBrokerWebSocketAdapter, item: Mapping[str, Any], document: Mapping[str, Any], where: str
) -> str:
    """Which socket an item belongs to: what it names, else what its protocol or the document does, else ''."""
    named = item.get("channel") or item.get("feed")
    if named == _ORDERS and named not in adapter.channels:
        return next(iter(adapter.channels))  # orders come on the market-data socket
    if named:
        if not isinstance(named, str) or named not in adapter.channels:
            offered = ", ".join(adapter.channels)
            raise CaptureError(f"{where}: {adapter.name} has no channel {named!r}, only {offered}")
        return named
    hints = (item.get("protocol"), item.get("profile"), document.get("channel"), document.get("protocol"))
    return next((hint for hint in map(str, hints) if hint in adapter.channels), "")
