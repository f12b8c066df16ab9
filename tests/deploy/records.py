"""Records that the verdict is asked of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.samples import as_lines, beats, use_line


def record_of_a_fortnight(folder: Path, *, used: bool = False, gap: bool = False) -> str:
    """Return the lines of a shim that was up for fifteen days, with a use fifteen days ago."""
    now = datetime.now(UTC)
    began = now - timedelta(days=15)
    lines = [use_line(began, 1), *beats(began, now)]
    if gap:
        del lines[5000:5010]
    if used:
        lines.append(use_line(now - timedelta(days=1), 2))
    log = folder / "log"
    log.write_bytes(as_lines(lines))
    return str(log)
