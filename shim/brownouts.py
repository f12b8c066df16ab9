"""``restate-shim brownouts``: when the next windows are, and whom they would have hurt.

The rehearsal plays the windows against the uses that the ledger holds, with each caller's own phase
where it has one: phase ``brownout`` is taken for granted for all others.  A window that is still
to come is played in each of the weeks before, at its time of the week.
"""

from __future__ import annotations

import argparse
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TextIO

from shim.ledger import LedgerError, read_uses
from shim.policy import Phase, Policy
from shim.report.text import name_of
from shim.settings import SettingError, Settings
from shim.usage import Decision, parse_rfc3339, rfc3339
from shim.values import parse_duration
from shim.windows import Schedule, Window, drawn

_RETRY: Final = timedelta(minutes=10)
_BACK: Final = timedelta(days=14)
NEEDED: Final = frozenset(
    (
        *("phase", "brownout", "brownout_jitter", "brownout_share", "ledger", "fleet"),
        *("freeze_known", "dry_run"),
    )
)
"""The settings that the command reads."""
_SHOWN: Final = "%a %Y-%m-%d %H:%M:%S"
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


def run(args: argparse.Namespace, settings: Settings, *, out: TextIO, now: datetime) -> int:
    """Run the command; return the exit code. Raise ``SettingError`` for what cannot be done."""
    back = _BACK if args.rehearse is None else _back(args.rehearse)
    if not settings.brownout:
        raise SettingError("--brownout: there is no window; takes e.g. 2026-12-01T10:00Z/PT30M")
    if args.next < 0:
        raise SettingError(f"--next: got {args.next}, takes a whole number, 0 or more")
    policy = Policy(settings, clock=lambda: now, is_known=lambda _: True)
    windows = policy.windows(now, args.next)
    rehearsal, why_none = None, ""
    try:
        rehearsal = rehearse(settings, _uses(settings, now - back), now - back, now)
    except LedgerError as error:
        if args.rehearse is not None:
            raise SettingError(str(error)) from None
        why_none = str(error)
    if args.format == "json":
        text = json.dumps(_as_json(settings, windows, rehearsal), indent=2)
    else:
        text = "\n".join(_lines(settings, windows, rehearsal, now))
        text += f"\n\nNo rehearsal: {why_none}" if why_none else ""
    out.write(text + "\n")
    return 0


def _uses(settings: Settings, since: datetime) -> Iterable[Mapping[str, Any]]:
    source = settings.fleet or settings.ledger
    if source is None or (isinstance(source, Path) and not source.is_file()):
        raise LedgerError(f"--ledger: there is no ledger to read at {source or 'memory'}")
    return read_uses(source, since)


def rehearse(
    settings: Settings, uses: Iterable[Mapping[str, Any]], since: datetime, now: datetime
) -> Rehearsal:
    """Play the windows against ``uses``, which are as ``Use.as_dict`` gives them and by time."""
    windows = Schedule(settings.brownout, settings.brownout_jitter).rehearsed(since, now)
    starts = [window.start for window in windows]
    terms = replace(settings, phase=Phase.BROWNOUT, dry_run=False)
    policy = Policy(terms, clock=lambda: now, is_known=lambda _: True)
    phases: dict[str, Phase] = {}
    hits: dict[str, Hit] = defaultdict(lambda: Hit(""))
    # The latest refusal of each call, until it was seen to come again.
    open_calls: dict[tuple[str, str, str | None], datetime] = {}
    for use in uses:
        if use["decision"] in _NOT_SERVED:
            continue
        caller, moment = use["caller"], parse_rfc3339(use["timestamp"])
        hit = hits[caller]
        hit.caller = caller
        hit.uses += 1
        call = (caller, use["invocation_id"], use["mode"])
        refused_at = open_calls.pop(call, None)
        if refused_at is not None and moment - refused_at <= _RETRY:
            hit.retried += 1
        if caller not in phases:
            phases[caller] = policy.rule(caller, b"").phase
        at = bisect_right(starts, moment) - 1
        inside = at >= 0 and moment < windows[at].end
        if not inside or phases[caller] is not Phase.BROWNOUT:
            continue
        if drawn(use["invocation_id"].encode(), settings.brownout_share):
            hit.refused += 1
            hit.last = use["timestamp"]
            open_calls[call] = moment
    callers = sorted(hits.values(), key=lambda hit: (-hit.refused, hit.caller))
    return Rehearsal(since, windows, [hit for hit in callers if hit.refused])


def _back(text: str) -> timedelta:
    try:
        back = parse_duration(text)
    except (ValueError, OverflowError):
        back = timedelta()
    if not timedelta() < back < timedelta(days=3650):
        raise SettingError(f"--rehearse: got {text!r}, takes a duration such as 14d")
    return back


def _as_json(
    settings: Settings, windows: list[Window], rehearsal: Rehearsal | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "windows": list(map(str, settings.brownout)),
        "share": settings.brownout_share,
        "jitter_seconds": settings.brownout_jitter.total_seconds(),
        "next": [_pair(window) for window in windows],
    }
    if rehearsal is not None:
        found["rehearsal"] = {
            "since": rfc3339(rehearsal.since),
            "windows": [_pair(window) for window in rehearsal.windows],
            "callers": [asdict(hit) for hit in rehearsal.callers],
        }
    return found


def _pair(window: Window) -> dict[str, str]:
    return {"start": rfc3339(window.start), "end": rfc3339(window.end)}


def _lines(
    settings: Settings, windows: list[Window], rehearsal: Rehearsal | None, now: datetime
) -> Iterator[str]:
    if not windows:
        yield "No window is to come."
    for window in windows:
        note = "  open now" if window.start <= now else ""
        yield f"{window.start:{_SHOWN}} – {window.end:%a %H:%M:%S} UTC{note}"
    if settings.phase is not Phase.BROWNOUT:
        yield f"Phase is {settings.phase}: these refuse only whom phase brownout is set for."
    if rehearsal is None:
        return
    count = len(rehearsal.windows)
    yield ""
    yield f"Rehearsal since {rehearsal.since:%Y-%m-%d %H:%M} UTC, windows: {count}"
    if not rehearsal.callers:
        yield "Nobody would have been refused."
        return
    width = max(len(name_of(hit.caller)) for hit in rehearsal.callers)
    yield f"{'caller':{width}}  refused  of uses  retried by itself  last"
    for hit in rehearsal.callers:
        yield (
            f"{name_of(hit.caller):{width}}  {hit.refused:7}  {hit.uses:7}  {hit.retried:17}  "
            f"{hit.last}"
        )
