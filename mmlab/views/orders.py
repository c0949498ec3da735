"""Orders: pending and live maps, messages, retries, what the order manager met and settled."""

from __future__ import annotations

from typing import Any

from mmlab.lab.figure_style import INK
from mmlab.lab.numbers import number
from mmlab.views.components import card, grid, html, set_html
from mmlab.views.derived import rate
from mmlab.views.figures import lines, pane
from mmlab.views.store import Store
from mmlab.views.view import View
from mmlab.views.words import pairs, table, tiles

NO_ENGINE = "Known while an engine answers."


def orders_table(store: Store, *, short: bool = False, of_map: str = "") -> str:
    """Working orders; `of_map` "pending" or "live": of that map only."""
    if not store.live:
        return f'<p class="hush">{NO_ENGINE}</p>'
    orders = [one for one in store.state["orders"] if not of_map or of_map in str(one["map"])]
    orders.sort(key=lambda one: (one["side"] != "bid", -one["price"] if one["side"] == "bid" else one["price"]))
    head = ["side", "price", "size", "state", "age"] + ([] if short else ["filled", "rung", "slot", "client order id"])
    rows = []
    for one in orders:
        row: list[Any] = [
            (one["side"], str(one["side"])), number(one["price"], 10), number(one["size"]),
            str(one["state"]).replace("_", " "), f"{number(round(one['age_s'], 1), 3)} s",
        ]  # fmt: skip
        if not short:
            rung = "exit" if one["rung"] is not None and int(one["rung"]) < 0 else one["rung"]
            row += [number(one["filled"]), rung, one["slot"], one["client_order_id"]]
        rows.append(row)
    return table(head, rows, numbers=(1, 2, 4, 5, 6, 8), empty="None." if of_map else "No order is working.")


class Orders(View):
    """What is working, and how it got there."""

    name_, title = "orders", "Orders"

    def make(self) -> Any:
        """Build it."""
        times = self.follow({"rate": rate("messages")})
        plot = times.make("messages", height=150, keep_zero=True)
        lines(plot, times.follows[0], [("rate", "", INK, 1.0)], "/s", step=False)
        self._tiles = html(wide=True)
        self._pending, self._live, self._boxes, self._met = (html() for _ in range(4))
        return grid(
            self._tiles, self.windows(),
            card(self._live, title="Live map", note="by venue order index"),
            card(self._pending, title="Pending map", note="not live yet, or with a change in flight"),
            card(pane(plot), title="Messages a second", note="mean of the last minute"),
            card(self._boxes, title="Mailboxes", note="between the engine's tasks"),
            card(self._met, title="Reconciliation and retries", note="what was met and settled, by count", wide=True),
        )  # fmt: skip

    def refresh(self) -> None:
        """Show what is new."""
        self.advance()
        store = self.store
        set_html(self._tiles, self._figures())
        set_html(self._pending, orders_table(store, of_map="pending"))
        set_html(self._live, orders_table(store, of_map="live"))
        boxes = store.state.get("mailboxes", {}) if store.live else {}
        rows = [
            (name, number(one["waiting"]), number(one["most"]), number(one["bound"])) for name, one in boxes.items()
        ]
        set_html(self._boxes, table(("mailbox", "waiting", "most", "bound"), rows, numbers=(1, 2, 3), empty=NO_ENGINE))
        set_html(self._met, self._anomalies())

    def _figures(self) -> str:
        store = self.store
        messages, fills = store.metrics.last("messages"), store.fills.total
        items = [
            ("Messages", number(messages), "sent so far", ""),
            ("Messages per fill", number(messages / fills if fills else float("nan"), 3), "", ""),
            ("Fills", number(fills), f"{number(float(store.fills.since()['taker'].sum()))} taker", ""),
        ]
        bank = store.state.get("presign", {}) if store.live else {}
        if bank.get("on") and bank["hit_rate"] is not None:
            wasted = number(bank["wasted"] / max(bank["hits"], 1), 3)
            items.append(("Signed ahead", f"{100 * bank['hit_rate']:.1f} %", f"found; {wasted} wasted for each", ""))
        limits = store.state.get("limits", {}) if store.live else {}
        if "quota" in limits:
            items.append(("Volume quota", number(limits["quota"]), "units left", ""))
        if "rate" in limits:
            items.append(("Rate limit", number(limits["rate"]), "messages left now", ""))
        return tiles(items)

    def _counts(self) -> dict[str, Any]:
        """What the order manager counted: of the engine while it answers, else of ``run.json``."""
        if self.store.live:
            return dict(self.store.state.get("anomalies", {}))
        counters = self.store.record.get("counters", {})
        return {name.removeprefix("orders_"): n for name, n in counters.items() if not name.endswith("_ns")}

    def _anomalies(self) -> str:
        rows = [(name.replace("_", " "), number(n)) for name, n in sorted(self._counts().items())]
        nothing = "Nothing so far: every answer came, once and in order." if self.store.live else NO_ENGINE
        return pairs(rows, empty=nothing)
