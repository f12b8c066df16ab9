"""What a command reads: ledgers, the fleet, or the shims' JSON lines."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from shim.ledger.errors import LedgerError
from shim.ledger.log_lines import Source
from shim.settings.declared import Settings

_SQLITE: Final = b"SQLite format 3\0"
# As `check --ops` takes a shim's ops port.
_HOST_AND_PORT: Final = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}", re.ASCII)


class UsageError(Exception):
    """What was asked for cannot be done; the message says what can."""


def record(
    args: argparse.Namespace, settings: Settings, stack: contextlib.ExitStack
) -> tuple[list[str | Path], list[Source]]:
    """Return either ledgers or sources of lines: sums of both could count a use twice."""
    if not args.record:
        return [configured(args, settings)], []
    if args.ledger or args.fleet:
        raise UsageError("takes either files, or --ledger, or --fleet")
    ledgers: list[str | Path] = []
    sources: list[Source] = []
    known: set[Path] = set()
    for name in args.record:
        path = Path(name)
        if path.resolve() in known:
            continue
        known.add(path.resolve())
        if _HOST_AND_PORT.fullmatch(name) and not path.exists():
            raise UsageError(f"there is no file {name}; did you mean http://{name}")
        stream = open_record(name, stack)
        if is_ledger(stream):
            ledgers.append(path)
        else:
            sources.append(Source(path.name, stream))
    if ledgers and sources:
        raise UsageError("takes ledgers or JSON lines, not both: a use may be in either")
    return ledgers, sources


def refuse_copies(ledgers: list[str | Path]) -> None:
    """Refuse two copies of one ledger: every use in both would count twice."""
    from shim.ledger.reading import read_identity  # noqa: PLC0415 - lines need none

    known: dict[str, str | Path] = {}
    for ledger in ledgers if len(ledgers) > 1 else []:
        other = known.setdefault(read_identity(ledger), ledger)
        if other is not ledger:
            raise UsageError(f"{other} and {ledger} are copies of one ledger: takes one of them")


def chosen(args: argparse.Namespace, settings: Settings) -> str | Path | None:
    """Return the ledger or fleet that is meant, ``None`` for a ledger in memory.

    A flag names it, whatever else is configured.
    """
    return settings.ledger if args.ledger and not args.fleet else settings.record


def _the_one(args: argparse.Namespace, settings: Settings) -> str | Path | None:
    """Return what :func:`chosen` does, where no more than one is named."""
    if args.ledger and args.fleet:
        raise UsageError("takes --ledger or --fleet, not both")
    return chosen(args, settings)


def configured(args: argparse.Namespace, settings: Settings) -> str | Path:
    """Return the ledger or fleet that flags and settings name."""
    source = _the_one(args, settings)
    if source is None:
        raise UsageError("the ledger is in memory: ask the shim itself, at /usage on --ops-listen")
    if isinstance(source, Path) and not source.is_file():
        raise UsageError(
            f"there is no ledger at {source}; name one, or the shims' logs, or --fleet URL"
        )
    return source


def open_record(name: str, stack: contextlib.ExitStack) -> BinaryIO:
    """Open a file, or stdin for ``-``; raise :class:`UsageError` where it cannot be read."""
    if name == "-":
        return sys.stdin.buffer
    try:
        return stack.enter_context(Path(name).open("rb"))
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from None


def is_ledger(stream: BinaryIO) -> bool:
    """Tell a SQLite file by how it begins."""
    if stream is sys.stdin.buffer or not stream.seekable():
        return False
    start = stream.read(len(_SQLITE))
    stream.seek(0)
    return start == _SQLITE


@contextlib.contextmanager
def reading_record() -> Iterator[None]:
    """Say what is wrong with a record that is read as a :class:`UsageError`."""
    try:
        yield
    except LedgerError as error:
        raise UsageError(f"cannot read the record: {error}") from None


def import_target(args: argparse.Namespace, settings: Settings) -> str | Path:
    """Return the ledger or fleet that records are added to."""
    target = _the_one(args, settings)
    if target is None:
        raise UsageError("a ledger in memory cannot be added to: name a file with --ledger")
    return target
