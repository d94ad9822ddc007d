"""How the client protocol spells modes, exchanges and depth; pure."""

from collections.abc import Sequence
from typing import Any

from tickmux.errors import ErrorCode, RequestError
from tickmux.instrument import EXCHANGES
from tickmux.tick import Mode

ANSWER_MODES = {Mode.LTP: "LTP", Mode.QUOTE: "Quote", Mode.DEPTH: "Depth"}
"""How answers spell a mode."""

DATA_MODES = {Mode.LTP: "ltp", Mode.QUOTE: "quote", Mode.DEPTH: "depth"}
"""How `data` spells a mode."""

DEFAULT_DEPTH = 5
MAX_DEPTH = 1000

_MODES: dict[Any, Mode] = {
    **{mode.value: mode for mode in Mode},
    **{str(mode.value): mode for mode in Mode},
    **{mode.name: mode for mode in Mode},
}
_KNOWN_EXCHANGES = frozenset(EXCHANGES)


def parse_mode(value: object) -> Mode:
    """The mode that a request names: `LTP`, `QUOTE`, `DEPTH` in any case, or 1, 2, 3."""
    key = value.strip().upper() if isinstance(value, str) else value
    if isinstance(key, (str, int)) and not isinstance(key, bool) and key in _MODES:
        return _MODES[key]
    raise RequestError(
        ErrorCode.INVALID_MODE, f"mode {shown(value)} is unknown: use LTP, QUOTE or DEPTH (or 1, 2, 3)"
    )


def parse_depth(value: object) -> int:
    """The number of depth levels that a request names, as integer or digits."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:9])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_DEPTH:
        raise RequestError(
            ErrorCode.UNSUPPORTED_DEPTH_LEVEL, f"depth {shown(value)} is no number of levels: use 5, 20, 30, 50 …"
        )
    return value


def best_depth(levels: Sequence[int], wanted: int) -> int:
    """The depth that will really be sent: the best on offer at or below `wanted`; 0 where there is no book."""
    if not levels:
        return 0
    offered = [level for level in levels if level <= wanted]
    if not offered:
        raise RequestError(
            ErrorCode.UNSUPPORTED_DEPTH_LEVEL,
            f"depth {wanted} is not offered: use one of {', '.join(map(str, levels))}",
        )
    return max(offered)


def parse_exchange(value: object) -> str:
    """An exchange code, in any case."""
    if isinstance(value, str) and (exchange := value.strip().upper()) in _KNOWN_EXCHANGES:
        return exchange
    if value is None:
        raise RequestError(
            ErrorCode.INVALID_PARAMETERS,
            'exchange is missing: send NSE:SBIN, SBIN@NSE or {"symbol":"SBIN","exchange":"NSE"}',
        )
    raise RequestError(
        ErrorCode.INVALID_PARAMETERS, f"exchange {shown(value)} is unknown: use one of {', '.join(EXCHANGES)}"
    )


def shown(value: object) -> str:
    """A client's value as an error message may repeat it: short, on one line."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…'"
