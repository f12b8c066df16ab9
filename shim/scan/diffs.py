"""A change to a file in the unified form, as ``git apply`` reads it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final

_ESCAPES: Final = {
    **{
        ord(letter): f"\\{name}"
        for letter, name in zip('\a\b\t\n\v\f\r"\\', 'abtnvfr"\\', strict=True)
    }
}


def diff(path: str, before: str, after: str) -> str:
    """Return the change; texts are split at line feeds alone, as git splits them."""
    path = path.lstrip("/")
    lines = list(difflib.unified_diff(list(_lines(before)), list(_lines(after))))
    text = f"--- {_quoted(f'a/{path}')}\n+++ {_quoted(f'b/{path}')}\n" if lines else ""
    for line in lines[2:]:
        text += line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
    return text


def _lines(text: str) -> Iterator[str]:
    *whole, last = text.split("\n")
    yield from (f"{line}\n" for line in whole)
    if last:
        yield last


def _quoted(name: str) -> str:
    """Return a file's name as git writes it: in quotes where it would break the line."""
    data = name.encode(errors="surrogateescape")
    is_text = not any("\udc80" <= character <= "\udcff" for character in name)
    if is_text and not any(byte < 0x20 or byte in b'"\\\x7f' for byte in data):
        # Behind a name with spaces, git ends it by a tab.
        return f"{name}\t" if " " in name else name
    shown = (
        _ESCAPES.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}")
        for byte in data
    )
    return f'"{"".join(shown)}"'
