"""A scan for people: each place with its code and the new call."""

from __future__ import annotations

from typing import Final, TextIO

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from shim.report.text import plain, plural
from shim.scan.finding import Confidence, Finding
from shim.scan.scan import Scan

_MOST_LINES: Final = 12
_WIDEST: Final = 200
_STYLES: Final = {
    Confidence.CERTAIN: "bold red",
    Confidence.LIKELY: "yellow",
    Confidence.POSSIBLE: "dim",
}
_LEXERS: Final = {
    "shell": "bash",
    "dockerfile": "docker",
    "makefile": "make",
    "notebook": "python",
    "component": "html",
}


def write_table(found: Scan, out: TextIO) -> None:
    """Write the places that were found, and the sums."""
    console = Console(file=out, soft_wrap=True, highlight=False)
    # Written by the caller's own stream: rich ends the program where nobody reads.
    with console.capture() as written:
        _write_all(found, console)
    out.write(written.get())


def _write_all(found: Scan, console: Console) -> None:
    for one in found.findings:
        _write(one, console)
    count = plural(len(found.findings), "old call")
    tail = f", {found.ignored} silenced" if found.ignored else ""
    skipped = f", {len(found.skipped)} skipped" if found.skipped else ""
    console.print(f"{count} in {plural(found.files, 'file')}{skipped}{tail}")


def _write(one: Finding, console: Console) -> None:
    head = Text(f"{plain(one.path, None)}:{one.line}:{one.column}", style="bold")
    head.append(f"  {one.confidence}", style=_STYLES[one.confidence])
    head.append(
        f"  {one.mode or 'mode unknown'}" if "upgrade to" not in one.reason else "  version"
    )
    console.print(head)
    console.print(_code(one.code, one.language))
    console.print(Text("  ↓", style="green"))
    console.print(_code(one.replacement, one.language))
    console.print(Text(f"  {plain(one.reason, None)}", style="dim"))
    console.print()


def _code(code: str, language: str) -> Text:
    lines = [plain(line.expandtabs(4), _WIDEST) for line in code.split("\n")[:_MOST_LINES]]
    lexer = _LEXERS.get(language, language)
    text = Syntax("", lexer, background_color="default").highlight("\n".join(lines))
    text.rstrip()
    return Text("\n").join(Text("    ") + line for line in text.split("\n"))
