"""The callers of a report: what each did, where it stands, what its owner is told to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from shim.ledger.evidence import CallerFacts, Evidence, Sum
from shim.ledger.records import OTHER
from shim.report.advice import advice_for, main_mode, replacement_for
from shim.report.asked import Asked
from shim.report.histories import History
from shim.report.model import CallerReport, DayCount, State
from shim.report.places import places_of
from shim.report.tallies import (
    by_caller,
    count_of,
    mode_of,
    near_misses_in,
    new_calls_in,
    unreached_in,
    uses_in,
)

_ORDER: Final = {State.CAME_BACK: 0, State.ACTIVE: 1, State.QUIET: 2, State.MIGRATED: 3}
_UNKNOWN: Final = CallerFacts(user_agent=None, replacement=None)


def callers_of(
    part: Evidence, whole: Evidence, histories: Mapping[str, History], asked: Asked
) -> list[CallerReport]:
    """Report on each caller in a ``part`` of the record, most urgent first.

    Their ``histories`` and days are those of the ``whole``.
    """
    callers = (
        _caller(
            sums,
            histories[name],
            part.callers.get(name) or whole.callers.get(name) or _UNKNOWN,
            tuple(whole.others) if name == OTHER else (),
            asked,
        )
        for name, sums in by_caller(part.sums).items()
    )
    return sorted(callers, key=lambda one: (_ORDER[one.state], -one.uses, one.caller))


def _caller(
    sums: Sequence[Sum],
    history: History,
    facts: CallerFacts,
    names: tuple[str, ...],
    asked: Asked,
) -> CallerReport:
    """Report on one caller; of those past the cap, who are one, ``names`` are some."""
    now, entry, habit = asked.now, history.entry, history.habit(asked.now)
    uses, misses = uses_in(sums), near_misses_in(sums)
    modes: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    masked: Counter[str] = Counter({"404": 0, "409": 0})
    near_misses: Counter[str] = Counter()
    for sum_ in misses:
        near_misses[sum_.mode or "other"] += sum_.count
    for sum_ in uses:
        modes[mode_of(sum_)] += sum_.count
        decisions[sum_.decision or "unknown"] += sum_.count
        if sum_.masked:
            masked[str(sum_.upstream_status)] += sum_.count
    last_seen = max((sum_.last for sum_ in uses), default=None)
    user_agent, clients, mode = facts.user_agent, facts.clients, main_mode(modes)
    agents = {user_agent, *(client.user_agent for client in clients)}
    return CallerReport(
        caller=history.caller,
        caller_source=max(sums, key=lambda sum_: sum_.last).caller_source,
        state=history.state(now),
        uses=count_of(uses),
        first_seen=min((sum_.first for sum_ in uses), default=None),
        last_seen=last_seen,
        days_quiet=max(0, (now - last_seen).days) if last_seen else None,
        modes=dict(sorted(modes.items())),
        decisions=dict(sorted(decisions.items())),
        masked=dict(sorted(masked.items())),
        replacement_calls=count_of(new_calls_in(sums)),
        unreached_calls=count_of(unreached_in(sums)),
        near_misses=near_misses.total(),
        near_miss_kinds=dict(near_misses.most_common()),
        near_miss_last=max((sum_.last for sum_ in misses), default=None),
        came_back=history.came_back,
        hint=advice_for(user_agent, mode, times_masked=masked.total()) if uses else None,
        replacement=replacement_for(facts.replacement, mode),
        user_agent=user_agent,
        clients=clients,
        names=names,
        places=places_of(asked.places, agents, modes) if uses else (),
        address_names={
            one.address: asked.address_names[one.address]
            for one in clients
            if one.address in asked.address_names
        },
        owner=entry.owner,
        contact=entry.contact,
        note=entry.note,
        acknowledged_until=entry.acknowledged_until,
        acknowledged=history.is_acknowledged(now),
        retired=entry.retired,
        interval=habit.interval,
        due=None if history.waited_for(now) is None else habit.due,
        moved_percent=_moved(history.days, asked.start.date()),
        days=tuple(
            day for day in history.days if asked.since is None or day.day >= asked.since.date()
        ),
    )


def _moved(days: Iterable[DayCount], start: date) -> int | None:
    """Return the share of new calls since ``start``, rounded down; ``None`` without any call."""
    uses = new = 0
    for day in days:
        if day.day >= start:
            uses += day.uses
            new += day.replacement_calls
    return 100 * new // (uses + new) if uses + new else None
