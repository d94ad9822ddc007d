"""Volatility and greeks are those of the shared vectors, and reprice the option wherever there is a price."""

import json
import math
import time
from datetime import date, datetime
from datetime import time as clock
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tickmux.options.black76 import Case, black, value
from tickmux.options.forward import Strike, at_the_money, synthetic_forward, years_left

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "greeks.json").read_text())
DIGITS = {"delta": 4, "gamma": 6, "theta": 4, "vega": 4, "rho": 6}


@pytest.mark.parametrize("item", VECTORS["items"], ids=lambda item: item["name"])
def test_vectors(item: dict[str, Any]) -> None:
    given_, wanted = item["input"], item["expect"]
    cut_off = clock.fromisoformat(given_["expiry_time"]) if "expiry_time" in given_ else None
    expiry, now = date.fromisoformat(given_["expiry"]), datetime.fromisoformat(given_["now"])
    years = years_left(given_["exchange"], expiry, now, cut_off)
    assert years == pytest.approx(wanted["t_years"], rel=1e-12)
    assert round(years * 365, 4) == wanted["days_to_expiry"]
    found = value(
        call=given_["option_type"] == "CE",
        price=given_["option_price"],
        forward=given_["forward_price"],
        strike=given_["strike"],
        years=years,
        rate=given_["interest_rate"] / 100,
    )
    assert found.case == wanted["case"]
    assert round(found.volatility, 2) == wanted["implied_volatility"]
    for name, digits in DIGITS.items():
        assert round(getattr(found.greeks, name), digits) == wanted["greeks"][name]
    if "unrounded" in wanted:
        exact = dict(wanted["unrounded"])
        assert found.volatility == pytest.approx(exact.pop("iv"), rel=1e-9)
        for name, number in exact.items():
            assert getattr(found.greeks, name) == pytest.approx(number, rel=1e-6)
    if "intrinsic_value" in wanted:
        assert round(found.intrinsic, 2) == wanted["intrinsic_value"]


@pytest.mark.parametrize("item", VECTORS["forwards"], ids=lambda item: item["name"])
def test_forwards(item: dict[str, Any]) -> None:
    strikes = [Strike(one["strike"], one["ce_ltp"], one["pe_ltp"]) for one in item["input"]["strikes"]]
    underlying = item["input"]["underlying_ltp"]
    forward = synthetic_forward(underlying, strikes) or underlying
    assert round(forward, 2) == item["expect"]["single"]
    assert round(forward, 4) == item["expect"]["chain"]


def test_a_chain_without_strikes_has_no_forward() -> None:
    assert at_the_money(100.0, []) is None
    assert synthetic_forward(100.0, []) is None


PRICES = st.floats(1.0, 100_000.0)
YEARS = st.floats(0.0001, 5.0)


@given(
    call=st.booleans(),
    volatility=st.floats(0.005, 9.0),
    forward=PRICES,
    moneyness=st.floats(-2.0, 2.0),
    years=YEARS,
    rate=st.floats(0.0, 0.3),
)
def test_the_volatility_found_reprices_the_option(
    call: bool, volatility: float, forward: float, moneyness: float, years: float, rate: float
) -> None:
    strike = forward * math.exp(moneyness)
    price = black(call=call, volatility=volatility, forward=forward, strike=strike, years=years, rate=rate)
    assume(price > 1e-290)
    found = value(call=call, price=price, forward=forward, strike=strike, years=years, rate=rate)
    if found.case is not Case.PRICED:
        return  # no time value left, or less than rounding leaves of it
    again = black(
        call=call, volatility=found.volatility / 100, forward=forward, strike=strike, years=years, rate=rate
    )
    assert again == pytest.approx(price, rel=1e-8)


@given(call=st.booleans(), price=st.floats(0.01, 50_000.0), forward=PRICES, strike=PRICES, years=YEARS)
def test_any_price_has_an_answer(call: bool, price: float, forward: float, strike: float, years: float) -> None:
    found = value(call=call, price=price, forward=forward, strike=strike, years=years)
    assert all(math.isfinite(number) for number in (found.volatility, *found.greeks))
    assert 0 <= found.volatility <= 1000
    assert (0 <= found.greeks.delta <= 1) if call else (-1 <= found.greeks.delta <= 0)
    assert found.time_value >= 0
    if found.case is Case.PRICED:
        again = black(call=call, volatility=found.volatility / 100, forward=forward, strike=strike, years=years)
        assert again == pytest.approx(price, rel=1e-8)


@given(
    call=st.booleans(), volatility=st.floats(0.05, 2.0), moneyness=st.floats(-0.2, 0.2), years=st.floats(0.01, 1.0)
)
def test_greeks_are_the_slopes_of_the_price(call: bool, volatility: float, moneyness: float, years: float) -> None:
    forward, rate = 1000.0, 0.06
    strike = forward * math.exp(moneyness)

    def price(f: float = forward, v: float = volatility, t: float = years, r: float = rate) -> float:
        return black(call=call, volatility=v, forward=f, strike=strike, years=t, rate=r)

    assume(price() - max(0.0, (forward - strike) if call else (strike - forward)) > 0.5)
    found = value(call=call, price=price(), forward=forward, strike=strike, years=years, rate=rate).greeks
    step = 1e-3
    assert found.delta == pytest.approx((price(forward + step) - price(forward - step)) / (2 * step), abs=1e-5)
    vega = (price(v=volatility + 1e-5) - price(v=volatility - 1e-5)) / 2e-5 / 100
    assert found.vega == pytest.approx(vega, rel=1e-4, abs=1e-6)
    theta = -(price(t=years + 1e-6) - price(t=years - 1e-6)) / 2e-6 / 365
    assert found.theta == pytest.approx(theta, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("field", ["price", "forward", "strike", "years"])
def test_what_is_no_number_above_zero_is_refused(field: str, bad: float) -> None:
    numbers = {"price": 10.0, "forward": 100.0, "strike": 100.0, "years": 0.1, field: bad}
    with pytest.raises(ValueError, match="above 0"):
        value(call=True, **numbers)


def test_a_price_above_the_forward_has_no_volatility() -> None:
    found = value(call=True, price=120.0, forward=100.0, strike=150.0, years=0.1)
    assert (found.case, found.greeks.delta, found.volatility) == (Case.NO_SOLUTION, 0.0, 0.0)


def test_two_hundred_legs_take_a_few_milliseconds() -> None:
    legs = [(call, 24_000.0 + 20 * number) for number in range(100) for call in (True, False)]
    prices = [black(call=call, volatility=0.14, forward=25_000.0, strike=k, years=0.02) for call, k in legs]

    def chain() -> float:
        before = time.thread_time()
        for (call, strike), price in zip(legs, prices, strict=True):
            value(call=call, price=price, forward=25_000.0, strike=strike, years=0.02)
        return time.thread_time() - before

    assert min(chain() for _ in range(20)) < 0.005
