"""A scan as Markdown, for a pull request or a ticket."""

from __future__ import annotations

import re
from typing import Final

from shim.report.text import plain, plural
from shim.scan.scan import MARK, Scan

_SPECIAL: Final = re.compile(r"[\\`*_{}\[\]()#+!|<>&~]")


def as_markdown(found: Scan) -> str:
    """Return a heading, the sums and one section for each place."""
    lines = [
        f"## {plural(len(found.findings), 'old call')} in {plural(found.files, 'file')}",
        "",
        MARK,
        "",
    ]
    if found.findings:
        lines += [
            (
                "`DELETE /invocations/{id}` will be removed from Restate; "
                "`PATCH /invocations/{id}/kill|cancel|purge` replaces it."
            ),
            "",
        ]
    for one in found.findings:
        where = f"{_escaped(plain(one.path, None))}:{one.line}"
        lines += [
            f"### {where}",
            "",
            f"{one.confidence}, {one.mode or 'mode unknown'}: {_escaped(one.reason)}",
            "",
            *_fenced(one.code),
            "",
            "becomes",
            "",
            *_fenced(one.replacement),
            "",
        ]
    if found.ignored:
        lines += [f"{found.ignored} silenced by comments.", ""]
    if found.skipped:
        lines += [f"{plural(len(found.skipped), 'file')} skipped:", ""]
        lines += [
            f"- {_escaped(plain(one.path, None))}: {_escaped(plain(one.reason))}"
            for one in found.skipped
        ]
        lines.append("")
    return "\n".join(lines)


def _fenced(code: str) -> list[str]:
    longest = max((len(ticks) for ticks in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *(plain(line.expandtabs(4), None) for line in code.split("\n")), fence]


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
