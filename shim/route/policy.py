"""Which phase applies to a caller, now, and whether its call is refused.

A ``[[caller]]`` entry wins over the phase of the shim: the first whose glob matches the caller's
name and whose ``until`` (a day in UTC, that day included) has not passed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase, translate
from functools import cache
from itertools import islice
from typing import Any, Final

from shim.route.windows import Schedule, Spec, Window, drawn

_FROZEN: Final = "; only callers from before the freeze are served"
_NEXT_WINDOWS: Final = 5


class Phase(StrEnum):
    """How far the retirement of the old route is."""

    OBSERVE = "observe"
    TRANSLATE = "translate"
    FREEZE = "freeze"
    BROWNOUT = "brownout"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerEntry:
    """What the team knows about the callers whose name the glob ``match`` matches."""

    match: str
    owner: str | None = None
    phase: Phase | None = None
    until: date | None = None
    acknowledged_until: date | None = None
    retired: date | None = None
    contact: str | None = None
    note: str | None = None


def entry_for(entries: Sequence[CallerEntry], caller: str, now: datetime) -> CallerEntry | None:
    """Return the entry that counts for ``caller``: the first that matches and still holds."""
    today = now.astimezone(UTC).date()
    for entry in entries:
        if _holds(entry, today) and _matcher(entry.match)(caller):
            return entry
    return None


def owner_matches(glob: str, owner: str | None) -> bool:
    """Tell whether a caller's ``owner`` is meant by ``glob``; who has none is ``""``."""
    # Globs come from whoever asks, without end: not the cache of those that are configured.
    return fnmatchcase(owner or "", glob)


def _holds(entry: CallerEntry, today: date) -> bool:
    return entry.until is None or today <= entry.until


@cache
def _matcher(glob: str) -> Callable[[str], object]:
    """Return what tells whether a name matches ``glob``; case counts."""
    return re.compile(translate(glob)).match


@dataclass(frozen=True, slots=True)
class Refused:
    """That an old call is refused: what to add to the message, and when to come back."""

    suffix: str = ""
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What applies to one old call."""

    phase: Phase
    refusal: Refused | None = None
    would_refuse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a policy is made from: the part of the settings that it reads, in their names."""

    phase: Phase
    """Of callers without one of their own."""
    callers: tuple[CallerEntry, ...] = ()
    brownout: tuple[Spec, ...] = ()
    """When phase ``brownout`` refuses."""
    brownout_jitter: timedelta = timedelta()
    """How much later windows by cron may begin."""
    brownout_share: float = 1.0
    """Of how many invocations, above 0 and up to 1."""
    freeze_known: tuple[str, ...] = ()
    """Globs of callers that phase ``freeze`` serves though the ledger has not seen them."""
    dry_run: bool = False
    """Whether everything is served, and only noted what would have been refused."""


def phases_in_words(terms: Terms, now: datetime) -> str:
    """Return the phases in a few words: of everyone, and of the callers with one of their own."""
    today = now.astimezone(UTC).date()
    entries = (
        f"{entry.match}: {entry.phase}"
        for entry in terms.callers
        if entry.phase is not None and _holds(entry, today)
    )
    return ", ".join((terms.phase + (" (dry run)" if terms.dry_run else ""), *entries))


class Policy:
    """The phases in force.  The clock and what the ledger knows are injected."""

    def __init__(
        self,
        terms: Terms,
        *,
        clock: Callable[[], datetime],
        is_known: Callable[[str], bool],
    ) -> None:
        self._phase = terms.phase
        self._entries = terms.callers
        self._schedule = Schedule(terms.brownout, terms.brownout_jitter)
        self._jitter = terms.brownout_jitter
        self._share = terms.brownout_share
        self._expected = [_matcher(glob) for glob in terms.freeze_known]
        self._dry_run = terms.dry_run
        self._clock = clock
        self._is_known = is_known
        self._served = {phase: Ruling(phase) for phase in Phase}

    def rule(self, caller: str, invocation_id: bytes) -> Ruling:
        """Return what applies to this call now."""
        now = self._clock()
        _, phase = self._applying(caller, now)
        refusal = self._refusal(phase, caller, invocation_id, now)
        if refusal is None:
            return self._served[phase]
        if self._dry_run:
            return Ruling(phase, would_refuse=True)
        return Ruling(phase, refusal)

    def describe(self, caller: str | None = None) -> dict[str, Any]:
        """Return, JSON-ready, what applies now: to everyone, or to ``caller`` and why."""
        now = self._clock()
        window = self._schedule.at(now)
        facts: dict[str, Any] = {
            "phase": self._phase,
            "dry_run": self._dry_run,
            "brownout": {
                "open": window.as_json() if window else None,
                "next": [one.as_json() for one in self.windows(now, _NEXT_WINDOWS)],
                "share": self._share,
                "jitter_seconds": self._jitter.total_seconds(),
            },
            "rules": len(self._entries),
        }
        if caller is not None:
            facts["caller"] = self._describe_caller(caller, now)
        return facts

    def _applying(self, caller: str, now: datetime) -> tuple[CallerEntry | None, Phase]:
        """Return the entry that counts for ``caller``, and its phase."""
        entry = entry_for(self._entries, caller, now)
        return entry, self._phase if entry is None or entry.phase is None else entry.phase

    def windows(self, after: datetime, count: int) -> list[Window]:
        """Return the next ``count`` brownout windows that end after ``after``."""
        return list(islice(self._schedule.following(after), count))

    def _describe_caller(self, caller: str, now: datetime) -> dict[str, Any]:
        entry, phase = self._applying(caller, now)
        # An open window with a share refuses some invocations only: here None is the id of any.
        refusal = self._refusal(phase, caller, None, now)
        share = self._share if phase is Phase.BROWNOUT else 1.0
        return {
            "name": caller,
            "phase": phase,
            "known": self._is_known(caller),
            "refused": refusal is not None and share == 1 and not self._dry_run,
            "would_be_refused": refusal is not None and share == 1,
            "refused_share": 0.0 if refusal is None or self._dry_run else share,
            "retry_after": None if refusal is None else refusal.retry_after,
            "rule": None
            if entry is None
            else {
                "entry": self._entries.index(entry) + 1,
                "match": entry.match,
                "phase": entry.phase,
                "until": None if entry.until is None else entry.until.isoformat(),
                "owner": entry.owner,
                "note": entry.note,
            },
        }

    def _refusal(
        self, phase: Phase, caller: str, invocation_id: bytes | None, now: datetime
    ) -> Refused | None:
        if phase is Phase.REJECT:
            return Refused()
        if phase is Phase.FREEZE:
            return None if self._may_pass_freeze(caller) else Refused(_FROZEN)
        if phase is Phase.BROWNOUT:
            window = self._schedule.at(now)
            if window is None:
                return None
            if invocation_id is not None and not drawn(invocation_id, self._share):
                return None
            return Refused(retry_after=math.ceil((window.end - now).total_seconds()))
        return None

    def _may_pass_freeze(self, caller: str) -> bool:
        return self._is_known(caller) or any(matches(caller) for matches in self._expected)
