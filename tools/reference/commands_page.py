"""docs/reference/commands.md, from the parsers of the command line."""

from __future__ import annotations

import argparse

from mmlab.cli import COMMANDS, Parser
from tools.reference.markdown import MADE, code, table

HEAD = """# Command reference

Every command of `mmlab`, from its own parser; `mmlab COMMAND --help` says the same. Exit status: 0 done, 2 bad usage or
input (one line says what), 3 refused for safety, 130 interrupted.
"""


def page() -> str:
    """The page."""
    parts = [MADE + HEAD]
    for command in sorted(COMMANDS, key=lambda one: one.name):
        parser = Parser(prog=command.name, add_help=False)
        command.arguments(parser)
        arguments = [(code(_left(action)), action.help or "") for action in parser._actions]
        body = table(("argument", "meaning"), arguments) if arguments else "It takes no arguments.\n"
        parts.append(f"## {command.name}\n\n{command.purpose}\n\n```console\n$ {command.example}\n```\n\n{body}")
    return "\n".join(parts)


def _left(action: argparse.Action) -> str:
    name = action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper()
    name = name if isinstance(name, str) else " ".join(name)
    if not action.option_strings:
        return {"?": f"[{name}]", "+": f"{name} ...", "*": f"[{name} ...]"}.get(str(action.nargs), name)
    return " ".join([", ".join(action.option_strings), *([] if action.nargs == 0 else [name])])
