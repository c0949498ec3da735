"""Tick and lot arithmetic, fees and contract of one market."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mmlab.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Instrument:
    """One market.

    Parameters
    ----------
    symbol : str
        Name, as the venue spells it.
    tick_size : float
        Smallest price step, quote currency.
    lot_size : float
        Smallest size step, base currency (contracts for inverse).
    min_size : float, optional
        Smallest order, base currency (contracts for inverse). Default: one lot.
    min_notional : float, optional
        Smallest order value, quote currency.
    maker_fee_bps, taker_fee_bps : float, optional
        Fees in basis points of notional; > 0 is paid, < 0 a rebate.
    contract : {"linear", "inverse"}
        Inverse: size is in contracts worth `contract_size` quote each, settled in base.
    contract_size : float
        Linear: base units a unit of size is worth. Inverse: quote units a contract is worth.
    settle : str, optional
        Currency of fees and P&L.

    Raises
    ------
    ConfigError
        A quantity is not finite and positive, or the contract is neither linear nor inverse (quanto).
    """

    symbol: str
    tick_size: float
    lot_size: float
    min_size: float = 0.0
    min_notional: float = 0.0
    maker_fee_bps: float = 0.0
    taker_fee_bps: float = 0.0
    contract: Literal["linear", "inverse"] = "linear"
    contract_size: float = 1.0
    settle: str = ""

    def __post_init__(self) -> None:
        wrong = [
            f"{name} = {value!r}: must be a finite number > 0"
            for name, value in (
                ("tick_size", self.tick_size),
                ("lot_size", self.lot_size),
                ("contract_size", self.contract_size),
            )
            if not (math.isfinite(value) and value > 0)
        ]
        wrong += [
            f"{name} = {value!r}: must be a finite number >= 0"
            for name, value in (("min_size", self.min_size), ("min_notional", self.min_notional))
            if not (math.isfinite(value) and value >= 0)
        ]
        wrong += [
            f"{name} = {value!r}: must be between -100 and 100"
            for name, value in (("maker_fee_bps", self.maker_fee_bps), ("taker_fee_bps", self.taker_fee_bps))
            if not abs(value) <= 100
        ]
        if self.contract not in ("linear", "inverse"):
            wrong.append(
                f"contract = {self.contract!r}: must be 'linear' or 'inverse'"
                + " (quanto contracts are not supported: their P&L needs a third price)"
                * (str(self.contract) == "quanto")
            )
        if wrong:
            raise ConfigError(f"Instrument {self.symbol!r}: " + "; ".join(wrong))
        object.__setattr__(self, "min_size", max(self.min_size, self.lot_size))

    @property
    def inverse(self) -> bool:
        """Whether the contract is inverse."""
        return self.contract == "inverse"

    @property
    def min_size_lots(self) -> int:
        """Smallest order in lots."""
        return max(1, math.ceil(self.min_size / self.lot_size - 1e-9))

    def to_ticks(self, price: float) -> int:
        """Nearest tick; half goes up."""
        return math.floor(price / self.tick_size + 0.5)

    def to_price(self, ticks: int) -> float:
        """Price of a tick."""
        return ticks * self.tick_size

    def to_lots(self, size: float) -> int:
        """Whole lots in `size`, rounded down (1e-9 of a lot is forgiven)."""
        return math.floor(size / self.lot_size + 1e-9)

    def to_size(self, lots: int) -> float:
        """Size of `lots`."""
        return lots * self.lot_size

    def notional(self, lots: int, price: float) -> float:
        """Value in quote currency of `lots` at `price`."""
        size = abs(lots) * self.lot_size * self.contract_size
        return size if self.inverse else size * price

    def min_lots(self, price: float) -> int:
        """Smallest tradeable order in lots at `price`, by min_size and min_notional."""
        per_lot = self.notional(1, price)
        return max(self.min_size_lots, math.ceil(self.min_notional / per_lot - 1e-9))

    def with_(self, **changes: Any) -> Instrument:
        """A copy with `changes`, for example ``with_(maker_fee_bps=2.0)``."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain fields, for files."""
        return asdict(self)
