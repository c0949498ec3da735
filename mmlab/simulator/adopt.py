"""Begin a replay with a position."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.kernels.account import value_of
from mmlab.kernels.inventory import age_update, lots_fill
from mmlab.kernels.observe import clock, inventory_ratio
from mmlab.kernels.policy import kernel

Array = np.ndarray[Any, Any]


@kernel
def adopt(p: Array, s: Array, sims: Array, t_ns: int, lots: int, price: float, since_ns: int) -> None:
    """Hold `lots` from `t_ns` on, bought or sold at `price`, as if since `since_ns`. Nothing was traded before."""
    q, st, sim = p[0], s[0], sims[0]
    i, a = q.instrument, st.account
    clock(q, st, t_ns)
    sim.position_lots = sim.known_lots = a.position_lots = lots
    a.entry = price
    a.cash = -value_of(lots * i.lot_size, price, i.contract_size, i.inverse != 0)
    lots_fill(st.lots, since_ns, float(lots))
    age_update(st.age, since_ns, inventory_ratio(q, st), q.risk.flat_band)
    st.dirty = 1
