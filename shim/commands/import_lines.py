"""``restate-shim import``: bring what JSON lines tell back into a ledger, or into the fleet.

For when a ledger was lost, or the disk was full for too long: the same records are in the log.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import Progress

from shim.commands.arguments import BAD_USAGE
from shim.commands.sources import UsageError, import_target, is_ledger, open_record
from shim.ledger.adding import import_records
from shim.ledger.errors import LedgerError
from shim.ledger.log_lines import Lines, Source
from shim.report.text import plain, plural
from shim.settings.declared import Settings


def run(args: argparse.Namespace, settings: Settings, *, out: TextIO, err: TextIO) -> int:
    """Run the command; return 0, 1 where a file ends early or no shim shows in it, or 2.

    That is where there is nothing to add to, or a file is unreadable.

    A record that is there already changes nothing, so that a file may be given twice.  Heartbeats
    and sums of calls to the new endpoints are not added: a report of the lines counts them.
    """
    try:
        target = import_target(args, settings)
        with contextlib.ExitStack() as stack:
            lines = Lines()
            sources = [Source(name, open_record(name, stack)) for name in args.lines]
            for source in sources:
                if is_ledger(source.stream):
                    raise UsageError(f"{source.name} is a ledger: takes JSON lines")
            with _progress(sources, err) as watched:
                done = import_records(target, lines.records(watched))
    except (UsageError, LedgerError) as error:
        err.write(f"restate-shim import: {plain(str(error), None)}\n")
        return BAD_USAGE
    err.writelines(f"  {plain(problem, 200)}\n" for problem in lines.problems)
    err.writelines(f"  {plain(name)}: no shim shows in it\n" for name in lines.silent)
    out.write(
        f"{plural(done.new, 'record')} added, {done.known} already there, "
        f"{done.too_old} older than what is kept, {lines.broken} unreadable\n"
    )
    err.write(
        "Not brought back: heartbeats, so that the time of these lines stays unproven in a verdict "
        "on the ledger,\nand sums (new calls, what was carried): "
        "restate-shim report FILE… counts them in the lines themselves.\n"
    )
    return 1 if lines.silent or lines.cut_short else 0


@contextlib.contextmanager
def _progress(sources: list[Source], err: TextIO) -> Iterator[list[Source]]:
    """Show on a terminal how far the files have been read; what is piped has no length."""
    if not err.isatty() or any(source.stream is sys.stdin.buffer for source in sources):
        yield sources
        return
    with Progress(console=Console(file=err), transient=True) as progress:
        yield [
            Source(
                source.name,
                progress.wrap_file(
                    source.stream,
                    total=Path(source.name).stat().st_size,
                    description=plain(Path(source.name).name, 40),
                ),
            )
            for source in sources
        ]
