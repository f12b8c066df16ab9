"""Which phase applies to a caller, now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """How far the retirement of the old route is."""

    OBSERVE = "observe"
    TRANSLATE = "translate"
    FREEZE = "freeze"
    BROWNOUT = "brownout"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerRule:
    """What the team knows about the callers whose name the glob ``match`` matches."""

    match: str
    owner: str | None = None
    phase: Phase | None = None
    until: date | None = None
    acknowledged_until: date | None = None
    note: str | None = None


def parse_caller_rules(tables: Iterable[Mapping[str, Any]]) -> tuple[CallerRule, ...]:
    """Read the ``[[caller]]`` tables; raise ``ValueError`` naming entry, key and what it takes."""
    return tuple(_parse_rule(number, table) for number, table in enumerate(tables, 1))


def _parse_rule(number: int, table: Mapping[str, Any]) -> CallerRule:
    where = f"[[caller]] entry {number}"
    values = dict(table)
    for key, value in table.items():
        if key in ("match", "owner", "note"):
            takes, fits = "a string", isinstance(value, str) and bool(value)
        elif key in ("until", "acknowledged_until"):
            takes, fits = "a date such as 2027-01-31, without quotes", type(value) is date
        elif key == "phase":
            takes, fits = "one of " + ", ".join(Phase), value in set(Phase)
            values[key] = Phase(value) if fits else None
        else:
            names = "match, owner, phase, until, acknowledged_until, note"
            raise ValueError(f"{where}: {key} is no key of it; there are {names}")
        if not fits:
            raise ValueError(f"{where}: {key}: got {value!r}, takes {takes}")
    if "match" not in values:
        raise ValueError(f"{where}: match is missing, a glob over the caller's name")
    return CallerRule(**values)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an old call is refused: what to add to the message, and when to come back."""

    suffix: str = ""
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What applies to one old call."""

    phase: Phase
    refusal: Refusal | None = None
    would_refuse: bool = False


class Policy:
    """The phase in force."""

    def __init__(self, phase: Phase) -> None:
        self._ruling = Ruling(phase)

    def rule(self, caller: str, invocation_id: bytes) -> Ruling:
        """Return what applies to this caller now."""
        return self._ruling
