"""A report in each of the formats, by name."""

from __future__ import annotations

import io
import json

from shim.report.model import Report


def render(report: Report, style: str, *, width: int | None = None) -> str:
    """Return the report in ``style``, one of the ``FORMATS``; ``width`` is that of a table."""
    # Each is imported where it is asked for: what CI runs in a loop should start quickly.
    if style == "table":
        from shim.report.formats.terminal import print_table  # noqa: PLC0415

        out = io.StringIO()
        print_table(report, out, width)
        return out.getvalue()
    if style == "csv":
        from shim.report.formats.spreadsheet import usage_csv  # noqa: PLC0415

        return usage_csv(report)
    if style == "markdown":
        from shim.report.formats.markdown import usage_markdown  # noqa: PLC0415

        return usage_markdown(report)
    if style == "html":
        from shim.report.formats.page import render_document  # noqa: PLC0415

        return render_document(report)
    return json.dumps(report.as_json(), indent=2) + "\n"
