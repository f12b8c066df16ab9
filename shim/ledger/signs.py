"""A sign beside the ledger, for as long as records are in memory alone because no disk takes them.

An empty file takes no room on a full disk.  It tells those that read the files of a running shim
what they cannot see; one that was left behind tells that a process ended with records in memory,
which are lost.  One more stays where any record was lost, as new as the last of these.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uuid_utils

_NAME: Final = "unwritten"


class Sign:
    """The sign of one process, beside ``ledger``."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(f"{ledger.name}.{_NAME}-{uuid_utils.uuid7().hex}")
        self._number: int | None = None

    def put_up(self, number: int) -> None:
        """Say that the records up to that ``number`` are in memory alone."""
        if self._number is None or not self._path.exists():
            with contextlib.suppress(OSError):
                self._path.touch()
        self._number = number

    def take_down(self, number: int) -> None:
        """Say that the records up to that ``number`` are kept."""
        if self._number is not None and self._number <= number:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
                self._number = None


def sign_lost(ledger: Path) -> None:
    """Say that a record was lost just now: that outlives the process, and nothing takes it down."""
    with contextlib.suppress(OSError):
        ledger.with_name(f"{ledger.name}.{_NAME}-lost").touch()


def read_signs(ledger: Path) -> list[datetime]:
    """Return since when records are in memory alone, by process, and when the last was lost."""
    return sorted(datetime.fromtimestamp(seconds, UTC) for _, seconds in _signs(ledger))


def drop_signs(ledger: Path, before: datetime) -> None:
    """Remove signs that are older than what is kept."""
    for path, seconds in _signs(ledger):
        if seconds < before.timestamp():
            with contextlib.suppress(OSError):
                path.unlink()


def _signs(ledger: Path) -> list[tuple[Path, float]]:
    found = []
    with contextlib.suppress(OSError):
        for path in ledger.parent.iterdir():
            if path.name.startswith(f"{ledger.name}.{_NAME}-"):
                with contextlib.suppress(OSError):
                    found.append((path, path.stat().st_mtime))
    return found
