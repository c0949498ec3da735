"""A user's quoting function in a module, which other processes can import."""

import mmlab


@mmlab.quoter(half_spread_ticks=2.0)
def at_a_distance(market, metrics, position_lots, params, out):
    for i in range(2):
        side = 1 - 2 * i
        out[i].side = side
        out[i].price = market.mid - side * params.user[0] * market.tick_size
        out[i].size_lots = params.quoting.order_lots
    return 2
