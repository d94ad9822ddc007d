"""When contracts end, and what their symbols say."""

from datetime import date, datetime, timedelta

import pytest

from tickmux.contract_expiry import Contract, ends_at, expiry_day, has_ended, parse_contract
from tickmux.instrument import Instrument
from tickmux.login import IST


@pytest.mark.parametrize(
    ("symbol", "contract"),
    [
        ("NIFTY28AUG25FUT", Contract("NIFTY", date(2025, 8, 28), "FUT")),
        ("NIFTY28AUG2525000CE", Contract("NIFTY", date(2025, 8, 28), "CE", 25000.0)),
        ("EURINR26SEP25102.75PE", Contract("EURINR", date(2025, 9, 26), "PE", 102.75)),
        ("M&M25SEP25FUT", Contract("M&M", date(2025, 9, 25), "FUT")),
        ("BAJAJ-AUTO30DEC259000CE", Contract("BAJAJ-AUTO", date(2025, 12, 30), "CE", 9000.0)),
        ("SENSEX5026DEC2527000CE", Contract("SENSEX50", date(2025, 12, 26), "CE", 27000.0)),
    ],
)
def test_a_contracts_symbol_says_what_it_is(symbol, contract):
    assert parse_contract(symbol) == contract
    assert contract.symbol == symbol


@pytest.mark.parametrize(
    "symbol",
    ["SBIN", "BETACO-BZ", "NIFTY32AUG25FUT", "NIFTY28XXX25FUT", "NIFTY28AUG25CE", "", "x" * 1000],
)
def test_other_symbols_are_no_contracts(symbol):
    assert parse_contract(symbol) is None


def test_a_contract_lives_until_the_end_of_its_day_in_india():
    option = Instrument("NIFTY01DEC2624550CE", "NFO", "1", expiry="01-DEC-26")
    assert ends_at(option) == datetime(2026, 12, 2, tzinfo=IST)
    midnight = datetime(2026, 12, 2, tzinfo=IST)
    assert not has_ended(option, midnight - timedelta(seconds=1))
    assert has_ended(option, midnight)


@pytest.mark.parametrize("expiry", ["", "soon", "31-FEB-25", "1-DEC-26"])
def test_what_has_no_readable_expiry_never_ends(expiry):
    assert expiry_day(expiry) is None
    assert not has_ended(Instrument("SBIN", "NSE", "3045", expiry=expiry), datetime(2099, 1, 1, tzinfo=IST))
