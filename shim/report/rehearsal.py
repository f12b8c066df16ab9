"""Brownout windows played against the uses on record."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shim.ledger.records import Decision, Use
from shim.moments import rfc3339
from shim.route.policy import Phase, Policy, Terms
from shim.route.windows import Schedule, Window, drawn

_RETRY: Final = timedelta(minutes=10)
_NOT_SERVED: Final = (Decision.INVALID, Decision.REFUSED)


@dataclass(slots=True)
class Hit:
    """What the windows would have meant for one caller.

    ``retried`` of its refused calls came again (same invocation and mode) within ten minutes all by
    themselves: that caller may well get over a refusal.  ``last`` is RFC 3339.
    """

    caller: str
    refused: int = 0
    retried: int = 0
    uses: int = 0
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would have been refused from ``since`` on."""

    since: datetime
    windows: list[Window]
    callers: list[Hit]


def rehearse(terms: Terms, uses: Iterable[Use], since: datetime, now: datetime) -> Rehearsal:
    """Play the windows against ``uses``, which come by time."""
    windows = Schedule(terms.brownout, terms.brownout_jitter).rehearsed(since, now)
    starts = [window.start for window in windows]
    played = replace(terms, phase=Phase.BROWNOUT, dry_run=False)
    policy = Policy(played, clock=lambda: now, is_known=lambda _: True)
    phases: dict[str, Phase] = {}
    hits: dict[str, Hit] = defaultdict(lambda: Hit(""))
    # The latest refusal of each call, until it was seen to come again.
    open_calls: dict[tuple[str, str, str | None], datetime] = {}
    for use in uses:
        if use.decision in _NOT_SERVED:
            continue
        caller, moment = use.caller, use.timestamp
        hit = hits[caller]
        hit.caller = caller
        hit.uses += 1
        call = (caller, use.invocation_id, use.mode)
        refused_at = open_calls.pop(call, None)
        if refused_at is not None and moment - refused_at <= _RETRY:
            hit.retried += 1
        if caller not in phases:
            phases[caller] = policy.rule(caller, b"").phase
        at = bisect_right(starts, moment) - 1
        inside = at >= 0 and moment < windows[at].end
        if not inside or phases[caller] is not Phase.BROWNOUT:
            continue
        if drawn(use.invocation_id.encode(), terms.brownout_share):
            hit.refused += 1
            hit.last = rfc3339(moment)
            open_calls[call] = moment
    callers = sorted(hits.values(), key=lambda hit: (-hit.refused, hit.caller))
    return Rehearsal(since, windows, [hit for hit in callers if hit.refused])
