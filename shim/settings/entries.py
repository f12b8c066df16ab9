"""What the team knows about callers, read from the ``[[caller]]`` tables of the settings' file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from shim.route.policy import CallerEntry, Phase


class EntryError(ValueError):
    """A ``[[caller]]`` entry that cannot be used; the message names it, its key, what it takes."""

    def __init__(self, problem: str, *, entry: int, key: str | None = None) -> None:
        super().__init__(f"[[caller]] entry {entry}: {problem}")
        self.entry = entry
        self.key = key


def parse_entries(tables: Iterable[Mapping[str, Any]]) -> tuple[CallerEntry, ...]:
    """Read the ``[[caller]]`` tables; raise :class:`EntryError`."""
    return tuple(_parse_entry(number, table) for number, table in enumerate(tables, 1))


def _parse_entry(number: int, table: Mapping[str, Any]) -> CallerEntry:
    if not isinstance(table, Mapping):
        raise EntryError(f"got {table!r}, takes a table", entry=number)
    values = dict(table)
    for key, value in table.items():
        if key in ("match", "owner", "contact", "note"):
            takes, fits = "a string, not empty", isinstance(value, str) and bool(value)
        elif key in ("until", "acknowledged_until", "retired"):
            takes, fits = "a date such as 2027-01-31, without quotes", type(value) is date
        elif key == "phase":
            takes, fits = "one of " + ", ".join(Phase), value in list(Phase)
            values[key] = Phase(value) if fits else None
        else:
            names = "match, owner, phase, until, acknowledged_until, retired, contact, note"
            raise EntryError(f"{key} is no key of it; there are {names}", entry=number, key=key)
        if not fits:
            got = str(value) if isinstance(value, date) else repr(value)
            raise EntryError(f"{key}: got {got}, takes {takes}", entry=number, key=key)
    if "match" not in values:
        raise EntryError("match is missing, a glob over the caller's name", entry=number)
    return CallerEntry(**values)
