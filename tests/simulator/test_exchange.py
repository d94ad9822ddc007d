import asyncio
from collections import Counter
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.virtual_time import run_virtually
from tickmux.simulator.market.contracts import expiries, option_value
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import BOOK_LEVELS, PRICE_UNIT, Security

MONDAY = datetime(2025, 8, 18, 5, 0, tzinfo=UTC).timestamp()  # 10:30 in India


class Clock:
    """A clock that moves by `pace` seconds with every look."""

    def __init__(self, now: float = MONDAY, pace: float = 0.001) -> None:
        self.now = now
        self.pace = pace

    def __call__(self) -> float:
        self.now += self.pace
        return self.now


def picture(securities: tuple[Security, ...] | list[Security]) -> list[object]:
    return [(s.symbol, s.exchange, s.token, s.fields(BOOK_LEVELS)) for s in securities]


def assert_coherent(s: Security) -> None:
    assert s.low <= s.ltp <= s.high
    assert s.low <= s.open <= s.high
    assert s.year_low <= s.low <= s.high <= s.year_high
    assert s.ltp % s.tick == 0
    if s.is_index:
        assert not s.bids
        assert not s.asks
        assert s.volume == 0
        return
    assert s.lower_circuit <= s.low <= s.high <= s.upper_circuit
    if s.volume:
        assert s.low - PRICE_UNIT // 100 < s.average <= s.high
    assert s.bids or s.asks
    assert len(s.bids) <= BOOK_LEVELS
    assert len(s.asks) <= BOOK_LEVELS
    prices = [level.price for level in reversed(s.bids)] + [level.price for level in s.asks]
    assert prices == sorted(set(prices)), "crossed, out of order, or a price twice"
    for level in (*s.bids, *s.asks):
        assert level.price % s.tick == 0
        assert s.lower_circuit <= level.price <= s.upper_circuit
        assert level.quantity % s.lot_size == 0
        assert 1 <= level.orders <= level.quantity // s.lot_size
    assert s.total_buy == sum(level.quantity for level in s.bids)
    assert s.total_sell == sum(level.quantity for level in s.asks)
    assert s.volume % s.lot_size == 0
    assert s.oi_low <= s.oi <= s.oi_high


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), batches=st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_every_market_stays_coherent_whatever_happens(seed: int, batches: list[int]) -> None:
    exchange = Exchange(seed=seed, clock=Clock())
    volumes = {s: (s.volume, s.turnover) for s in exchange.securities}
    for s in exchange.securities:
        assert_coherent(s)
    for count in batches:
        for s in exchange.step(count):
            assert_coherent(s)
            assert s.volume >= volumes[s][0]
            assert s.turnover >= volumes[s][1]
            volumes[s] = (s.volume, s.turnover)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(), counts=st.lists(st.integers(1, 500), max_size=8))
def test_the_same_seed_and_clock_make_the_same_market(seed: int, counts: list[int]) -> None:
    one, other = Exchange(seed=seed, clock=Clock()), Exchange(seed=seed, clock=Clock())
    assert picture(one.securities) == picture(other.securities)
    for count in counts:
        assert picture(one.step(count)) == picture(other.step(count))
    assert picture(one.securities) == picture(other.securities)


def test_another_seed_makes_another_market() -> None:
    one, other = Exchange(seed=1, clock=Clock()), Exchange(seed=2, clock=Clock())
    one.step(500)
    other.step(500)
    assert picture(one.securities) != picture(other.securities)


def test_a_batch_names_each_changed_security_once_and_listeners_hear_of_it() -> None:
    exchange = Exchange(clock=Clock())
    heard: list[list[Security]] = []
    exchange.listen(lambda changed: heard.append(list(changed)))
    batch = exchange.step(5000)
    assert len(batch) == len(set(batch)) == len(exchange.securities)
    assert heard == [batch]
    assert exchange.steps == 5000


def test_a_forgotten_listener_hears_nothing() -> None:
    exchange = Exchange(clock=Clock())
    heard: list[object] = []
    exchange.listen(heard.append)
    exchange.forget(heard.append)
    exchange.step(3)
    assert heard == []


def test_a_short_batch_hardly_ever_moves_a_security_twice() -> None:
    exchange = Exchange(clock=Clock())
    assert sum(len(exchange.step(40)) for _ in range(50)) > 0.9 * 2000


