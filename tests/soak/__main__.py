"""Soak a shim: `python -m tests.soak 3600`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.run import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between faults")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shim-soak-") as folder:
        found = asyncio.run(soak(given.seconds, given.every, given.seed, Path(folder)))
    sys.stdout.write(f"{found}\n")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
