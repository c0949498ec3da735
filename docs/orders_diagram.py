"""Draw the life cycle of an order into docs/orders.md, from the table in `mmlab.orders.states`.

python docs/orders_diagram.py
"""

from __future__ import annotations

from pathlib import Path

from mmlab.orders.states import TERMINAL, TRANSITIONS

PAGE = Path(__file__).with_name("orders.md")
BEGIN, END = "<!-- diagram: python docs/orders_diagram.py -->\n", "<!-- end of diagram -->\n"


def diagram() -> str:
    """A Mermaid state diagram; steps that change nothing are left out, parallel ones share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for before, steps in TRANSITIONS.items():
        for step, after in steps.items():
            if after != before:
                arrows.setdefault((before.name.lower(), after.name.lower()), []).append(step.name.lower())
    lines = ["stateDiagram-v2", "    [*] --> planned"]
    lines += [f"    {before} --> {after}: {', '.join(steps)}" for (before, after), steps in arrows.items()]
    lines += [f"    {state.name.lower()} --> [*]" for state in TRANSITIONS if TERMINAL[state]]
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def drawn(page: str) -> str:
    """`page` with the diagram of today."""
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    return head + BEGIN + diagram() + END + tail


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"drawn: {PAGE}")
