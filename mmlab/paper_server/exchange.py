"""The simulated exchange of one account: the tape, and this account's orders in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.instrument import Instrument
from mmlab.params import PARAMS
from mmlab.simulator import Tape
from mmlab.simulator.exchange import Exchange
from mmlab.wire.lighter_terms import MAX_ORDERS_PER_MARKET


class AccountExchange(Exchange):
    """An `Exchange` that may begin with a position. Each account walks the tape alone."""

    def __init__(self, tape: Tape, instrument: Instrument, queue: str, position_lots: int, shift_ns: int) -> None:
        super().__init__(tape, instrument, params_of(instrument), queue, places=MAX_ORDERS_PER_MARKET + 24)
        self._begin(shift_ns, position_lots)

    @property
    def idle(self) -> bool:
        """Whether no order is live."""
        return not self._place_of


def params_of(instrument: Instrument) -> np.ndarray[Any, Any]:
    """The parameters that an exchange reads: the market's steps. Fees are the server's business."""
    params = np.zeros(1, PARAMS)
    market = params["instrument"]
    market["tick_size"], market["lot_size"] = instrument.tick_size, instrument.lot_size
    market["contract_size"], market["min_size_lots"] = instrument.contract_size, instrument.min_size_lots
    return params
