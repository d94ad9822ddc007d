"""What a broker says of one order, in OpenAlgo's words, and what it calls the instrument meanwhile.

A broker's codec makes `BrokerOrder`s; it knows no instrument list. Whoever has one looks the names up
(`BrokerOrder.named`), and only an `OrderUpdate` reaches clients.
"""

from typing import NamedTuple

import msgspec

FINAL = frozenset({"complete", "rejected", "cancelled", "expired"})
"""States that an order does not leave again."""


class OrderUpdate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order as it stands after an event. What the broker does not say is None and absent from messages.

    Prices are rupees; quantities are counted as the broker counts them; `timestamp` is epoch ms. `order_status` is
    `open`, `trigger pending`, `complete`, `rejected`, `cancelled`, `expired`, or the broker's own word in lower case.
    """

    orderid: str
    symbol: str | None = None
    exchange: str | None = None
    action: str | None = None
    quantity: int | None = None
    price: float | None = None
    trigger_price: float | None = None
    pricetype: str | None = None
    product: str | None = None
    order_status: str | None = None
    filled_quantity: int | None = None
    pending_quantity: int | None = None
    average_price: float | None = None
    rejection_reason: str | None = None
    exchange_orderid: str | None = None
    timestamp: int | None = None

    @property
    def is_final(self) -> bool:
        return self.order_status in FINAL


class ByToken(NamedTuple):
    """The instrument with this token; `exchange` is ours, or the broker's name of the segment (`brexchange`)."""

    exchange: str
    token: str


class ByBrokerSymbol(NamedTuple):
    """The instrument that the broker calls so on this exchange (ours, or the broker's `brexchange`)."""

    exchange: str
    brsymbol: str


ListedName = ByToken | ByBrokerSymbol


class BrokerOrder(NamedTuple):
    """An update whose instrument is known by the broker's names only; the first name that is listed counts.

    `update.symbol` and `update.exchange` are what goes out when none of them is listed: the broker's own words.
    """

    update: OrderUpdate
    names: tuple[ListedName, ...] = ()

    def named(self, symbol: str, exchange: str) -> OrderUpdate:
        """The update under the instrument's name in the list."""
        return msgspec.structs.replace(self.update, symbol=symbol, exchange=exchange)
