from random import Random

import pytest

from simulator.test_exchange import assert_coherent
from tickmux.simulator.market.book import VOLUME_CAP, open_book, requote, stir, trade
from tickmux.simulator.market.security import BOOK_LEVELS, Level, Security


def share(last: int = 8_120_000, lower: int = 7_308_000, upper: int = 8_932_000) -> Security:
    security = Security(symbol="SBIN", exchange="NSE", name="SBI", kind="EQ", token=3045, tick=500, usual_lots=50)
    security.ltp = security.open = security.high = security.low = security.close = last
    security.year_high, security.year_low = last * 2, last // 2
    security.lower_circuit, security.upper_circuit = lower, upper
    open_book(security, Random(1))
    assert_coherent(security)
    return security


def test_a_new_book_has_fifty_levels_around_the_last_price() -> None:
    security = share()
    assert len(security.bids) == len(security.asks) == BOOK_LEVELS
    assert security.bids[0].price == security.ltp - security.tick
    assert security.asks[0].price == security.ltp


@pytest.mark.parametrize("buying", [True, False])
def test_a_trade_happens_at_the_best_price_and_takes_from_it(buying: bool) -> None:
    security = share()
    side = security.asks if buying else security.bids
    price = side[0].price
    offered = sum(level.quantity for level in side if level.price == price)
    trade(security, buying, Random(1), 1000)
    left = sum(level.quantity for level in side if level.price == price)
    assert security.ltp == price
    assert security.traded_at == 1000
    assert security.volume == security.last_quantity == offered - left > 0
    assert security.turnover == price * security.volume == security.average * security.volume
    assert_coherent(security)


def test_a_level_that_is_used_up_goes_and_the_book_stays_full() -> None:
    security = share()
    first, second = security.asks[0], security.asks[1]
    security.total_sell -= first.quantity - 1
    first.quantity = first.orders = 1
    trade(security, True, Random(1), 1000)
    assert security.last_quantity == 1
    assert security.asks[0] is second
    assert len(security.asks) == BOOK_LEVELS
    assert_coherent(security)


def test_the_order_count_falls_with_the_quantity() -> None:
    security = share()
    best = security.asks[0]
    security.total_sell += 40 - best.quantity
    best.quantity = best.orders = 40
    trade(security, True, Random(1), 1000)
    assert best.orders == best.quantity < 40


def test_no_trade_once_the_volume_reaches_what_wire_formats_carry() -> None:
    security = share()
    security.volume = VOLUME_CAP
    trade(security, True, Random(1), 1000)
    assert security.volume == VOLUME_CAP
    assert security.traded_at == 0


def test_everybody_moves_together_up_to_the_circuit() -> None:
    security = share()
    best = security.asks[0].price
    requote(security, 7, Random(1))
    assert security.asks[0].price == best + 7 * security.tick
    assert_coherent(security)
    requote(security, 1_000_000, Random(1))
    assert security.asks[0].price == security.upper_circuit
    assert len(security.asks) == 1
    assert_coherent(security)
    requote(security, -1_000_000, Random(1))
    assert security.bids[0].price == security.lower_circuit
    assert len(security.bids) == 1
    assert_coherent(security)


def test_at_the_upper_circuit_buyers_wait_until_somebody_sells() -> None:
    security = share()
    requote(security, 1_000_000, Random(1))
    for number in range(1000):
        trade(security, True, Random(number), 1000)
        if not security.asks:
            break
    assert not security.asks
    assert security.bids[0].price == security.upper_circuit == security.ltp
    stir(security, Random(1))
    assert not security.asks, "no seller above the circuit"
    for number in range(1000):
        trade(security, True, Random(number), 1000)  # no seller waits, so a seller comes to the buyers
        stir(security, Random(number))
        assert_coherent(security)
        if security.asks:
            break
    assert security.asks


def test_a_range_of_two_ticks_never_empties_both_sides() -> None:
    for seed in range(20):
        security = share(last=1000, lower=500, upper=1500)
        random = Random(seed)
        for _ in range(300):
            if random.random() < 0.5:
                trade(security, random.random() < 0.5, random, 1)
            elif random.random() < 0.5:
                stir(security, random)
            else:
                requote(security, random.randint(-3, 3), random)
            assert_coherent(security)


def test_a_new_best_price_closes_a_wide_spread() -> None:
    security = share()
    gone = security.asks.pop(0)
    security.total_sell -= gone.quantity
    spread = security.asks[0].price - security.bids[0].price
    stir(security, Random(1))
    assert security.asks[0].price - security.bids[0].price == spread - security.tick
    assert_coherent(security)


def test_fields_tell_everything_in_the_clients_words() -> None:
    security = share()
    security.bids = [Level(8_119_500, 10, 2)]
    security.updated_at, security.traded_at = 5000, 4000
    assert security.fields() == {
        "ltp": 812.0,
        "open": 812.0,
        "high": 812.0,
        "low": 812.0,
        "close": 812.0,
        "timestamp": 5000,
        "ltt": 4000,
        "volume": 0,
        "last_trade_quantity": 0,
        "avg_trade_price": 0.0,
        "total_buy_quantity": security.total_buy,
        "total_sell_quantity": security.total_sell,
        "upper_circuit": 893.2,
        "lower_circuit": 730.8,
        "depth": {
            "buy": [{"price": 811.95, "quantity": 10, "orders": 2}],
            "sell": [
                {"price": level.price / 10_000, "quantity": level.quantity, "orders": level.orders}
                for level in security.asks[:5]
            ],
        },
    }
