"""Callers' bytes as text to be written down: one way, and never more than so much of it."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

OTHER: Final = "(other)"
"""The name under which callers past a cap are summed; nobody else may have it."""
MOST: Final = 1000
"""Characters of one field of a record; a head may have 64 KiB, and each use is kept for months."""


def printable(raw: bytes) -> str:
    """Return bytes from the wire as text, with what is not UTF-8 escaped."""
    return raw.decode("utf-8", "backslashreplace")


def bounded(text: str, most: int = MOST) -> str:
    """Return ``text``, or its beginning and a hash of it where it is longer than ``most``.

    So what differs stays different, and the same stays the same.
    """
    if len(text) <= most:
        return text
    return shortened(text, text.encode("utf-8", "surrogatepass"), most)


def shortened(text: str, whole: bytes, most: int = MOST) -> str:
    """Return the beginning of ``text`` and a hash of the ``whole`` that it stands for."""
    mark = f"...sha256:{sha256(whole).hexdigest()[:16]}"
    return text[: most - len(mark)] + mark
