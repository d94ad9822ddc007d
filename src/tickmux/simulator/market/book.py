"""What happens in one order book: trades, changed orders, re-quoting. Pure; the random source is a parameter.

Every function leaves the book coherent: prices on the tick grid and inside the circuits, strictly falling
bids, strictly rising asks, best bid below best ask, totals equal to the sums of the levels, ltp within the
day's range. A side may be empty (at a circuit), never both.
"""

from random import Random

from tickmux.simulator.market.security import BOOK_LEVELS, Level, Security

VOLUME_CAP = 2_000_000_000
"""No trade after this day's volume: every wire format can carry it, also signed 32-bit ones."""
_MOST_ORDERS = 250


def open_book(security: Security, random: Random) -> None:
    """Builds both sides around the last price."""
    security.bids = []
    security.asks = []
    security.total_buy = security.total_sell = 0
    below, above = security.ltp - security.tick, security.ltp
    if below < security.lower_circuit:
        below, above = security.lower_circuit, security.lower_circuit + security.tick
    _extend_bids(security, below, random)
    _extend_asks(security, above, random)


def trade(security: Security, buying: bool, random: Random, now: int) -> None:
    """An incoming order takes from the best ask (`buying`) or bid; from the other side if that one is empty."""
    taken = security.asks if buying else security.bids
    if not taken:
        buying = not buying
        taken = security.asks if buying else security.bids
    best = taken[0]
    lot = security.lot_size
    quantity = min(lot * (1 + int(random.random() ** 4 * security.usual_lots / 3)), best.quantity)
    if security.volume + quantity > VOLUME_CAP:
        return
    price = best.price
    best.quantity -= quantity
    if buying:
        security.total_sell -= quantity
    else:
        security.total_buy -= quantity
    if best.quantity:
        best.orders = min(best.orders, best.quantity // lot)
    else:
        del taken[0]
        _follow(security, buying, price, random)
    _record(security, price, quantity, now)
    if security.expiry is not None:
        change = (int(random.random() * 3) - 1) * quantity  # a position closed, passed on, or opened
        security.oi = max(lot, security.oi + change)
        security.oi_high = max(security.oi_high, security.oi)
        security.oi_low = min(security.oi_low, security.oi)


def stir(security: Security, random: Random) -> None:
    """Orders are placed or cancelled: one level changes, or a new best price appears inside a wide spread."""
    bids, asks = security.bids, security.asks
    buying = random.random() < 0.5
    levels = bids if buying else asks
    if not levels or not bids or not asks:
        _return_to_market(security, random)
        return
    tick = security.tick
    if asks[0].price - bids[0].price > tick:
        if buying:
            _insert_bid(security, bids[0].price + tick, random)
        else:
            _insert_ask(security, asks[0].price - tick, random)
        return
    level = levels[int(random.random() ** 2 * len(levels))]
    old = level.quantity
    lots = 1 + int(random.random() ** 2 * security.usual_lots)
    level.quantity = lots * security.lot_size
    level.orders = _orders(lots, random)
    if buying:
        security.total_buy += level.quantity - old
    else:
        security.total_sell += level.quantity - old


def requote(security: Security, ticks: int, random: Random) -> None:
    """Everybody moves by `ticks`, as far as the circuits allow."""
    bids, asks = security.bids, security.asks
    tick = security.tick
    lower, upper = security.lower_circuit, security.upper_circuit
    if not bids or not asks:
        return
    if ticks > 0:
        ticks = min(ticks, (upper - asks[0].price) // tick)
    else:
        ticks = -min(-ticks, (bids[0].price - lower) // tick)
    if not ticks:
        return
    shift = ticks * tick
    for level in bids:
        level.price += shift
    for level in asks:
        level.price += shift
    while asks[-1].price > upper:
        security.total_sell -= asks.pop().quantity
    while bids[-1].price < lower:
        security.total_buy -= bids.pop().quantity
    _extend_bids(security, bids[-1].price - tick, random)
    _extend_asks(security, asks[-1].price + tick, random)


def _record(security: Security, price: int, quantity: int, now: int) -> None:
    security.ltp = price
    security.last_quantity = quantity
    security.traded_at = now
    security.volume += quantity
    security.turnover += quantity * price
    if price > security.high:
        security.high = price
        security.year_high = max(security.year_high, price)
    elif price < security.low:
        security.low = price
        security.year_low = min(security.year_low, price)


def _follow(security: Security, buying: bool, price: int, random: Random) -> None:
    """The best level at `price` is gone: the book moves up (`buying`) or down, and the other side closes in."""
    tick = security.tick
    if buying:
        _extend_asks(security, (security.asks[-1].price if security.asks else price) + tick, random)
        if not security.asks or not security.bids or random.random() < 0.7:
            _insert_bid(security, price, random)
    else:
        _extend_bids(security, (security.bids[-1].price if security.bids else price) - tick, random)
        if not security.asks or not security.bids or random.random() < 0.7:
            _insert_ask(security, price, random)


def _return_to_market(security: Security, random: Random) -> None:
    # One side is empty: the price rests at a circuit. The empty side comes back once the other has left it room.
    if not security.asks:
        price = security.bids[0].price + security.tick
        if price <= security.upper_circuit:
            _extend_asks(security, price, random)
    elif not security.bids:
        price = security.asks[0].price - security.tick
        if price >= security.lower_circuit:
            _extend_bids(security, price, random)


def _insert_bid(security: Security, price: int, random: Random) -> None:
    level = _level(security, price, random)
    bids = security.bids
    bids.insert(0, level)
    security.total_buy += level.quantity
    if len(bids) > BOOK_LEVELS:
        security.total_buy -= bids.pop().quantity


def _insert_ask(security: Security, price: int, random: Random) -> None:
    level = _level(security, price, random)
    asks = security.asks
    asks.insert(0, level)
    security.total_sell += level.quantity
    if len(asks) > BOOK_LEVELS:
        security.total_sell -= asks.pop().quantity


def _extend_bids(security: Security, price: int, random: Random) -> None:
    bids = security.bids
    while len(bids) < BOOK_LEVELS and price >= security.lower_circuit:
        level = _level(security, price, random)
        bids.append(level)
        security.total_buy += level.quantity
        price -= _gap(random) * security.tick


def _extend_asks(security: Security, price: int, random: Random) -> None:
    asks = security.asks
    while len(asks) < BOOK_LEVELS and price <= security.upper_circuit:
        level = _level(security, price, random)
        asks.append(level)
        security.total_sell += level.quantity
        price += _gap(random) * security.tick


def _level(security: Security, price: int, random: Random) -> Level:
    lots = 1 + int(random.random() ** 2 * security.usual_lots)
    return Level(price, lots * security.lot_size, _orders(lots, random))


def _orders(lots: int, random: Random) -> int:
    return 1 + int(random.random() * min(lots, _MOST_ORDERS))


def _gap(random: Random) -> int:
    return 1 if random.random() < 0.8 else 2