def test_prices_volumes_and_open_interest_move() -> None:
    exchange = Exchange(clock=Clock())
    before = {s: (s.ltp, s.volume, s.oi) for s in exchange.securities}
    exchange.step(20_000)
    futures = [s for s in exchange.securities if s.kind == "FUT"]
    tradable = [s for s in exchange.securities if not s.is_index]
    assert sum(before[s][0] != s.ltp for s in exchange.securities) > 0.9 * len(exchange.securities)
    assert all(before[s][1] < s.volume for s in tradable)
    assert all(before[s][2] != s.oi for s in futures if s.activity > 1)


def test_times_are_the_clocks_and_never_run_backwards() -> None:
    clock = Clock(pace=0.0)
    exchange = Exchange(clock=clock)
    clock.now += 60
    (security,) = exchange.step()
    assert security.updated_at == round((MONDAY + 60) * 1000)
    clock.now -= 30
    (security,) = exchange.step()
    assert security.updated_at == round((MONDAY + 60) * 1000)


def test_indices_follow_their_constituents() -> None:
    exchange = Exchange(clock=Clock())
    nifty, vix = exchange.find("NIFTY", "NSE_INDEX"), exchange.find("INDIAVIX", "NSE_INDEX")
    start = nifty.ltp
    for security in exchange.securities:
        if security.kind == "EQ" and security.underlying is None:
            security.fair = security.ltp * 1.02
    exchange.step(15_000)
    assert 1.01 < nifty.ltp / start < 1.03
    assert nifty.low <= nifty.open < nifty.high
    assert vix.fair > 0


def test_futures_and_options_follow_their_underlying() -> None:
    exchange = Exchange(clock=Clock())
    exchange.step(30_000)
    for s in exchange.securities:
        if s.kind in ("FUT", "EQ") and s.underlying:
            premium = s.ltp / s.underlying.ltp
            assert 0.99 < premium < 1.03, s
        elif s.underlying and s.expiry:
            value = option_value(s.kind, s.underlying.ltp, s.strike, (s.expiry - exchange.today).days)
            assert abs(s.ltp - value) < max(0.25 * value, 0.002 * s.underlying.ltp), s


def test_a_stock_that_wants_beyond_its_circuit_rests_there_with_an_empty_side() -> None:
    exchange = Exchange(clock=Clock())
    share = exchange.find("SBIN", "NSE")
    seen_empty = False
    for _ in range(400):
        share.fair = share.upper_circuit * 1.5
        for changed in exchange.step(500):
            if changed is share:
                assert_coherent(share)
                seen_empty = seen_empty or not share.asks
        if seen_empty:
            break
    assert seen_empty
    assert share.high == share.upper_circuit
    for _ in range(400):
        share.fair = share.close
        exchange.step(500)
        if share.asks and share.ltp < share.upper_circuit * 0.97:
            break
    assert share.asks, "the market came back"
    assert_coherent(share)


def test_a_new_day_begins_at_midnight_in_india() -> None:
    clock = Clock(now=datetime(2025, 8, 18, 18, 29, 50, tzinfo=UTC).timestamp(), pace=0.0)
    exchange = Exchange(clock=clock)
    exchange.step(3000)
    share, index = exchange.find("SBIN", "NSE"), exchange.find("NIFTY", "NSE_INDEX")
    last, last_index = share.ltp, index.ltp
    assert exchange.today == date(2025, 8, 18)
    clock.now += 20
    assert set(exchange.step()) == set(exchange.securities), "everybody hears of the new day"
    assert len(exchange.step()) == 1
    assert exchange.today == date(2025, 8, 19)
    assert share.close == share.open == last
    assert index.close == last_index
    assert share.volume < 10_000
    for s in exchange.securities:
        assert_coherent(s)


def test_it_lists_what_traders_expect() -> None:
    exchange = Exchange(clock=Clock())
    counts = Counter(s.exchange for s in exchange.securities)
    assert counts["NSE"] >= 60
    assert counts["BSE"] >= 30
    assert {s.symbol for s in exchange.securities if s.exchange == "NSE_INDEX"} == {
        "NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "INDIAVIX",
    }  # fmt: skip
    assert {s.symbol for s in exchange.securities if s.exchange == "BSE_INDEX"} == {"SENSEX", "BANKEX", "SENSEX50"}
    for symbol, where in (
        ("SBIN", "NSE"),
        ("RELIANCE", "BSE"),
        ("NIFTY28AUG25FUT", "NFO"),
        ("BANKNIFTY30SEP25FUT", "NFO"),
        ("NIFTY21AUG2525000CE", "NFO"),
        ("SENSEX19AUG2581600PE", "BFO"),
        ("CRUDEOIL19AUG25FUT", "MCX"),
        ("USDINR27AUG25FUT", "CDS"),
        ("EURINR27AUG25FUT", "CDS"),
    ):
        assert exchange.find(symbol, where).symbol == symbol
    for root in ("NIFTY", "BANKNIFTY", "SENSEX"):
        chain = [s for s in exchange.securities if s.name == root and s.kind in ("CE", "PE")]
        assert len({s.strike for s in chain if s.expiry == chain[0].expiry}) == 15
        assert len({s.expiry for s in exchange.securities if s.name == root and s.kind == "FUT"}) == 3
    with pytest.raises(KeyError):
        exchange.find("NIFTY", "NSE")


