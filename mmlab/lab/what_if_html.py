"""A what-if in a notebook's cell."""

from __future__ import annotations

from html import escape

from mmlab.lab.rehearsal import WhatIf


def what_if_html(what_if: WhatIf) -> str:
    """Changes, window, table and notes."""
    changes = ", ".join(f"{name} = {value}" for name, value in what_if.changes.items()) or "no changes"
    matched = what_if.matched
    trust = (
        f"With the parameters in force, the replay made {matched['replay']} fills and the session {matched['session']};"
        f" {matched['same']} agree in side, price and second."
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in [trust, *what_if.notes])
    table = what_if.table.to_html(float_format=lambda value: f"{value:,.6g}", na_rep="")
    return (
        f"<p><b>{escape(changes)}</b>, {what_if.start:%Y-%m-%d %H:%M:%S} to {what_if.end:%H:%M:%S} UTC"
        f" (answered in {what_if.seconds * 1e3:.0f} ms)</p>{table}<ul>{notes}</ul>"
    )
