"""A codec and what is subscribed on it, without a connection: wishes by mode and depth in, frames out. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from tickmux.codec import FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter

_KindOf: TypeAlias = Callable[[Instrument], str | None]


def served_level(adapter: BaseBrokerWebSocketAdapter, exchange: str, level: int) -> int:
    """The book depth that a wish for `level` gets: the best at or below it, else the least; 5 without a book."""
    offered = adapter.depth_levels(exchange)
    return max((each for each in offered if each <= level), default=min(offered, default=5))


def book_channel(adapter: BaseBrokerWebSocketAdapter, instruments: Iterable[Instrument], depth: int | None) -> str:
    """The channel that carries a book of `depth` levels of these instruments; the first without such a wish."""
    first = next(iter(adapter.channels))
    for instrument in instruments if depth else ():
        level = served_level(adapter, instrument.exchange, depth or 0)
        carriers = [stream.channel for stream in adapter.streams(instrument, Mode.DEPTH, level)]
        if carriers:
            return carriers[-1]  # the last stream is the book's own where it has one
    return first


class CodecSession:
    """One codec and what is subscribed on it, moved by demand as a connection of the pool would be."""

    def __init__(self, adapter: BaseBrokerWebSocketAdapter, channel: str) -> None:
        self.adapter = adapter
        self.channel = channel
        self.codec: FeedCodec = adapter.codec(channel)
        self._kinds: dict[Instrument, dict[Mode, str]] = {}  # what every held mode asks of this channel
        self._batch = max(1, adapter.channels[channel].batch)

    def subscribe(self, instruments: Iterable[Instrument], mode: Mode, depth: int | None) -> list[Frame]:
        """The frames after which `mode` is served too. `depth` None: the least depth of this channel."""
        levels = None if depth is None else (depth,)
        return self._hold(instruments, mode, lambda instrument: self._kind(instrument, mode, levels))

    def subscribe_incoming(self, instruments: Iterable[Instrument], mode: Mode, depth: int | None) -> None:
        """As `subscribe`, but `depth` None is the greatest that this channel serves by itself, else in part."""
        if depth is None:
            self._hold(instruments, mode, lambda instrument: self._greatest_kind(instrument, mode))
        else:
            self.subscribe(instruments, mode, depth)

    def unsubscribe(self, instruments: Sequence[Instrument], mode: Mode | None, depth: int | None) -> list[Frame]:
        """The frames that give up `mode` (None: all); what was not subscribed yet is subscribed unseen first."""
        missing = [instrument for instrument in instruments if instrument not in self.codec.kinds]
        self.subscribe(missing, mode or Mode.DEPTH, depth)
        for instrument in instruments:
            held = self._kinds.get(instrument, {})
            if mode is None or held.pop(mode, None) is None:
                held.clear()
        return self._move(instruments)

    def change(
        self, instruments: Sequence[Instrument], old: Mode | None, new: Mode, depth: int | None
    ) -> list[Frame]:
        """The frames that turn `old` (subscribed unseen first) into `new`; None stands for what is held."""
        missing = [instrument for instrument in instruments if instrument not in self.codec.kinds]
        old = old or (Mode.LTP if new is Mode.QUOTE else Mode.QUOTE)
        self.subscribe(missing, old, depth if old is Mode.DEPTH is not new else None)
        for instrument in instruments:
            self._kinds.pop(instrument, None)
        return self.subscribe(instruments, new, depth)

    def _hold(
        self, instruments: Iterable[Instrument], mode: Mode, kind_of: Callable[[Instrument], str | None]
    ) -> list[Frame]:
        wanted = list(dict.fromkeys(instruments))
        for instrument in wanted:
            try:
                self.codec.wire_key(instrument)
                kind = kind_of(instrument)
            except (ValueError, LookupError):  # this broker cannot name or serve it
                kind = None
            if kind is not None:
                self._kinds.setdefault(instrument, {})[mode] = kind
        return self._move(wanted)

    def _kind(self, instrument: Instrument, mode: Mode, levels: Sequence[int] | None) -> str | None:
        if levels is None:
            levels = sorted(self.adapter.depth_levels(instrument.exchange)) or (5,)
        for level in levels if mode is Mode.DEPTH else (5,):
            served = served_level(self.adapter, instrument.exchange, level)
            for channel, kind in self.adapter.streams(instrument, mode, served):
                if channel == self.channel:
                    return kind
        return None

    def _greatest_kind(self, instrument: Instrument, mode: Mode) -> str | None:
        offered = sorted(self.adapter.depth_levels(instrument.exchange), reverse=True)
        alone = [level for level in offered if len(self.adapter.streams(instrument, mode, level)) == 1]
        return self._kind(instrument, mode, alone + offered or None)

    def _move(self, instruments: Iterable[Instrument]) -> list[Frame]:
        """The frames that bring the subscriptions in line with the highest mode held of every instrument."""
        steps: dict[tuple[str | None, str | None], list[Instrument]] = {}
        for instrument in dict.fromkeys(instruments):
            held = self._kinds.get(instrument)
            step = (self.codec.kinds.get(instrument), held[max(held)] if held else None)
            if step[0] != step[1]:
                steps.setdefault(step, []).append(instrument)
        frames: list[Frame] = []
        for (old, new), members in steps.items():
            for start in range(0, len(members), self._batch):
                part = members[start : start + self._batch]
                if old is None and new is not None:
                    frames += self.codec.subscribe(part, new)
                elif new is None and old is not None:
                    frames += self.codec.unsubscribe(part, old)
                elif new is not None and old is not None:
                    frames += self.codec.change(part, old, new)
        return frames