def test_tokens_are_unique_on_an_exchange_and_repeat_across() -> None:
    exchange = Exchange(clock=Clock())
    pairs = Counter((s.exchange, s.token) for s in exchange.securities)
    tokens = Counter(token for _, token in pairs)
    assert set(pairs.values()) == {1}
    assert sum(count > 1 for count in tokens.values()) >= 5
    assert exchange.find("SBIN", "NSE").token == 3045
    assert exchange.find("NIFTY", "NSE_INDEX").token == 26000


def test_isins_are_unique_and_their_check_digits_right() -> None:
    shares = [s for s in Exchange(clock=Clock()).securities if s.exchange == "NSE"]
    assert len({s.isin for s in shares}) == len(shares)
    for share in shares:
        digits = "".join(str(int(sign, 36)) for sign in share.isin)
        doubled = [int(d) * (2 if i % 2 else 1) for i, d in enumerate(reversed(digits))]
        assert sum(v // 10 + v % 10 for v in doubled) % 10 == 0, share.isin
        assert len(share.isin) == 12


@pytest.mark.parametrize(
    ("rule", "today", "expected"),
    [
        ("nse-weekly", date(2025, 8, 18), [date(2025, 8, 21), date(2025, 8, 28), date(2025, 9, 2)]),
        ("nse-weekly", date(2025, 8, 21), [date(2025, 8, 21)]),
        ("nse-monthly", date(2025, 8, 18), [date(2025, 8, 28), date(2025, 9, 30), date(2025, 10, 28)]),
        ("nse-monthly", date(2025, 8, 29), [date(2025, 9, 30)]),
        ("bse-weekly", date(2025, 8, 18), [date(2025, 8, 19), date(2025, 8, 26), date(2025, 9, 4)]),
        ("bse-monthly", date(2025, 12, 20), [date(2025, 12, 25), date(2026, 1, 29)]),
        ("fifth", date(2025, 8, 18), [date(2025, 9, 5), date(2025, 10, 3)]),
        ("nineteenth", date(2025, 8, 18), [date(2025, 8, 19), date(2025, 9, 19), date(2025, 10, 17)]),
        ("twenty-seventh", date(2025, 8, 18), [date(2025, 8, 27), date(2025, 9, 26)]),
    ],
)
def test_expiries_follow_the_exchanges_rules(rule: str, today: date, expected: list[date]) -> None:
    assert expiries(rule, today, len(expected)) == expected


def test_options_obey_put_call_parity() -> None:
    call, put = option_value("CE", 25_000, 24_800, 7), option_value("PE", 25_000, 24_800, 7)
    assert call - put == pytest.approx(200)
    assert call > 200
    assert 0 < put < 200


@pytest.mark.parametrize("rate", [0.5, 0, -1, 50_001, float("nan")])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    exchange = Exchange(clock=Clock())
    with pytest.raises(ValueError, match="allowed are 1 to 50000"):
        exchange.rate = rate
    assert exchange.rate == 1000


def test_it_runs_at_its_rate_and_feels_a_new_one_at_once() -> None:
    async def run() -> tuple[int, int, int]:
        exchange = Exchange(rate=1, clock=Clock())
        running = asyncio.create_task(exchange.run())
        await asyncio.sleep(10.01)
        slow = exchange.steps
        exchange.rate = 2000
        await asyncio.sleep(1)
        fast = exchange.steps - slow
        exchange.rate = 50_000
        await asyncio.sleep(0.1)
        fastest = exchange.steps - slow - fast
        running.cancel()
        return slow, fast, fastest

    slow, fast, fastest = run_virtually(run())
    assert slow == 10
    assert fast == pytest.approx(2000, abs=120)
    assert fastest == pytest.approx(5000, abs=350)
