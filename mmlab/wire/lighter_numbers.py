"""Lighter's decimal strings as whole units, exactly: a price in ticks, a size in lots. Pure.

Prices and sizes come again and again, so what they are is remembered. One unit is the last decimal that the market has,
which is also what transactions count in.
"""

from __future__ import annotations

from functools import lru_cache

MAX_UNITS = (1 << 53) - 1
"""Nothing on the venue is larger; and a float still holds it."""
MAX_DECIMALS = 18


@lru_cache(1 << 16)
def units(text: str, decimals: int) -> int:
    """Units in a decimal string that is not negative, as "2361.30" with 2 decimals is 236130.

    Raises
    ------
    ValueError
        It is no such number, is not a whole number of units, or is beyond `MAX_UNITS`.
    """
    whole, _, part = text.partition(".")
    digits = whole + part
    if not digits.isdecimal() or not digits.isascii() or len(digits) > 2 * MAX_DECIMALS:
        raise ValueError(f"{text[:40]!r} is not a decimal number >= 0")
    missing = decimals - len(part)
    if missing >= 0:
        found = int(digits) * 10**missing
    else:
        found, rest = divmod(int(digits), 10**-missing)
        if rest:
            raise ValueError(f"{text[:40]!r} has more than {decimals} decimals")
    if found > MAX_UNITS:
        raise ValueError(f"{text[:40]!r} is beyond any price or size")
    return found


def nearest_units(text: str, decimals: int) -> int:
    """As `units`, of a number that may be negative or have more decimals: to the nearest unit, half away from zero."""
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, _, part = text.partition(".")
    head = units(f"{whole}.{part[:decimals]}", decimals)
    tail = part[decimals:]
    if tail and not (tail.isdecimal() and tail.isascii()):
        raise ValueError(f"{text[:40]!r} is not a decimal number")
    return sign * (head + (tail[:1] >= "5"))


def decimal_text(count: int, decimals: int) -> str:
    """Units as the venue writes them, padded: 236130 with 2 decimals is "2361.30"."""
    sign, digits = "-" if count < 0 else "", str(abs(count)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"
