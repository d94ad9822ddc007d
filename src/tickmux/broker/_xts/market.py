"""What one session has said of its instruments, and the tick that each message gives (specification section 5.7).

State is kept for each code of each subscribed instrument, so it is bounded by what is subscribed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tickmux.broker._xts.messages import (
    DEPTH,
    LTP,
    OPEN_INTEREST,
    QUOTE,
    Change,
    Full,
    Level,
    LevelChange,
    Properties,
)
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Mode, Tick

_MODES = {LTP: MODE_LTP, QUOTE: MODE_QUOTE, DEPTH: MODE_DEPTH}
_UPPER, _LOWER = (88, 110), (87, 111)
"""Property numbers: the price range, else the execution band."""
_USED_PROPERTIES = frozenset((*_UPPER, *_LOWER))
_NO_BOOK: Mapping[type, Mapping[str, Any]] = {Full: {"bids": None, "asks": None}, Change: {"bids": (), "asks": ()}}
_PADDING: Level = (None, None, None)


class _Said:
    """What one code has said; a side is None as long as it has said nothing of it."""

    __slots__ = ("asks", "bids", "fields")

    def __init__(
        self,
        fields: dict[str, float | int],
        bids: Sequence[Level] | None = None,
        asks: Sequence[Level] | None = None,
    ) -> None:
        self.fields = fields
        self.bids = bids
        self.asks = asks


class InstrumentState:
    """One instrument in one session."""

    __slots__ = ("_codes", "_extra", "_lost", "_properties", "_retired", "instrument")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._codes: dict[int, _Said] = {}
        self._extra: dict[str, float | int] = {}
        """Open interest and circuit limits, which join every QUOTE and DEPTH tick."""
        self._properties: dict[int, float] = {}
        self._retired: set[int] = set()
        self._lost: tuple[str, ...] = ()
        """What full messages no longer have a value for, since the last tick."""

    def change(self, old: int, new: int) -> None:
        """The subscription moves from one code to another: what still comes of the old one is no longer taken,
        since a state that is not updated any more would pass for the present one."""
        self._retired.discard(new)
        self._retired.add(old)
        self._codes.pop(old, None)

    def forget_open_interest(self) -> None:
        """Its stream has ended: the last value would grow old."""
        self._extra.pop("oi", None)

    def snapshot(self, message: Full) -> Tick | None:
        """Takes in what came with the answer to a subscription. The stream may have overtaken it meanwhile, and a
        price of the past must not replace a newer one."""
        known = "oi" in self._extra if message.code == OPEN_INTEREST else message.code in self._codes
        return None if known else self.apply(message)

    def apply(self, message: Full | Change | Properties) -> Tick | None:
        """Takes the message in; the tick that it gives, if any."""
        if isinstance(message, Properties):
            self._limit(message.values)
            return None
        if message.code in self._retired:
            return None
        fields: Mapping[str, float | int] = message.fields
        if self.instrument.is_index:
            # An index is not traded: its quantities of 0 say nothing. It is never negative and has no book.
            fields = {name: value for name, value in fields.items() if value > 0}
            message = message._replace(**_NO_BOOK[type(message)])
        if message.code == OPEN_INTEREST:
            return self._open_interest(fields)
        if isinstance(message, Full):
            before = self._codes.get(message.code)
            said = self._codes[message.code] = _Said(dict(fields), message.bids, message.asks)
            if before is not None and (lost := before.fields.keys() - fields.keys()):
                self._lost += tuple(sorted(lost))
        else:
            said = self._codes.setdefault(message.code, _Said({}))
            said.fields.update(fields)
            said.bids = _changed(said.bids, message.bids)
            said.asks = _changed(said.asks, message.asks)
        return self._tick(_MODES[message.code], said)

    def _limit(self, values: Mapping[int, float]) -> None:
        self._properties.update((number, value) for number, value in values.items() if number in _USED_PROPERTIES)
        for name, numbers in (("upper_circuit", _UPPER), ("lower_circuit", _LOWER)):
            limit = next((self._properties[number] for number in numbers if number in self._properties), None)
            if limit is not None:
                self._extra[name] = limit

    def _open_interest(self, fields: Mapping[str, float | int]) -> Tick | None:
        if "oi" not in fields:
            return None
        self._extra["oi"] = fields["oi"]
        said = next((self._codes[code] for code in (QUOTE, DEPTH) if "ltp" in self._fields_of(code)), None)
        if said is None:
            return None
        tick = self._tick(MODE_QUOTE, said)
        if tick is not None and "timestamp" in fields:
            tick.timestamp = int(fields["timestamp"])
        return tick

    def _fields_of(self, code: int) -> Mapping[str, float | int]:
        said = self._codes.get(code)
        return said.fields if said is not None else {}

    def _tick(self, mode: Mode, said: _Said) -> Tick | None:
        depth = None
        if mode is MODE_DEPTH:
            if said.bids is None and said.asks is None:
                mode = MODE_QUOTE
            else:
                depth = Depth(_shown(said.bids), _shown(said.asks))
        if depth is None and "ltp" not in said.fields:
            return None
        tick = Tick(instrument=self.instrument, mode=mode, depth=depth, **said.fields)  # type: ignore[arg-type]
        if mode is not MODE_LTP:
            for name, value in self._extra.items():
                setattr(tick, name, value)
        if self._lost:
            tick.taken_back, self._lost = tuple(n for n in self._lost if getattr(tick, n) is None), ()
        return tick


def _changed(levels: Sequence[Level] | None, changes: Sequence[LevelChange]) -> Sequence[Level] | None:
    if not changes:
        return levels
    found = list(levels or ())
    for index, parts in changes:
        if index >= len(found):
            found.extend([_PADDING] * (index + 1 - len(found)))
        price, size, orders = found[index]
        found[index] = (parts.get(0, price), parts.get(1, size), parts.get(2, orders))  # type: ignore[assignment]
    return found


def _shown(levels: Sequence[Level] | None) -> list[DepthLevel]:
    """The levels without the padding."""
    return [DepthLevel(price, size, orders) for price, size, orders in levels or () if price and size]
