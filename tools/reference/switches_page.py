"""docs/reference/switches.md: gates, kill switches, reasons and actions; and the settings in each runbook."""

from __future__ import annotations

from mmlab.events import GateAction, Reason, Switch
from tools.reference.config_page import Parameter, parameters, rows
from tools.reference.markdown import MADE, code, table
from tools.reference.switches import ACTIONS, GATES, LIVE_ONLY, REASONS, SWITCHES, Told

HEAD = """# Gates and kill switches: reference

What they do, seen at work: [gates and kill switches](../gates.md). What to do when one trips: its
[runbook](../runbooks/index.md). Numbers below are defaults; every setting is in the
[configuration reference](config.md).

A **gate** removes or worsens quotes, trigger by trigger. A **kill switch** pauses a side or halts everything. *Latched*
means that only an operator re-arms it. The higher one in this line wins; a lower one only takes away from what is left:

> latched or global halt > link, stale, clock > volatility > age exit > side pause > flip gate > cooldown > ladder
"""
CONDITIONS = """
Every re-arm, by itself or by hand, needs: link up, venue trading, account reconciled, a two-sided uncrossed book for
`kill.fresh_s`, and no other trip. A repeat within `kill.memory_s` doubles the duration up to its cap. With
`kill.mode = "observe"` the switches of the kernel only write down that they would have acted (action `observe`);
`manual` and the engine's own switches act all the same.

Every trip and re-arm is a row of `gates.jsonl` with its inputs, a line of the log (event `switch`), and counted:
`mmlab_kill_switch_trips_total`, `mmlab_kill_switch_active`, `mmlab_kill_switch_latched`, `mmlab_kill_switch_armed`
([metrics](metrics.md)).
"""
START, END = "<!-- settings -->", "<!-- end of settings -->"


def settings(told: Told) -> list[Parameter]:
    """Parameters of a switch."""
    known = parameters()
    return [one for name in told.settings for one in known if one.name == name or one.name.startswith(f"{name}.")]


def page() -> str:
    """The page."""
    gates = table(
        ("gate", "watches", "acts when", "does", "comes back", "settings"),
        [(code(one.name), one.watches, one.trips, one.does, one.returns, _links(one)) for one in GATES],
    )
    switches = table(
        ("switch", "watches", "trips when", "does", "comes back"),
        [
            (f"[`{one.name}`](../runbooks/{one.page})", one.watches, one.trips, one.does, one.returns)
            for one in SWITCHES
        ],
    )
    where = table(("switch", "settings"), [(code(one.name), _links(one) or "none of its own") for one in SWITCHES])
    codes = {switch.name.lower(): int(switch) for switch in Switch}
    reasons = table(
        ("bit", "reason", "meaning"),
        [(int(one).bit_length() - 1, code(_lower(one)), REASONS[_lower(one)]) for one in Reason],
    )
    actions = table(
        ("code", "action", "meaning"), [(int(one), code(_lower(one)), ACTIONS[_lower(one)]) for one in GateAction]
    )
    numbers = table(("code", "name"), [(number, code(name)) for name, number in codes.items()])
    missing = sorted(LIVE_ONLY - set(codes))
    note = f"\n{', '.join(map(code, missing))}: live venue only.\n" if missing else ""
    return (
        MADE + HEAD + f"\n## Gates\n\n{gates}\n## Kill switches\n\n{switches}{CONDITIONS}{note}"
        f"\n### Where they are set\n\n{where}"
        f"\n## Actions\n\nColumn `action` of `run.gates` and `gates.jsonl`.\n\n{actions}"
        "\n## Reasons\n\nBits of `bid_reasons` and `ask_reasons` in `run.decisions` and `metrics.csv`: everything"
        f" that kept a side from its model quote.\n\n{reasons}"
        f"\n## Codes of switches\n\nIn the raw records; files hold the names.\n\n{numbers}"
    )


def _lower(member: Reason | GateAction) -> str:
    return str(member.name).lower()


def _links(told: Told) -> str:
    parts = []
    for name in told.settings:
        if not any(f"{one.name}.".startswith(f"{name}.") for one in parameters()):
            continue  # of a switch that is not built in yet
        section = name if any(one.name.startswith(f"{name}.") for one in parameters()) else name.rpartition(".")[0]
        parts.append(f"[`{name}`](config.md#{section.replace('.', '')})")
    return ", ".join(dict.fromkeys(parts))


def filled(text: str, told: Told) -> str:
    """A runbook with its settings as they are today, between two marks."""
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    fields = settings(told)
    body = rows(fields) if fields else "It has no settings of its own.\n"
    return f"{head}{START}\n\n{body}\n{END}{tail}"


INDEX_START, INDEX_END = "<!-- kill switches -->", "<!-- end of kill switches -->"


def indexed(text: str) -> str:
    """The runbooks' index with the list of kill switches of today."""
    head, _, rest = text.partition(INDEX_START)
    _, _, tail = rest.partition(INDEX_END)
    body = table(
        ("switch", "watches", "trips when", "comes back"),
        [(f"[`{one.name}`]({one.page})", one.watches, one.trips, one.returns) for one in SWITCHES],
    )
    return f"{head}{INDEX_START}\n\n{body}\n{INDEX_END}{tail}"
