"""What raw values mean to us, said once more for tests that compare codecs with the specifications' tables.

Written from the rules of `docs/adding-a-broker.md`, not from the product's code: tables instead of arithmetic.
"""

import math

NONES = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2294967295, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF)
SIGNED_NONES = (-1, -0x80000000, -0x7FFFFFFF, -2000000001, -0x8000000000000000, -0x7FFFFFFFFFFFFFFF)
TOO_DEAR = 20_000_000


def price(raw: int, divisor: float, *, wide: bool = False, index: bool = False) -> float | None:
    """Rupees of a whole number; `wide` for 64 bits."""
    if raw == 0 or raw in NONES or raw in SIGNED_NONES:
        return None
    if not wide and divisor == 100 and 2**31 < raw < 2**32:
        raw -= 2**32
    return rupees(raw / divisor, index=index)


def rupees(value: float, *, index: bool = False) -> float | None:
    if not math.isfinite(value) or value == 0 or abs(value) >= TOO_DEAR or math.isclose(value, -0.01, abs_tol=1e-9):
        return None
    return None if index and value < 0 else value


def count(raw: int) -> int | None:
    return None if raw < 0 or raw in NONES else raw


def real_count(value: float) -> int | None:
    return count(int(value)) if 0 <= value < 2.0**53 else None


def seconds(raw: int, shift: int = 0) -> int | None:
    """Epoch milliseconds."""
    return (raw + shift) * 1000 if raw > 0 and raw not in NONES and 0 < raw + shift < 253_402_300_800 else None
