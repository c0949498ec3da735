"""The life cycle of an order from `mmlab.orders.states`: a picture of groups, and the whole table."""

from __future__ import annotations

from mmlab.events import OrderState as S
from mmlab.orders.states import TERMINAL, TRANSITIONS
from tools.reference.markdown import code, table
from tools.reference.svg import GREY, WARM, Arrow, Box, picture

BEGIN, END = "<!-- diagram: python docs/generate.py -->\n", "<!-- end of diagram -->\n"
GROUPS: dict[str, tuple[S, ...]] = {
    "ours": (S.PLANNED, S.SIGNED),
    "under way": (S.SENT, S.ACCEPTED),
    "rests": (S.LIVE, S.PARTIALLY_FILLED),
    "changing": (S.MODIFY_PENDING, S.CANCEL_PENDING),
    "in doubt": (S.UNKNOWN,),
    "draining": (S.DRAINING,),
    "over": tuple(state for state in S if TERMINAL[state]),
}
PLACES = {
    "ours": (100, 70, 150), "under way": (370, 70, 170), "rests": (720, 70, 190), "changing": (720, 235, 230),
    "in doubt": (370, 235, 170), "draining": (370, 400, 130), "over": (745, 400, 290),
}  # fmt: skip
BESIDE = {
    ("rests", "changing"): (-48.0, 0.5), ("changing", "rests"): (-48.0, 0.5),
    ("under way", "in doubt"): (-30.0, 0.5), ("in doubt", "under way"): (-30.0, 0.5),
    ("in doubt", "rests"): (13.0, 0.22), ("rests", "in doubt"): (13.0, 0.2),
    ("under way", "changing"): (0.0, 0.87),
    ("in doubt", "changing"): (13.0, 0.5), ("changing", "in doubt"): (13.0, 0.5),
}  # fmt: skip
"""(start, end) -> how far aside the arrow stands, and where on it its label."""
OMITTED = {("changing", "over"), ("rests", "draining"), ("changing", "draining"), ("under way", "draining"),
           ("rests", "over"), ("under way", "over"), ("ours", "over")}  # fmt: skip
"""Arrows to `draining` and `over` that the note under the picture says, lest it become a web."""


def arrows() -> dict[tuple[str, str], list[str]]:
    """(group, group) -> steps that lead from one to the other."""
    home = {state: group for group, states in GROUPS.items() for state in states}
    found: dict[tuple[str, str], list[str]] = {}
    for before, steps in TRANSITIONS.items():
        for step, after in steps.items():
            if home[before] != home[after]:
                names = found.setdefault((home[before], home[after]), [])
                if step.name.lower() not in names:
                    names.append(step.name.lower())
    return found


def diagram() -> str:
    """The picture: groups of states; an arrow where the table has one."""
    boxes = {}
    for group, states in GROUPS.items():
        x, y, w = PLACES[group]
        names = [state.name.lower() for state in states]
        fill = GREY if group == "over" else WARM if group in {"in doubt", "draining"} else "#e8f0f8"
        boxes[group] = Box(x, y, w, 62, (group, ", ".join(names)) if group != names[0] else (group,), fill)
    drawn = [
        Arrow(start, end, _label(steps), *BESIDE.get((start, end), (0.0, 0.5)))
        for (start, end), steps in arrows().items()
        if (start, end) not in OMITTED
    ]
    return picture(920, 460, "Life cycle of an order", boxes, drawn)


def _label(steps: list[str]) -> str:
    if len(steps) > 3:
        return ", ".join(steps[:2]) + ",\n" + ", ".join(steps[2:])
    return ", ".join(steps)


def whole() -> str:
    """The table: state, and where each step leads; steps that change nothing are left out."""
    rows = []
    for state, steps in TRANSITIONS.items():
        leads: dict[str, list[str]] = {}
        for step, after in steps.items():
            if after != state:
                leads.setdefault(after.name.lower(), []).append(step.name.lower())
        rows.append((code(state.name.lower()), "; ".join(
            f"{', '.join(names)} → {code(after)}" for after, names in leads.items()) or "over"))  # fmt: skip
    return table(("state", "step → next state"), rows)


def drawn(page: str) -> str:
    """`page` with picture and table of today."""
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    ways = ("![Life cycle of an order](images/order_life.svg)\n\n"
            "From *under way*, *rests* and *changing* an order may also be drained or be over at once; what"
            " is not yet sent may be withdrawn. The whole table:\n\n")  # fmt: skip
    return head + BEGIN + ways + whole() + END + tail
