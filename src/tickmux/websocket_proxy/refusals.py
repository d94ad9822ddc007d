"""Clients that were refused or closed for cause: counted by reason, and told to the operator in bounded lines.

One line with fields at once for each reason, then one in `_EVERY` seconds that says how many were left out, so that
nobody can fill a disk from outside. A key is never among the fields.
"""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

_EVERY = 10.0
_LONGEST = 200
"""Characters of a field's value: some come from clients."""


class Refusals:
    """`counts` by reason, which are few and ours. `clock` gives seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.counts: dict[str, int] = {}
        self._clock = clock
        self._told: dict[str, tuple[float, int]] = {}
        """Reason -> when it was last told, and its count then."""

    def count(self, reason: str) -> int:
        """Counts one more, and tells nobody; how many there were."""
        count = self.counts[reason] = self.counts.get(reason, 0) + 1
        return count

    def tell(self, reason: str, **fields: object) -> None:
        """Counts one more, and writes a line unless one was written just now."""
        count = self.count(reason)
        now = self._clock()
        at, told = self._told.get(reason, (float("-inf"), 0))
        if now - at < _EVERY:
            return
        self._told[reason] = now, count
        if count - told > 1:
            fields["not_told"] = count - told - 1
        shown = " ".join(f"{name}={_shown(value)}" for name, value in fields.items())
        log.warning("client refused: reason=%s %s", reason, shown)


def _shown(value: object) -> str:
    """A field's value on one line."""
    text = str(value)
    if not text.isprintable() or " " in text or not text:
        text = ascii(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
