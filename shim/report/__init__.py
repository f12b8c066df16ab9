"""Who still uses the old route, and whether it can go.

``build_report`` is the pure core; ``lines`` reads evidence from JSON lines; ``table``, ``tabular``,
``markdown`` and ``page`` render; ``command`` is ``restate-shim report``.
"""

from __future__ import annotations

from shim.report.build import build_report, first_match, merge
from shim.report.model import (
    CallerNote,
    CallerReport,
    Report,
    State,
    Status,
    Totals,
    Verdict,
)

__all__ = [
    "CallerNote",
    "CallerReport",
    "Report",
    "State",
    "Status",
    "Totals",
    "Verdict",
    "build_report",
    "first_match",
    "merge",
]
