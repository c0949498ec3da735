"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Any

MINUS, NONE = "\u2212", "\u2013"
TINY = 1e-12
"""Rounding noise: shown as 0."""


def number(value: Any, digits: int = 4, *, sign: bool = False) -> str:
    """A figure for people: about `digits` significant digits, thousands apart, a true minus; a dash for undefined."""
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return NONE
    if abs(value) < TINY:
        return "0"
    if float(value).is_integer():
        text = f"{value:+,.0f}" if sign and value else f"{value:,.0f}"
    else:
        decimals = min(12, max(0, digits - 1 - math.floor(math.log10(abs(value)))))
        text = f"{value:{'+' if sign else ''},.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", MINUS)


def bps(value: float, *, sign: bool = True) -> str:
    """Basis points, three decimals."""
    if not math.isfinite(value):
        return NONE
    rounded = round(value, 3) or 0.0
    return f"{rounded:{'+' if sign and rounded else ''}.3f}".replace("-", MINUS)


def percent(share: float) -> str:
    """A share as per cent."""
    return NONE if not math.isfinite(share) else f"{100 * share:.3g} %"


def span(seconds: float) -> str:
    """A length of time in words of at most two units."""
    if not math.isfinite(seconds):
        return NONE
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    return f"{minutes:.3g} min" if minutes < 120 else f"{minutes / 60:.3g} h"
