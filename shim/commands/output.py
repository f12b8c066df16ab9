"""Printing what others read: they may leave, and disks may be full."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import TextIO


class CannotWriteError(Exception):
    """What was asked for cannot be written to where it was to go."""


@contextlib.contextmanager
def written(out: TextIO) -> Iterator[None]:
    """Let ``| head`` end the printing early: the exit code answers all the same.

    Raise :class:`CannotWriteError` for all else that keeps ``out`` from being written.
    """
    if isinstance(out, io.TextIOWrapper):
        # A terminal that is not UTF-8 gets escapes where it lacks a character.
        out.reconfigure(errors="backslashreplace")
    try:
        yield
        out.flush()
    except BrokenPipeError:
        _let_go(out)
    except OSError as error:
        _let_go(out)
        raise CannotWriteError(f"cannot write the report: {error.strerror}") from error


def _let_go(out: TextIO) -> None:
    """Keep the interpreter from tripping over ``out`` when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
