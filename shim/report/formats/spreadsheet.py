"""The report as CSV: a row per caller, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from typing import Any, Final

from shim.ledger.records import UNCLEAR, Decision
from shim.report.model import CallerReport, Report
from shim.report.text import plain
from shim.report.words import addresses
from shim.route.meaning import Mode

_COUNTED: Final = {
    "modes": (*(mode.value for mode in Mode), UNCLEAR),
    "decisions": tuple(decision.value for decision in Decision),
    "masked": ("404", "409"),
}
# What makes a spreadsheet take a cell for a formula (OWASP, CSV injection); full-width forms too.
_FORMULA: Final = re.compile(r"[\s'\"]*[=+\-@|%＝＋－＠]")
_LONGEST_CELL: Final = 32_000
_ALL: Final = 1000


def usage_csv(report: Report) -> str:
    """Return RFC 4180 CSV with a header; it carries what the JSON's callers carry, and the note."""
    out = io.StringIO()
    # Where a semicolon separates cells, a name that holds one must not become two.
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    rows = [_row(caller) for caller in report.callers]
    header = list(_row(None))
    writer.writerow(header)
    writer.writerows([[_cell(row[name]) for name in header] for row in rows])
    return out.getvalue()


def _row(caller: CallerReport | None) -> dict[str, Any]:
    """Return a caller's cells by their column; ``None`` for the names of the columns alone."""
    values = caller.as_json() if caller else {}
    row: dict[str, Any] = {name: values.get(name) for name in _BEFORE}
    for group, names in _COUNTED.items():
        for name in names:
            row[f"{group.removesuffix('s')}_{name}"] = values.get(group, {}).get(name, 0)
    row |= {name: values.get(name) for name in _AFTER}
    row["addresses"] = addresses(caller, _ALL) if caller and caller.clients else None
    row["note"] = caller.note if caller else None
    return row


_BEFORE: Final = (
    *("caller", "caller_source", "state", "uses", "first_seen", "last_seen", "days_quiet"),
    "came_back",
)
_AFTER: Final = (
    *("replacement_calls", "unreached_calls", "near_misses", "near_miss_last", "due"),
    *("hint", "replacement"),
    *("owner", "contact", "acknowledged_until"),
)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    text = plain(value, _LONGEST_CELL)
    return f"'{text}" if _FORMULA.match(text) else text
