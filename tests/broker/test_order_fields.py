"""How brokers' order fields are read, whatever their type."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickmux.broker import _order_fields as field

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=2)
)


@pytest.mark.parametrize("value", [0, "0", "0.00", "", " ", None, "NA", "--", "NaN", float("nan"), [], True])
def test_no_price(value: object) -> None:
    assert field.price(value) is None


def test_prices() -> None:
    assert field.price("2,853.50") == 2853.5
    assert field.price(-3.5) == -3.5


def test_counts() -> None:
    assert field.whole("10.0") == 10
    assert field.whole(0) == 0
    assert field.quantity(0) is None
    assert field.whole("10.5") is None
    assert field.whole(10**30) is None


def test_what_is_left_is_reckoned_only_of_orders_that_live_or_are_filled() -> None:
    assert field.pending(None, 10, 4, "open") == 6
    assert field.pending(None, 10, 10, "complete") == 0
    assert field.pending(None, 10, 4, "cancelled") is None
    assert field.pending(3, 10, 4, "open") == 3
    assert field.pending(None, 10, None, "open") is None


@pytest.mark.parametrize(
    "written",
    [
        "2025-08-18 10:15:02",
        "2025/08/18 10:15:02",
        "2025-08-18T10:15:02.000",
        "18-08-2025 10:15:02",
        "18-Aug-2025 10:15:02",
        "10:15:02 18-08-2025",
        "2025-08-18T10:15:02+05:30",
        "2025-08-18T04:45:02+00:00",
    ],
)
def test_times_are_indian_unless_they_say_otherwise(written: str) -> None:
    assert field.ist_time(written) == 1755492302000


@pytest.mark.parametrize(
    "written", ["01-01-1980 00:00:00", "0001-01-01 00:00:00", "2025-13-41 99:99:99", "NA", "", 5]
)
def test_no_time(written: object) -> None:
    assert field.ist_time(written) is None


@given(ANYTHING)
def test_nothing_raises(value: object) -> None:
    field.price(value)
    field.whole(value)
    field.text(value)
    field.order_number(value)
    field.ist_time(value)
    field.status_word(value, {})
    field.word(value, {})
