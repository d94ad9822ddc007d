"""What is known of one account's orders, and so which of a broker's events is news. Pure.

Brokers repeat events, send them late, and send nothing again after a reconnect. The rule, for all of them: an event
is not told that says nothing new but its time, that has filled less than the one before, or that comes after the
order has ended and does not end it. After a reconnect the order book goes through the same rule, so that what was
missed is told, once.

Bounded: `most` orders; beyond that those that were heard of first and have ended are forgotten, then the oldest.
"""

from collections.abc import Iterable

import msgspec

from tickmux.order_update import OrderUpdate

MOST = 50_000
"""Orders of a day; no broker takes so many from one account."""


class AccountOrders:
    """The orders of one account on one trading day."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._last: dict[str, OrderUpdate] = {}
        self._begun = False

    def __len__(self) -> int:
        return len(self._last)

    def known(self) -> list[OrderUpdate]:
        """Each order as it was last told, in the order in which they were first heard of."""
        return list(self._last.values())

    def tell(self, update: OrderUpdate) -> OrderUpdate | None:
        """What clients are told of an event; None when it is no news."""
        self._begun = True
        return self._news(update)

    def book(self, rows: Iterable[OrderUpdate]) -> list[OrderUpdate]:
        """What clients are told after the order book was read: whatever is new in it, or differs.

        The first book of an account of which nothing is known yet tells nothing: these orders are as they were.
        """
        silent, self._begun = not self._begun, True
        news = [found for row in rows if (found := self._news(row)) is not None]
        return [] if silent else news

    def forget(self) -> None:
        """A new trading day: order numbers may come again."""
        self._last.clear()
        self._begun = False

    def _news(self, update: OrderUpdate) -> OrderUpdate | None:
        last = self._last.get(update.orderid)
        if last is None:
            self._make_room()
            self._last[update.orderid] = update
            return update
        if (last.is_final and not update.is_final) or _filled_less(update, last) or _says_nothing_new(update, last):
            return None
        self._last[update.orderid] = _completed(update, last)
        return update

    def _make_room(self) -> None:
        if len(self._last) >= self._most:
            ended = next((orderid for orderid, one in self._last.items() if one.is_final), None)
            del self._last[ended if ended is not None else next(iter(self._last))]


def _filled_less(update: OrderUpdate, last: OrderUpdate) -> bool:
    return (update.filled_quantity or 0) < (last.filled_quantity or 0) and update.filled_quantity is not None


def _says_nothing_new(update: OrderUpdate, last: OrderUpdate) -> bool:
    """Whether all that it says was known, but for its time."""
    return all(
        value is None or value == getattr(last, name)
        for name in OrderUpdate.__struct_fields__
        if name != "timestamp" and (value := getattr(update, name)) is not getattr(last, name)
    )


def _completed(update: OrderUpdate, last: OrderUpdate) -> OrderUpdate:
    """What is known now: some wires leave out what has not changed."""
    missing = {
        name: known
        for name in OrderUpdate.__struct_fields__
        if getattr(update, name) is None and (known := getattr(last, name)) is not None
    }
    return msgspec.structs.replace(update, **missing) if missing else update
