"""``restate-shim brownouts``: when the next windows are, and whom they would have hurt.

The rehearsal plays the windows against the uses that the ledger holds, with each caller's own phase
where it has one: phase ``brownout`` is taken for granted for all others.  A window that is still
to come is played in each of the weeks before, at its time of the week.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TextIO

from shim.commands.sources import chosen
from shim.ledger.errors import LedgerError
from shim.ledger.reading import read_records
from shim.ledger.records import Use
from shim.moments import parse_duration, rfc3339
from shim.report.rehearsal import Rehearsal, rehearse
from shim.report.text import name_of
from shim.route.policy import Phase, Policy
from shim.route.windows import Window
from shim.settings.declared import SettingError, Settings

_BACK: Final = timedelta(days=14)
_SHOWN: Final = "%a %Y-%m-%d %H:%M:%S"


def run(args: argparse.Namespace, settings: Settings, *, out: TextIO, now: datetime) -> int:
    """Run the command; return the exit code. Raise ``SettingError`` for what cannot be done."""
    back = _BACK if args.rehearse is None else _back(args.rehearse)
    if not settings.brownout:
        raise SettingError("--brownout: there is no window; takes e.g. 2026-12-01T10:00Z/PT30M")
    if args.next < 0:
        raise SettingError(f"--next: got {args.next}, takes a whole number, 0 or more")
    policy = Policy(settings.terms, clock=lambda: now, is_known=lambda _: True)
    windows = policy.windows(now, args.next)
    rehearsal, why_none = None, ""
    try:
        uses = _uses(chosen(args, settings), now - back)
        rehearsal = rehearse(settings.terms, uses, now - back, now)
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


def _uses(source: str | Path | None, since: datetime) -> Iterable[Use]:
    if source is None or (isinstance(source, Path) and not source.is_file()):
        raise LedgerError(f"--ledger: there is no ledger to read at {source or 'memory'}")
    return read_records(source, Use, since)


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
        "next": [window.as_json() for window in windows],
    }
    if rehearsal is not None:
        found["rehearsal"] = {
            "since": rfc3339(rehearsal.since),
            "windows": [window.as_json() for window in rehearsal.windows],
            "callers": [asdict(hit) for hit in rehearsal.callers],
        }
    return found


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
