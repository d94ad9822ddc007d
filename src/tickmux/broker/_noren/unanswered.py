"""Subscriptions whose first answer has not come: asked for once more, then reported. Pure; time is counted in beats.

Bounded by the subscriptions: each is here at most once, and leaves with its answer, its end or its report.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

from tickmux.codec import Decoded, Event
from tickmux.instrument import Instrument

K = TypeVar("K")

_MOST_AT_ONCE = 25
"""Subscriptions that one beat repeats: some servers drop a part of longer lists in silence."""


class Unanswered(Generic[K]):
    """`beat` is to be called every few seconds; the second one after a subscription finds it late."""

    def __init__(self) -> None:
        self._beats: dict[K, int] = {}
        """Beats since it was asked for; negative once it was asked for again."""
        self.silent: list[K] = []
        """What was asked for twice without an answer; whoever reports it clears it."""

    def asked(self, key: K) -> None:
        self._beats[key] = 0

    def settled(self, key: K) -> None:
        """It was answered, or is no longer wanted."""
        self._beats.pop(key, None)

    def beat(self) -> list[K]:
        """What has to be asked for again now."""
        late: list[K] = []
        for key, beats in tuple(self._beats.items()):
            if beats == 0:
                self._beats[key] = 1
            elif beats == 1:
                if len(late) < _MOST_AT_ONCE:
                    late.append(key)
                    self._beats[key] = -1
            elif beats == -1:
                self._beats[key] = -2
            else:
                del self._beats[key]
                self.silent.append(key)
        return late


def report_silence(decoded: Decoded, silent: Sequence[Instrument]) -> None:
    """Adds to what a frame amounts to that these instruments were asked for twice without an answer."""
    if silent and decoded.event in (None, Event.HEARTBEAT, Event.ACK):
        names = ", ".join(f"{one.symbol} ({one.exchange})" for one in silent[:5])
        more = f" and {len(silent) - 5} more" if len(silent) > 5 else ""
        decoded.event = Event.ERROR
        decoded.message = f"no answer to two subscriptions of {names}{more}"
    decoded.refused = [*decoded.refused, *silent]
