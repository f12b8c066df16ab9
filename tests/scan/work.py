"""How much work it is to read a file: counted, not timed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any, Final

from shim.scan.finding import Confidence
from shim.scan.scan import scan

# They go through all of a text, whatever is in it.
_WHOLE: Final = {"split", "splitlines", "lower", "upper", "count", "replace", "encode"}
_CHARACTERS: Final = 20


def work_of(path: Path, text: str) -> int:
    """How many calls it takes to scan a file, and how often all of a text is gone through."""
    path.write_text(text)
    done = 0

    def count(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal done
        if event not in ("call", "c_call"):
            return
        done += 1
        if event == "c_call" and arg.__name__ in _WHOLE and isinstance(arg.__self__, str):
            done += len(arg.__self__) // _CHARACTERS

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        scan([path], Confidence.POSSIBLE)
    finally:
        sys.setprofile(before)
    return done
