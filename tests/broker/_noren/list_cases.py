"""Rows of instrument lists, and what the specifications say becomes of them."""

from collections.abc import Iterable, Mapping

from tickmux.instrument import Instrument
from tickmux.instrument_list import InstrumentList

COLUMNS = "symbol, exchange, token, brexchange, brsymbol, expiry, strike, lotsize, instrumenttype, tick_size"


def as_written(instrument: Instrument) -> str:
    """The instrument as the specifications' tables have it, in the order of `COLUMNS`."""
    return ", ".join(
        (
            instrument.symbol,
            instrument.exchange,
            instrument.token,
            instrument.brexchange,
            instrument.brsymbol,
            instrument.expiry or "–",
            f"{instrument.strike:g}" if instrument.strike else "–",
            str(instrument.lotsize),
            instrument.instrumenttype,
            f"{instrument.tick_size:g}",
        )
    )


def listed(lists: InstrumentList, lines: Iterable[str], filename: str = "list.txt") -> list[str]:
    return [as_written(one) for one in lists.parse("\n".join(lines).encode(), filename)]


def check(lists: type[InstrumentList], head: str, cases: Mapping[str, str]) -> None:
    """All rows together in one file give exactly what is expected, in order."""
    subject = lists()
    lines = [head, *cases] if head else list(cases)
    assert listed(subject, lines) == list(cases.values())
    assert not subject.skipped
