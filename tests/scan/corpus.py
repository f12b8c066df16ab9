"""The corpus: pieces of code with what is to be found in them, one file a language in corpus/.

A piece begins with ``### name -> mode line`` (``?`` for a mode that cannot be told), or with
``### name -> none``.  A line that begins with ``\\###`` is a line of the piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shim.scan.documents import find_in_file
from shim.scan.finding import Confidence, Finding
from tests.scan.test_rules import NAMES

FOLDER: Final = Path(__file__).parent / "corpus"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of code; `line` is where the old call is sent, or None for a look-alike."""

    language: str
    name: str
    code: str
    line: int | None
    mode: str | None

    def found(self) -> list[Finding]:
        """What a scan finds in it, as sure as it is by default."""
        name = NAMES.get(self.language, "*.txt").replace("*", "example")
        found = find_in_file(name, name, self.code, self.code.encode()).findings
        return [one for one in found if one.confidence is not Confidence.POSSIBLE]

    def is_right(self) -> bool:
        return [(one.line, one.mode) for one in self.found()] == self.wanted()

    def wanted(self) -> list[tuple[int, str | None]]:
        return [] if self.line is None else [(self.line, self.mode)]


def pieces() -> Iterator[Piece]:
    for path in sorted(FOLDER.glob("*.txt")):
        for part in path.read_text().split("\n### ")[0:]:
            head, _, code = part.removeprefix("### ").partition("\n")
            name, _, wanted = head.rpartition(" -> ")
            mode, _, line = wanted.partition(" ")
            yield Piece(
                path.stem,
                name,
                code.replace("\\###", "###").rstrip("\n") + "\n",
                int(line) if line else None,
                None if mode in ("?", "none") else mode,
            )
