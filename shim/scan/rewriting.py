"""Edits made, and whether a text still parses with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ast_grep_py import SgRoot

from shim.scan.finding import Edit

EXAMPLE: Final = "for example (keep your own client, token and options): "
"""How a new call begins that is not the old one rewritten."""


def puts(edits: tuple[Edit, ...], mode: str | None) -> bool:
    """Tell whether edits name PATCH and write the mode into the path, and do nothing else."""
    return mode is not None and len(edits) == 2 and any(f"/{mode}" in one.text for one in edits)


def rewritten(text: str, edits: Iterable[Edit], start: int = 0, end: int | None = None) -> str:
    """Return ``text`` from ``start`` up to ``end`` with the edits made."""
    parts: list[str] = []
    at = start
    for edit in sorted(edits, key=lambda one: (one.start, one.end)):
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at : len(text) if end is None else end]])


def still_parses(before: str, after: str, grammar: str) -> bool:
    """Tell whether a rewritten text has no more errors than the one before."""
    return _errors(after, grammar) <= _errors(before, grammar)


def _errors(text: str, grammar: str) -> int:
    root = SgRoot(text, grammar).root()
    return len(root.find_all(kind="ERROR")) + (root.kind() == "ERROR")
