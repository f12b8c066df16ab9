"""The lines of a head or of a trailer section as they arrive, up to the empty line that ends it.

Each byte is looked at a bounded number of times, however small the pieces are that it comes in, and
lines that can become no section any more are given up at once rather than waited for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shim.http1.grammar import FIELD_LINES, TEXT, TOKEN, FramingError

MAX_SECTION: Final = 64 * 1024
"""The most bytes of a request's head."""
MAX_ANSWER_SECTION: Final = 256 * 1024
"""The most bytes of an answer's heads, interim ones too."""
_END: Final = b"\r\n\r\n"
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_FIELD_LINES: Final = re.compile(FIELD_LINES)
# How much of a line under way is held against the grammar; of the rest only the characters are.
_GLANCE: Final = 256


@dataclass(frozen=True, slots=True)
class SectionKind:
    """One kind of section.

    ``line`` is the line before its fields as a whole, ``beginning`` any beginning of that line; a
    section that is fields alone has neither.  ``limit`` is in bytes; ``too_large`` is raised above
    it, and what ``wrong`` makes of the bytes where no more can make a section of them.
    """

    line: re.Pattern[bytes] | None
    beginning: re.Pattern[bytes]
    limit: int
    too_large: Callable[[], FramingError]
    wrong: Callable[[bytes], FramingError]


FIELD_BEGINNING: Final = re.compile(rb"(?:" + TOKEN + rb"(?::" + TEXT + rb")?)?\r?")
"""What a field line under way may look like."""


class Section:
    """Gathers one section after the other."""

    def __init__(self, kind: SectionKind) -> None:
        self._kind = kind
        self._buffer = bytearray()
        self._checked = 0

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def begun(self) -> bytes:
        """What has come of a section that is not whole, or that has been given up."""
        return bytes(self._buffer)

    def add(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return the section with its empty line and the bytes behind it, once it is whole.

        Raises :class:`~shim.http1.grammar.FramingError`.
        """
        buffer = self._buffer
        before = len(buffer)
        if before or len(data) > self._kind.limit:
            buffer += data
            whole: bytes | bytearray = buffer
        else:
            whole = data
        if self._kind.line is None and whole.startswith(b"\r\n"):
            end = 2
        else:
            end = whole.find(_END, max(0, before - 3)) + 4
        if end >= 4 or end == 2:
            if end > self._kind.limit:
                raise self._kind.too_large()
            section, rest = bytes(whole[:end]), bytes(whole[end:])
            self._buffer = bytearray()
            self._checked = 0
            return section, rest
        if whole is data:
            buffer += data
        if len(buffer) > self._kind.limit:
            raise self._kind.too_large()
        self._check(before)
        return None

    def _check(self, before: int) -> None:
        """Give up where what came since ``before`` fits no section."""
        buffer = self._buffer
        kind = self._kind
        lines_end = buffer.rfind(b"\r\n", max(self._checked, before - 1)) + 2
        if lines_end > 1:
            at = self._checked
            if at == 0 and kind.line is not None:
                line = kind.line.match(buffer)
                if line is None:
                    raise kind.wrong(bytes(buffer))
                at = line.end()
            if not _FIELD_LINES.fullmatch(buffer, at, lines_end):
                raise kind.wrong(bytes(buffer))
            self._checked = lines_end
        at = self._checked
        if before - at < _GLANCE:
            beginning = FIELD_BEGINNING if at else kind.beginning
            if not beginning.fullmatch(buffer, at, min(len(buffer), at + _GLANCE)):
                raise kind.wrong(bytes(buffer))
        control = _CONTROL.search(buffer, max(at, before - 1))
        if control is not None and (control[0] != b"\r" or control.end() < len(buffer)):
            raise kind.wrong(bytes(buffer))
