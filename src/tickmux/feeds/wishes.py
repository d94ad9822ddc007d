"""What the pool wants of one connection, and what has to be said to bring a server there; no I/O.

Owns nothing that runs. Bounded by the instruments that the pool places on the connection.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from tickmux.instrument import Instrument


class Wishes:
    """What is wanted: instrument -> kind. `changed` is set at every wish; whoever waits for it clears it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.wanted: dict[Instrument, str] = {}
        self.load: dict[str, int] = {}
        """How many instruments are wanted of each kind."""
        self.changed = asyncio.Event()
        self._clock = clock
        self._newest = 0.0
        self._first: float | None = None
        """When the first and the newest wish came that the broker has not been told."""

    def want(self, instrument: Instrument, kind: str) -> None:
        self._count(self.wanted.get(instrument), -1)
        self._count(kind, +1)
        self.wanted[instrument] = kind
        self._wish()

    def drop(self, instrument: Instrument) -> None:
        self._count(self.wanted.pop(instrument, None), -1)
        self._wish()

    def settled_at(self, settle: float) -> float:
        """When what is asked for may be told: after a pause, but a steady trickle does not put it off for ever."""
        settled = self._newest + settle
        return settled if self._first is None else min(settled, self._first + 4 * settle)

    def told(self) -> None:
        """Everything that is wanted is being told."""
        self._first = None

    def _wish(self) -> None:
        self._newest = self._clock()
        if self._first is None:
            self._first = self._newest
        self.changed.set()

    def _count(self, kind: str | None, by: int) -> None:
        if kind is not None:
            self.load[kind] = self.load.get(kind, 0) + by


class Step(NamedTuple):
    """One call of a codec: `old` alone unsubscribes, `new` alone subscribes, both change the kind."""

    instruments: list[Instrument]
    old: str | None
    new: str | None


def steps(told: Mapping[Instrument, str], wanted: Mapping[Instrument, str], batch: int) -> Iterator[Step]:
    """From what the server has been told to what is wanted; ends come first, so that no limit is ever exceeded."""
    groups: dict[tuple[str | None, str | None], list[Instrument]] = {}
    for instrument, kind in told.items():
        if instrument not in wanted:
            groups.setdefault((kind, None), []).append(instrument)
    changes: dict[tuple[str | None, str | None], list[Instrument]] = {}
    fresh: dict[tuple[str | None, str | None], list[Instrument]] = {}
    for instrument, kind in wanted.items():
        old = told.get(instrument)
        if old is None:
            fresh.setdefault((None, kind), []).append(instrument)
        elif old != kind:
            changes.setdefault((old, kind), []).append(instrument)
    for part in (groups, changes, fresh):
        for (before, after), instruments in part.items():
            for start in range(0, len(instruments), batch):
                yield Step(instruments[start : start + batch], before, after)
