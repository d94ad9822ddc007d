"""Which raw values of a broker's wire mean "none" and which are negative: one policy for all brokers. Pure.

* A price or a time of 0 is none. A count of 0 is a count.
* Sentinels are none: the greatest and least numbers of 32 and 64 bits, and 2294967295, which is -2000000001 read
  without a sign. They come as they are, as paise turned into rupees, and rounded by a 32-bit float.
* Prices may be negative (crude oil in April 2020, spreads), but those of an index never are. A wire with a sign is
  read with it. On one without a sign a paise price of 2³¹ or more can only be a negative number that was wrapped,
  since nothing costs 21 million rupees; with a divisor of 10,000 or more it is a price (silver on NCO).
* No instrument costs `DEAREST` rupees: what is beyond is damage, an infinity or a sentinel of a further kind.
* Counts and times are never negative.

What a codec does with a none is its wire's matter: a complete record takes the old value back (`Tick.taken_back`), a
message of changes does so for what it names, and proto3's zero says nothing at all.

Most values are plain: each function lets them through with its first comparison. Hot loops spare the call as well:
they ask `0 < raw < PLAIN` themselves, for such whole numbers need no judgement, nor do rupees below `PLAIN_RUPEES`.
"""

import struct

DEAREST = 20_000_000.0
"""Rupees; also the magnitude below which paise of 32 bits hold no sentinel."""
PLAIN = 2_000_000_000
"""A raw whole number above 0 and below this is a value, whatever its width, sign and meaning."""
PLAIN_RUPEES = 200.0
"""Above 0 and below this, rupees are a price on every scale; on that of paise alone `DEAREST` says the same."""
END_OF_TIME = 253_402_300_800
"""Seconds of the year 10000: beyond it lies no time that a calendar can show."""

_WRAPS_FROM, _WRAP = 1 << 31, 1 << 32
_SENTINELS = frozenset(
    {
        -1, (1 << 32) - 1, (1 << 64) - 1,
        (1 << 31) - 1, 1 << 31, -(1 << 31), 1 - (1 << 31),
        (1 << 63) - 1, 1 << 63, -(1 << 63), 1 - (1 << 63),
        2_294_967_295, -2_000_000_001,
    }
)  # fmt: skip
_PAISE = 100
_NARROW = struct.Struct("<f")
_SCALED = frozenset({-0.01}) | {
    unsigned / divisor
    for unsigned in ((1 << 31) - 1, 1 << 31, (1 << 32) - 1, 2_294_967_295)
    for divisor in (10_000, 10_000_000)
}
_SENTINEL_RUPEES = _SCALED | {_NARROW.unpack(_NARROW.pack(value))[0] for value in _SCALED}
"""Those that `DEAREST` does not catch: -1 as paise, and what the scales of currency and NCO make of the others."""
_MOST_UNITS = float(1 << 53)
"""Beyond it a float does not know every whole number; no quantity comes near."""
_PLAIN_COUNT = float(PLAIN)
_WIDE_SENTINELS_END, _END_OF_TIME_MS = 1 << 33, END_OF_TIME * 1000
"""No sentinel of 32 bits or of 64 lies between the two."""


def price(raw: int, divisor: float, is_index: bool = False) -> float | None:
    """Rupees of a whole number of 32 bits, read with its sign or without."""
    if 0 < raw < PLAIN and divisor >= _PAISE:
        return raw / divisor
    if not raw or raw in _SENTINELS:
        return None
    if raw >= _WRAPS_FROM and divisor == _PAISE:
        raw -= _WRAP
    return _in_range(raw / divisor, is_index)


def wide_price(raw: int, divisor: float, is_index: bool = False) -> float | None:
    """Rupees of a whole number of 64 bits, in which no 32-bit number was wrapped."""
    if 0 < raw < PLAIN and divisor >= _PAISE:
        return raw / divisor
    if not raw or raw in _SENTINELS:
        return None
    return _in_range(raw / divisor, is_index)


def rupees(value: float, is_index: bool = False) -> float | None:
    """Rupees of a wire that has them as a float or a decimal text, as they are there, before any rounding."""
    if value in _SENTINEL_RUPEES:
        return None
    if 0.0 < value < DEAREST:
        return value
    return _in_range(value, is_index) if value else None


def _in_range(value: float, is_index: bool) -> float | None:
    if not -DEAREST < value < DEAREST:  # NaN compares false
        return None
    return None if is_index and value < 0 else value


def count(raw: int) -> int | None:
    """A quantity, a volume, an open interest, a number of orders."""
    if 0 <= raw < PLAIN:
        return raw
    return None if raw < 0 or raw in _SENTINELS else raw


def float_count(value: float) -> int | None:
    """A count of a wire that has it as a float or a decimal text: its whole part."""
    if 0.0 <= value < _PLAIN_COUNT:
        return int(value)
    if not 0 <= value < _MOST_UNITS or value in _SENTINELS:  # NaN compares false
        return None
    return int(value)


def short_count(raw: int) -> int | None:
    """A count of 16 bits, which are too few to spare one for a sentinel."""
    return None if raw < 0 else raw


def epoch_ms(seconds: int, shift: int = 0) -> int | None:
    """Epoch milliseconds of `seconds`, which count from `shift` seconds after 1970 on."""
    moment = seconds + shift
    if seconds <= 0 or not 0 < moment < END_OF_TIME or (seconds >= PLAIN and seconds in _SENTINELS):
        return None
    return moment * 1000


def moment_ms(milliseconds: int) -> int | None:
    """Epoch milliseconds of a wire that has them."""
    if _WIDE_SENTINELS_END <= milliseconds < _END_OF_TIME_MS:
        return milliseconds
    return milliseconds if 0 < milliseconds < _END_OF_TIME_MS and milliseconds not in _SENTINELS else None
