"""A text that is one language: a file, or a part of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Text that is one language: a file, or what a file holds of it from ``offset`` on."""

    path: str
    text: str
    language: str
    restate: bool
