"""``restate-shim scan``: find the callers before they call.

Exit codes: 0 where nothing was found, 3 where something was, 2 for bad usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from shim.commands.arguments import BAD_USAGE
from shim.commands.output import CannotWriteError, written
from shim.report.text import plain, plural
from shim.scan.files import File
from shim.scan.finding import Confidence
from shim.scan.fixing import Rewrite, rewrites
from shim.scan.formats.markdown import as_markdown
from shim.scan.formats.sarif import as_sarif
from shim.scan.formats.table import write_table
from shim.scan.scan import BaselineError, Scan, scan, without_known

FOUND: Final = 3
_MOST_SKIPPED: Final = 20


def run(args: argparse.Namespace, *, out: TextIO, err: TextIO) -> int:
    """Run the command; return the exit code."""
    for path in args.paths:
        if problem := _problem(path):
            err.write(f"restate-shim scan: {plain(str(path), None)}: {problem}\n")
            return BAD_USAGE
    try:
        baseline = args.baseline.read_text(encoding="utf-8") if args.baseline else None
        found = _scan(args, err)
        if baseline is not None:
            found = without_known(found, baseline)
    except (OSError, UnicodeDecodeError, BaselineError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        err.write(f"restate-shim scan: --baseline: {plain(str(args.baseline), None)}: {why}\n")
        return BAD_USAGE
    _say_skipped(found, err)
    if args.fix:
        found = _fix(args, found, baseline, err)
    try:
        with written(out):
            if args.diff:
                out.writelines(_diff(rewrite, out) for rewrite in rewrites(found))
            else:
                _write(found, args.format, out)
    except CannotWriteError as error:
        err.write(f"restate-shim scan: {error}\n")
        return BAD_USAGE
    return FOUND if found.findings else 0


def _problem(path: Path) -> str | None:
    """Return why what somebody names cannot be read: it would look as if nothing were there."""
    try:
        if path.is_dir():
            os.scandir(path).close()
        elif path.is_file():
            path.open("rb").close()
        elif path.exists():
            return "is neither a file nor a folder"
        else:
            return "there is no such file or folder"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def _scan(args: argparse.Namespace, err: TextIO) -> Scan:
    with _progress(err) as tell:
        return scan(args.paths, Confidence(args.min_confidence), tell)


def _fix(args: argparse.Namespace, found: Scan, baseline: str | None, err: TextIO) -> Scan:
    """Rewrite what can be, and return what is left."""
    calls = files = 0
    for rewrite in rewrites(found):
        try:
            rewrite.write()
        except OSError as error:
            err.write(f"restate-shim scan: {plain(rewrite.path, None)}: {error.strerror}\n")
            continue
        calls += rewrite.calls
        files += 1
    err.write(f"rewrote {plural(calls, 'old call')} in {plural(files, 'file')}")
    err.write("; handle 404 and 409 there, which 202 hid\n" if calls else "\n")
    left = scan(args.paths, Confidence(args.min_confidence))
    return left if baseline is None else without_known(left, baseline)


def _diff(rewrite: Rewrite, out: TextIO) -> str:
    """Return a change as it is, or for a terminal, which obeys what stands in files, as is fit."""
    text = rewrite.diff()
    if not out.isatty():
        return text
    lines = (line.removesuffix("\r").expandtabs() for line in text.split("\n"))
    return "\n".join(plain(line, None) for line in lines)


def _write(found: Scan, form: str, out: TextIO) -> None:
    match form:
        case "json":
            out.write(json.dumps(found.as_json(), indent=2) + "\n")
        case "sarif":
            out.write(json.dumps(as_sarif(found), indent=2) + "\n")
        case "markdown":
            out.write(as_markdown(found))
        case _:
            write_table(found, out)


def _say_skipped(found: Scan, err: TextIO) -> None:
    err.writelines(
        f"skipped {plain(one.path, None)}: {plain(one.reason, 200)}\n"
        for one in found.skipped[:_MOST_SKIPPED]
    )
    more = len(found.skipped) - _MOST_SKIPPED
    if more > 0:
        err.write(f"skipped {plural(more, 'file')} more: --format json names them\n")


@contextmanager
def _progress(err: TextIO) -> Iterator[Callable[[File], None]]:
    """Show what is read where a person looks."""
    if not err.isatty():
        yield lambda _: None
        return
    console = Console(file=err if err is not sys.stderr else None, stderr=err is sys.stderr)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:,} files"),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def tell(file: File) -> None:
            progress.update(task, advance=1, description=plain(file.shown))

        yield tell
