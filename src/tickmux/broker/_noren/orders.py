"""Orders of the Noren family: the `om` message on the market-data socket (family order specification, 3 to 5).

An `om` is one whole order; rows of the order book have the same fields. A refused change of an order that lives on
comes with a reason, too, which is not the order's.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from tickmux.broker import _order_fields as field
from tickmux.order_update import BrokerOrder, OrderUpdate

_OPEN = (
    "open",
    "pending",
    "new",
    "replaced",
    "order ack",
    "order pending",
    "open pending",
    "modify pending",
    "cancel pending",
    "partially filled",
    "after market order req received",
    "amo open",
    "amo modified",
)
STATUSES = {
    **dict.fromkeys(_OPEN, "open"),
    **dict.fromkeys(("complete", "executed", "filled"), "complete"),
    **dict.fromkeys(("canceled", "cancelled", "amo canceled", "amo cancelled"), "cancelled"),
    **dict.fromkeys(("rejected", "reject"), "rejected"),
    "trigger pending": "trigger pending",
    "expired": "expired",
}
_NO_STATUS = "invalid status type"
_REPORTS = {
    **dict.fromkeys(("newack", "pendingnew", "new", "modack", "pendingreplace", "replaced"), "open"),
    **dict.fromkeys(("canack", "pendingcancel", "replacerejected", "cancelrejected"), "open"),
    **dict.fromkeys(("canceled", "cancelled"), "cancelled"),
    "rejected": "rejected",
}
_ACTIONS = {"B": "BUY", "S": "SELL"}
PRICE_TYPES = {"LMT": "LIMIT", "MKT": "MARKET", "SL-LMT": "SL", "SL-MKT": "SL-M"}
PRODUCTS = {"C": "CNC", "M": "NRML", "I": "MIS", "H": "CO", "B": "BO", "F": "MTF"}


def order_of(message: Mapping[str, Any]) -> BrokerOrder | None:
    """The order of an `om` message; None without an order number."""
    orderid = field.order_number(message.get("norenordno")) or field.order_number(message.get("norenoordno"))
    if orderid is None:
        return None
    quantity, filled = field.quantity(message.get("qty")), field.whole(message.get("fillshares"))
    status = _status(message, quantity, filled)
    exchange, brsymbol = field.text(message.get("exch")), field.text(message.get("tsym"))
    brsymbol = unquote(brsymbol) if brsymbol else None
    token = field.text(message.get("token"))
    update = OrderUpdate(
        orderid=orderid,
        symbol=brsymbol,
        exchange=exchange,
        action=field.word(message.get("trantype"), _ACTIONS),
        quantity=quantity,
        price=_above_zero(message.get("prc")),
        trigger_price=_above_zero(message.get("trgprc")),
        pricetype=field.word(message.get("prctyp"), PRICE_TYPES),
        product=field.word(message.get("pcode"), PRODUCTS) or field.word(message.get("prd"), PRODUCTS),
        order_status=status,
        filled_quantity=filled,
        pending_quantity=field.pending(None, quantity, filled, status),
        average_price=_above_zero(message.get("avgprc")),
        rejection_reason=field.reason(message.get("rejreason"), status),
        exchange_orderid=field.order_number(message.get("exchordid"))
        or field.order_number(message.get("exchorderid")),
        timestamp=_time(message),
    )
    return BrokerOrder(update, field.listed_names(exchange, token, brsymbol))


def _status(message: Mapping[str, Any], quantity: int | None, filled: int | None) -> str | None:
    status = field.status_word(message.get("status"), STATUSES)
    if status is not None and status != _NO_STATUS:
        return status
    report = (field.text(message.get("reporttype")) or "").replace(" ", "").lower()
    if report == "fill":
        return "complete" if quantity is not None and (filled or 0) >= quantity else "open"
    return _REPORTS.get(report)


def _above_zero(value: Any) -> float | None:
    found = field.price(value)
    return found if found is not None and found > 0 else None


def _time(message: Mapping[str, Any]) -> int | None:
    seconds, nanoseconds = field.whole(message.get("tm")), field.whole(message.get("ntm"))
    if seconds:
        return seconds * 1000 + (nanoseconds or 0) // 1_000_000
    return field.first_time(message.get("exch_tm"), message.get("fltm"), message.get("norentm"))
