"""``restate-shim report``: read the record, show it, and answer by exit code.

Exit codes: 0; 2 for bad usage or a record that cannot be read; with ``--fail-if-used-within`` also
3 (used), 4 (not used as far as is known, which is not proven) and 5 (only acknowledged callers
used it).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final, TextIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from shim.commands.arguments import BAD_USAGE
from shim.commands.output import CannotWriteError, written
from shim.commands.sources import UsageError, reading_record, record, refuse_copies
from shim.ledger import events
from shim.ledger.log_lines import Lines
from shim.moments import parse_since
from shim.report.address_names import AddressNamesError, read_address_names
from shim.report.asked import DEFAULT_WINDOW, Asked
from shim.report.build import build_report
from shim.report.formats.rendering import render
from shim.report.model import EXIT_CODES, Report, Status
from shim.report.places import PlacesError, read_places
from shim.report.text import plain, plural
from shim.route.policy import CallerEntry, entry_for, owner_matches
from shim.settings.declared import SettingError, Settings
from shim.settings.loading import load
from shim.settings.parsers import parse_positive

_ANSWER_SECONDS: Final = 60.0
_MOST_ERROR: Final = 10_000


def run(args: argparse.Namespace, *, out: TextIO, err: TextIO, now: datetime) -> int:
    """Run the command; return the exit code."""
    try:
        if any("://" in name for name in args.record):
            return _ask_a_shim(args, out)
        since = _since(args.since, now)
        window = _window(args.fail_if_used_within)
        if args.uses:
            if window and "-" in args.record:
                raise UsageError("stdin is read once: takes --uses or --fail-if-used-within with -")
            with written(out):
                _print_uses(args, since, now, out, err)
            if window is None:
                return 0
        report = _report(args, since, window or DEFAULT_WINDOW, now, err)
        if not args.uses:
            with written(out):
                _print(report, args.format, out)
        return report.verdict.exit_code if window else 0
    except (UsageError, SettingError, AddressNamesError, PlacesError) as error:
        err.write(f"restate-shim report: {plain(str(error), None)}\n")
        return BAD_USAGE
    except CannotWriteError as error:
        err.write(f"restate-shim report: {error}\n")
        return BAD_USAGE


def _ask_a_shim(args: argparse.Namespace, out: TextIO) -> int:
    """Have a running shim make the report, of what it reads itself: its ledger, or its fleet."""
    if (
        len(args.record) > 1
        or args.ledger
        or args.fleet
        or args.uses
        or args.instances
        or args.scan
    ):
        raise UsageError(
            "takes one shim's URL by itself: it reads its own ledger or fleet, by its own settings"
        )
    query = {
        "format": args.format,
        "since": args.since,
        "owner": args.owner,
        "within": args.fail_if_used_within,
    }
    asked = urlencode({name: value for name, value in query.items() if value is not None})
    url = f"{args.record[0].rstrip('/')}/report?{asked}"
    settings = load({}, os.environ, args.config, needed=("ops_token",))
    headers = {"Authorization": f"Bearer {settings.ops_token}"} if settings.ops_token else {}
    try:
        request = Request(url, headers=headers)  # noqa: S310 - http and https, as it is checked
        if request.type not in ("http", "https"):
            raise UsageError(f"{args.record[0]} is no http or https URL")
        with urlopen(request, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - as above
            text = answer.read().decode()
            status = answer.headers["X-Restate-Shim-Verdict"]
    except HTTPError as error:
        said = error.read(_MOST_ERROR).decode("utf-8", "replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = json.loads(said)["message"]
        raise UsageError(f"{args.record[0]} answered {error.code}: {said}") from None
    except (URLError, ValueError, TimeoutError) as error:
        raise UsageError(f"{args.record[0]} cannot be asked: {error}") from None
    if status not in list(Status):
        raise UsageError(f"{args.record[0]} answered, but not as a shim's ops port does")
    with written(out):
        out.write(text)
    return EXIT_CODES[Status(status)] if args.fail_if_used_within else 0


def _since(text: str | None, now: datetime) -> datetime | None:
    try:
        return None if text is None else parse_since(text, now)
    except ValueError as error:
        raise UsageError(f"--since: got {text!r}, takes {error}") from None


def _window(text: str | None) -> timedelta | None:
    try:
        return None if text is None else parse_positive(text)
    except ValueError as error:
        raise UsageError(f"--fail-if-used-within: got {text!r}, takes {error}") from None


def _report(
    args: argparse.Namespace,
    since: datetime | None,
    window: timedelta,
    now: datetime,
    err: TextIO,
) -> Report:
    settings = _settings(args)
    lost = 0
    shown = None
    with contextlib.ExitStack() as stack:
        ledgers, sources = record(args, settings, stack)
        if sources:
            lines = Lines(since, lost_since=now - window)
            evidence = lines.evidence(sources)
            shown = lines.shown
            lost = lines.lost
            _say_problems(lines, err)
        else:
            from shim.ledger.several import read_all  # noqa: PLC0415 - lines need none

            with reading_record():
                refuse_copies(ledgers)
                evidence = read_all(ledgers)
                if since is not None:
                    shown = read_all(ledgers, since)
    asked = Asked(
        now=now,
        window=window,
        since=since,
        owner=args.owner,
        entries=settings.callers,
        instances=settings.instances,
        sunset=settings.sunset,
        address_names=read_address_names(settings.address_names),
        places=read_places(args.scan),
    )
    report = build_report(evidence, asked, shown=shown, lost=lost)
    err.writelines(f"restate-shim report: {plain(text, None)}\n" for text in report.warnings)
    return report


def _print_uses(
    args: argparse.Namespace, since: datetime | None, now: datetime, out: TextIO, err: TextIO
) -> None:
    settings = _settings(args)

    def theirs(uses: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        if args.owner is None:
            return uses
        return (use for use in uses if _is_of(args.owner, use["caller"], settings.callers, now))

    with contextlib.ExitStack() as stack:
        ledgers, sources = record(args, settings, stack)
        if sources:
            lines = Lines(since)
            _write_uses(theirs(lines.uses(sources)), out)
            _say_problems(lines, err)
        else:
            from shim.ledger.reading import read_uses  # noqa: PLC0415 - lines need none

            with reading_record():
                refuse_copies(ledgers)
                uses = chain.from_iterable(read_uses(ledger, since) for ledger in ledgers)
                _write_uses(theirs(uses if len(ledgers) == 1 else _each_once(uses)), out)


def _is_of(owner: str, caller: str, entries: Sequence[CallerEntry], now: datetime) -> bool:
    entry = entry_for(entries, caller, now)
    return owner_matches(owner, entry.owner if entry else None)


def _each_once(uses: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for use in uses:
        if use["id"] not in seen:
            seen.add(use["id"])
            yield use


def _write_uses(uses: Iterable[dict[str, Any]], out: TextIO) -> None:
    out.writelines(
        json.dumps({"event": events.USE, **use}, separators=(",", ":")) + "\n" for use in uses
    )


def _print(report: Report, style: str, out: TextIO) -> None:
    if style == "table":
        from shim.report.formats.terminal import print_table  # noqa: PLC0415 - as in rendering

        print_table(report, out)
    else:
        out.write(render(report, style))


def _settings(args: argparse.Namespace) -> Settings:
    flags = {"ledger": args.ledger, "fleet": args.fleet, "instances": args.instances}
    return load(flags, os.environ, args.config, needed=(*flags, "sunset", "address_names"))


def _say_problems(lines: Lines, err: TextIO) -> None:
    if lines.lost:
        err.write(f"restate-shim report: {plural(lines.lost, 'line')} known to be lost\n")
    if lines.broken:
        err.write(f"restate-shim report: {plural(lines.broken, 'line')} without a record\n")
    err.writelines(f"  {plain(problem, 200)}\n" for problem in lines.problems)
    err.writelines(f"  {plain(name)}: no shim shows in it\n" for name in lines.silent)
