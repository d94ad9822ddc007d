"""Turns the catalogue's tables into the day's securities, each with its opening state and order book. Pure."""

from collections.abc import Mapping
from datetime import date
from random import Random

from tickmux.instrument import derivative_symbol
from tickmux.simulator.market import catalogue
from tickmux.simulator.market.book import open_book
from tickmux.simulator.market.catalogue import Equity, Index
from tickmux.simulator.market.contracts import expiries, option_value
from tickmux.simulator.market.security import PAISA, PRICE_UNIT, Security

_BUSY = frozenset({"NIFTY", "BANKNIFTY", "SENSEX", "RELIANCE", "SBIN", "INFY", "TCS", "HDFCBANK", "ICICIBANK"})
_TWENTY_PERCENT = frozenset({"SUZLON", "YESBANK", "IDEA"})
_CARRY = 0.065
"""Yearly interest in futures prices."""

Weights = dict[Security, tuple[tuple[Security, float], ...]]
"""Constituent -> the indices it moves, with index points per price unit of the constituent."""


class Listing:
    """The securities of one day. `weights` says how constituents move their indices."""

    def __init__(self, today: date, random: Random, now: int) -> None:
        self._today = today
        self._random = random
        self._now = now
        self._tokens: dict[str, set[int]] = {}
        self.securities: list[Security] = []
        indices = {index.symbol: self._index(index) for index in catalogue.INDICES}
        self.weights: Weights = self._equities(indices)
        futures = self._futures(indices)
        self._options(indices, futures)

    def _add(self, security: Security) -> Security:
        self._tokens.setdefault(security.exchange, set()).add(security.token)
        self.securities.append(security)
        return security

    def _index(self, row: Index) -> Security:
        security = Security(
            symbol=row.symbol,
            exchange=row.exchange,
            name=row.name,
            kind="INDEX",
            token=row.token,
            tick=PAISA,
            lot_size=0,
            activity=8 if row.symbol in _BUSY else 3,
        )
        security.close = security.ltp = round(row.close * PRICE_UNIT)
        security.fair = float(security.close)
        _start_day(security, self._now)
        return self._add(security)

    def _equities(self, indices: Mapping[str, Security]) -> Weights:
        listed: list[tuple[Equity, Security]] = []
        for row in catalogue.EQUITIES:
            share = self._equity(row, "NSE", row.token, None)
            listed.append((row, share))
            if row.bse_code:
                listed.append((row, self._equity(row, "BSE", row.bse_code, share)))
        weights: dict[Security, list[tuple[Security, float]]] = {}
        for index in catalogue.INDICES:
            target = indices[index.symbol]
            home = target.exchange.removesuffix("_INDEX")
            members = [(row, s) for row, s in listed if s.exchange == home and set(row.groups) & set(index.groups)]
            total = sum(row.weight for row, _ in members)
            for row, member in members:
                points = target.close * row.weight / total / member.close
                weights.setdefault(member, []).append((target, points))
                target.fair += points * (member.ltp - member.close)
        for target in indices.values():
            target.ltp = round(target.fair / PAISA) * PAISA
            _start_day(target, self._now)
        return {member: tuple(moved) for member, moved in weights.items()}

    def _equity(self, row: Equity, exchange: str, token: int, twin: Security | None) -> Security:
        random = self._random
        tick = PAISA * (1 if row.close < 250 else 5 if row.close < 1000 else 10)
        security = Security(
            symbol=row.symbol,
            exchange=exchange,
            name=row.name,
            kind="EQ",
            token=token,
            tick=tick,
            isin=catalogue.REAL_ISINS.get(row.symbol) or _isin(row.token),
            underlying=twin,
            activity=5 if row.symbol in _BUSY else 2,
            usual_lots=min(5000, int(1_500_000 / row.close) + 50),
        )
        security.close = round(row.close * PRICE_UNIT) // tick * tick
        start = twin.ltp if twin else security.close * (1 + random.uniform(-0.01, 0.01))
        self._open(security, start, 20 if row.symbol in _TWENTY_PERCENT else 10)
        return self._add(security)

    def _futures(self, indices: Mapping[str, Security]) -> dict[tuple[str, str], list[Security]]:
        chains: dict[tuple[str, str], list[Security]] = {}
        for series in catalogue.FUTURES:
            underlying = None if series.spot else indices[series.root]
            spot = underlying.ltp if underlying else series.spot * PRICE_UNIT
            chain = chains.setdefault((series.root, series.exchange), [])
            for number, expiry in enumerate(expiries(series.expiry_rule, self._today, series.expiries)):
                twin_token = catalogue.TOKEN_TWINS.get((series.root, series.exchange))
                security = Security(
                    symbol=derivative_symbol(series.root, expiry, "FUT"),
                    exchange=series.exchange,
                    name=series.root,
                    kind="FUT",
                    token=twin_token if twin_token and not number else series.first_token + number,
                    tick=round(series.tick * PRICE_UNIT),
                    lot_size=series.lot,
                    multiplier=series.multiplier,
                    expiry=expiry,
                    underlying=underlying or (chain[0] if chain else None),
                    activity=(8, 3, 1)[min(number, 2)],
                    usual_lots=30,
                )
                price = spot * carry(security, self._today)
                security.close = _on_grid(price * (1 + self._random.uniform(-0.005, 0.005)), security.tick)
                self._open(security, price, 10)
                self._add(security)
                chain.append(security)
        return chains

    def _options(self, indices: Mapping[str, Security], futures: Mapping[tuple[str, str], list[Security]]) -> None:
        for row in catalogue.OPTIONS:
            for expiry in expiries(row.expiry_rule, self._today, row.expiries):
                chain = futures[row.root, row.exchange]
                fitting = next((future for future in chain if future.expiry and future.expiry >= expiry), chain[-1])
                underlying = indices.get(row.root, fitting)
                step = round(row.strike_step * PRICE_UNIT)
                middle = round(underlying.ltp / step)
                for strike in (
                    step * number
                    for number in range(middle - row.strikes // 2, middle - row.strikes // 2 + row.strikes)
                ):
                    for kind in ("CE", "PE"):
                        self._option(row.exchange, underlying, fitting, expiry, strike, kind)

    def _option(
        self, exchange: str, underlying: Security, future: Security, expiry: date, strike: int, kind: str
    ) -> None:
        security = Security(
            symbol=derivative_symbol(future.name, expiry, kind, strike / PRICE_UNIT),
            exchange=exchange,
            name=future.name,
            kind=kind,
            token=self._free_token(exchange),
            tick=25 if exchange == "CDS" else 5 * PAISA,
            lot_size=future.lot_size,
            multiplier=future.multiplier,
            expiry=expiry,
            strike=strike,
            underlying=underlying,
            activity=2 if abs(strike - underlying.ltp) < underlying.ltp * 0.005 else 1,
            usual_lots=40,
        )
        price = option_value(kind, underlying.ltp, strike, (expiry - self._today).days)
        price = max(price, 4.0 * security.tick)
        security.close = _on_grid(price * self._random.uniform(0.8, 1.2), security.tick)
        self._open(security, price, 0)
        self._add(security)

    def _free_token(self, exchange: str) -> int:
        token = catalogue.FIRST_OPTION_TOKEN[exchange]
        taken = self._tokens.setdefault(exchange, set())
        while token in taken:
            token += 1
        return token

    def _open(self, security: Security, price: float, circuit_percent: int) -> None:
        """Gives a tradable security its circuits, first price, day so far and book; percent 0 is an option's."""
        random = self._random
        tick = security.tick
        security.circuit_percent = circuit_percent
        _set_circuits(security)
        security.fair = min(max(price, security.lower_circuit + tick), security.upper_circuit - tick)
        security.ltp = _on_grid(security.fair, tick)
        _start_day(security, self._now)
        band = max(tick, int(security.ltp * 0.004))
        security.open = _inside(security, security.ltp + random.uniform(-band, band))
        security.high = _inside(security, max(security.ltp, security.open) + random.uniform(0, band))
        security.low = _inside(security, min(security.ltp, security.open) - random.uniform(0, band))
        security.year_high = _on_grid(max(security.high, security.close) * 1.25, tick)
        security.year_low = max(tick, _on_grid(min(security.low, security.close) * 0.7, tick))
        lot = security.lot_size
        security.last_quantity = lot * random.randint(1, 10)
        security.volume = lot * random.randint(100, 1000) * security.usual_lots
        security.turnover = security.volume * _inside(security, (security.high + security.low) / 2)
        if security.is_derivative:
            security.oi = lot * random.randint(500, 50_000)
            security.oi_high = security.oi + lot * random.randint(0, 500)
            security.oi_low = max(lot, security.oi - lot * random.randint(0, 400))
        open_book(security, random)


def carry(security: Security, today: date) -> float:
    """A future's price over the spot's, by the days to expiry."""
    return 1 + _CARRY * (security.expiry - today).days / 365 if security.expiry else 1.0


def start_new_day(security: Security, random: Random, now: int) -> None:
    """What happens at midnight in India: the last price becomes the previous close, and the day starts empty."""
    security.close = security.ltp
    if not security.is_index:
        _set_circuits(security)
        open_book(security, random)
    security.volume = security.turnover = security.last_quantity = 0
    security.oi_high = security.oi_low = security.oi
    _start_day(security, now)


def _set_circuits(security: Security) -> None:
    tick = security.tick
    percent = security.circuit_percent
    if percent:
        security.lower_circuit = -(-security.close * (100 - percent) // (100 * tick)) * tick
        security.upper_circuit = security.close * (100 + percent) // (100 * tick) * tick
    else:
        security.lower_circuit = tick
        security.upper_circuit = _on_grid(security.close * 5.0, tick) + 200 * tick


def _start_day(security: Security, now: int) -> None:
    security.open = security.high = security.low = security.ltp
    security.year_high = max(security.year_high, round(security.close * 1.25))
    security.year_low = security.year_low or round(security.close * 0.75)
    security.traded_at = security.updated_at = now


def _inside(security: Security, price: float) -> int:
    return min(max(_on_grid(price, security.tick), security.lower_circuit), security.upper_circuit)


def _on_grid(price: float, tick: int) -> int:
    return max(tick, round(price / tick) * tick)


def _isin(number: int) -> str:
    """A made-up Indian ISIN whose check digit is right."""
    body = f"INE{number % 1000:03d}{chr(65 + number // 1000 % 26)}01{number % 89 + 10:02d}"
    digits = "".join(str(int(sign, 36)) for sign in body)
    doubled = (int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(reversed(digits)))
    return f"{body}{-sum(value // 10 + value % 10 for value in doubled) % 10}"
