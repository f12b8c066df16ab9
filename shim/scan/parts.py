"""A text that is one language: a file, or a part of one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from shim.scan.nodes import Lines


@dataclass(frozen=True)
class Part:
    """Text that is one language: a file, or what a file holds of it: then ``is_inner``."""

    path: str
    text: str
    language: str
    restate: bool
    is_inner: bool = False

    @cached_property
    def lines(self) -> Lines:
        """Where its characters stand."""
        return Lines(self.text)
