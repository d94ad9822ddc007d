"""What one client holds: subscriptions granted by its feed, entered into the index, and given back.

Every granted subscription is one reference of the feed's. Whatever happens in between (the client has gone, it held
the same thing before), each is given back once.
"""

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from tickmux.errors import ErrorCode, RequestError
from tickmux.tick import Mode
from tickmux.websocket_proxy.dispatcher import Client
from tickmux.websocket_proxy.feed import Feed, Grant, Want
from tickmux.websocket_proxy.mapping import ANSWER_MODES
from tickmux.websocket_proxy.protocol import Item, Options, Subscribe, answer, overall
from tickmux.websocket_proxy.session_host import SessionHost
from tickmux.websocket_proxy.subscription_index import LaneKey, Slot


class Holder(Client, Protocol):
    """What subscriptions need of the session that holds them."""

    options: Options
    closing: bool
    paused: bool
    marks: dict[Slot, int]
    pending: list[bytes]

    def send(self, message: dict[str, Any]) -> None: ...


H = TypeVar("H", bound=Holder)


class ClientSubscriptions(Generic[H]):
    """The subscriptions of `client`."""

    def __init__(self, client: H, proxy: SessionHost[H]) -> None:
        self._client = client
        self._proxy = proxy

    async def subscribe(self, request: Subscribe, feed: Feed) -> None:
        held = self._proxy.index.held(self._client)
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
        if not self._client.closing:
            self._answer_subscribe(request, feed, entries, good)
            for item, verdict in zip(request.items, verdicts, strict=True):
                if isinstance(verdict, Grant):
                    self._proxy.dispatcher.snapshot(self._client, self._lane(item), verdict.topic, verdict.snapshot)
            if self._client.pending:
                self._client.flush()
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
        self._client.send(
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
        if self._client.closing:
            return verdict.key
        index, key = self._proxy.index, verdict.key
        before = index.held(self._client).get((key.symbol, key.exchange, key.mode))
        returned = before.topic.key if before is not None else None
        index.add(self._client, key, verdict.topic, feed.broker, self._lane(item), foreign=feed.foreign)
        if self._client.paused:
            self._client.marks.update(index.pause(self._client))
        return returned

    def _lane(self, item: Item) -> LaneKey:
        options = self._client.options
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

    async def unsubscribe(self, request_id: Any, items: Sequence[Item], feed: Feed) -> None:
        successful: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        released = []
        for item in items:
            if item.error is not None:
                failed.append(_failure(item.symbol, item.exchange, item.error))
                continue
            held = self._proxy.index.slots(self._client, item.symbol, item.exchange)
            slots = held if item.mode is None else [slot for slot in held if slot[2] == item.mode]
            if not slots:
                failed.append(_failure(item.symbol, item.exchange, _not_held(item)))
            for slot in slots:
                released.append(self._proxy.index.remove(self._client, slot))
                successful.append(_released(slot, feed))
        await feed.unsubscribe([key for key in released if key is not None])
        status = "success" if not failed else "partial" if successful else "error"
        self._client.send(
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

    def listing(self, feed: Feed) -> list[dict[str, Any]]:
        return [
            {
                "symbol": symbol,
                "exchange": exchange,
                "mode": ANSWER_MODES[mode],
                "depth": held.topic.key.depth,
                "throttle_ms": round(held.lane.throttle * 1000),
                "broker": feed.broker,
            }
            for (symbol, exchange, mode), held in self._proxy.index.held(self._client).items()
        ]

    async def release_all(self, feed: Feed | None) -> None:
        """Gives everything back that this client holds."""
        index = self._proxy.index
        released = [index.remove(self._client, slot) for slot in tuple(index.held(self._client))]
        if feed is not None:
            await feed.unsubscribe([key for key in released if key is not None])


_PENDING = RequestError(ErrorCode.SERVER_ERROR, "no verdict")


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
