"""docs/reference/log_events.md, from the table of log events."""

from __future__ import annotations

from mmlab.telemetry.log_events import COMMON, EVENTS
from tools.reference.markdown import MADE, code, table

HEAD = """# Log events

Every event of `log.jsonl`, from the table in `mmlab.telemetry.log_events`: a line of JSON each, one name a fact. An
order is named by `client_id`, as `client_order_id` in `run.orders`; a decision by its row.

```console
$ jq -c 'select(.level == "error")' runs/RUN/log.jsonl
$ jq -r .event runs/RUN/log.jsonl | sort | uniq -c | sort -n
```
"""


def page() -> str:
    """The page."""
    common = table(("field", "meaning"), [(code(name), text) for name, text in COMMON.items()])
    rows = [
        (code(name), ", ".join(event.levels), event.meaning, ", ".join(code(field) for field in event.fields))
        for name, event in sorted(EVENTS.items())
    ]
    return (
        f"{MADE}{HEAD}\n## Fields of every line\n\n{common}"
        f"\n## Events\n\n{table(('event', 'level', 'meaning', 'fields'), rows)}"
    )
