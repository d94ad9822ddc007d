"""Zerodha's orders: the postback on the market-data socket, and the order book.

Facts: the Kite Connect documentation (WebSocket, postbacks, orders) and kiteconnect 5.2.2. Every message is a
complete record; rows of the book have the same keys.
"""

from collections.abc import Mapping
from typing import Any

from tickmux.broker import _order_fields as field
from tickmux.order_update import BrokerOrder, OrderUpdate

_OPEN = (
    "open",
    "update",
    "put order req received",
    "validation pending",
    "open pending",
    "modify validation pending",
    "modify pending",
    "modified",
    "not modified",
    "cancel pending",
    "not cancelled",
    "amo req received",
    "modify amo req received",
)
_STATUSES = {
    **dict.fromkeys(_OPEN, "open"),
    "complete": "complete",
    "rejected": "rejected",
    "cancelled": "cancelled",
    "cancel": "cancelled",
    "cancelled amo": "cancelled",
    "trigger pending": "trigger pending",
}


def order_of(row: Mapping[str, Any]) -> BrokerOrder | None:
    """The order of a postback's `data`, or of a row of the book; None without an order number."""
    orderid = field.order_number(row.get("order_id"))
    if orderid is None:
        return None
    status = field.status_word(row.get("status"), _STATUSES)
    quantity, filled = field.quantity(row.get("quantity")), field.whole(row.get("filled_quantity"))
    exchange, symbol = field.text(row.get("exchange")), field.text(row.get("tradingsymbol"))
    token = field.order_number(row.get("instrument_token"))
    update = OrderUpdate(
        orderid=orderid,
        symbol=symbol,
        exchange=exchange,
        action=field.word(row.get("transaction_type"), {}),
        quantity=quantity,
        price=field.price(row.get("price")),
        trigger_price=field.price(row.get("trigger_price")),
        pricetype=field.word(row.get("order_type"), {}),
        product=field.word(row.get("product"), {}),
        order_status=status,
        filled_quantity=filled,
        pending_quantity=field.pending(field.whole(row.get("pending_quantity")), quantity, filled, status),
        average_price=field.price(row.get("average_price")),
        rejection_reason=field.reason(row.get("status_message") or row.get("status_message_raw"), status),
        exchange_orderid=field.order_number(row.get("exchange_order_id")),
        timestamp=field.first_time(row.get("exchange_update_timestamp"), row.get("order_timestamp")),
    )
    return BrokerOrder(update, field.listed_names(exchange, token, symbol))
