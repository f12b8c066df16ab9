"""Disks that are full or read-only."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

from tests.support.wanting import missing


def mounted(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"root, which mounting takes: {done.stderr.strip()}")


def fill(ballast: Path) -> None:
    file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(file, b"x" * 4096):
            pass
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017 - how many writes it takes is open
    finally:
        os.close(file)
