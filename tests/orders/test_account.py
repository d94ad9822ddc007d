"""Of what brokers say of an account's orders, what is news."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tickmux.order_update import OrderUpdate
from tickmux.orders.account import AccountOrders


def order(orderid: str = "1", **fields: Any) -> OrderUpdate:
    return OrderUpdate(orderid=orderid, **{"order_status": "open", "quantity": 10, "filled_quantity": 0, **fields})


def test_an_event_that_differs_in_time_only_is_no_news() -> None:
    account = AccountOrders()
    first = order(timestamp=1)
    assert account.tell(first) == first
    assert account.tell(order(timestamp=2)) is None


def test_a_missing_field_is_unchanged_and_stays_known() -> None:
    account = AccountOrders()
    account.tell(order(price=812.0, symbol="SBIN"))
    assert account.tell(OrderUpdate(orderid="1", order_status="open")) is None
    short = OrderUpdate(orderid="1", order_status="complete", filled_quantity=10)
    assert account.tell(short) == short
    assert account.known() == [order(price=812.0, symbol="SBIN", order_status="complete", filled_quantity=10)]


def test_a_late_event_is_not_told() -> None:
    account = AccountOrders()
    account.tell(order(filled_quantity=6))
    assert account.tell(order(filled_quantity=4, price=1.0)) is None
    assert account.tell(order(order_status="cancelled", filled_quantity=6)) is not None
    assert account.tell(order(filled_quantity=6, price=2.0)) is None


def test_the_first_book_is_silent_and_later_ones_tell_what_was_missed_once() -> None:
    account = AccountOrders()
    assert account.book([order("1"), order("2")]) == []
    filled, new = order("1", filled_quantity=10, order_status="complete"), order("3")
    assert account.book([filled, order("2"), new]) == [filled, new]
    assert account.book([filled, order("2"), new]) == []


def test_a_book_after_events_tells_what_they_did_not() -> None:
    account = AccountOrders()
    account.tell(order("1"))
    other = order("2")
    assert account.book([order("1"), other]) == [other]


def test_an_empty_first_book_makes_the_next_one_news() -> None:
    account = AccountOrders()
    assert account.book([]) == []
    assert account.book([order("1")]) == [order("1")]


def test_a_new_day_knows_nothing() -> None:
    account = AccountOrders()
    account.tell(order(order_status="complete"))
    account.forget()
    assert account.tell(order()) == order()


def test_memory_is_bounded_and_orders_that_live_are_kept_longest() -> None:
    account = AccountOrders(most=3)
    for orderid, status in (("1", "open"), ("2", "complete"), ("3", "open"), ("4", "open"), ("5", "open")):
        account.tell(order(orderid, order_status=status))
    assert [one.orderid for one in account.known()] == ["3", "4", "5"]


EVENTS = st.builds(
    order,
    st.sampled_from("12"),
    order_status=st.sampled_from(("open", "complete", "cancelled")),
    filled_quantity=st.integers(0, 10),
    timestamp=st.integers(0, 5),
)


@given(st.lists(EVENTS, max_size=30))
def test_what_is_told_of_an_order_never_goes_back(events: list[OrderUpdate]) -> None:
    account = AccountOrders()
    told: dict[str, list[OrderUpdate]] = {}
    for event in events:
        if (news := account.tell(event)) is not None:
            told.setdefault(news.orderid, []).append(news)
    for updates in told.values():
        filled = [update.filled_quantity or 0 for update in updates]
        assert filled == sorted(filled)
        ended = [update.is_final for update in updates]
        assert ended == sorted(ended)
        plain = [(update.order_status, update.filled_quantity) for update in updates]
        assert all(one != other for one, other in pairwise(plain))
