"""`python -m tests.scan.bench`: lines a minute that a scan reads, on one core.

Two trees: the standard library of this Python, where nothing is to be found, as in most files; and
this repository, where nearly all files are about the old call.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from shim.scan.files import read, walk
from shim.scan.finding import Confidence
from shim.scan.scan import scan
from tests.support.paths import ROOT

WANTED = 1_000_000


def lines_of(folder: Path) -> int:
    return sum(got[1].count(b"\n") for got in texts(folder))


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in walk(folder):
        got = read(file)
        if not isinstance(got, str):
            yield got


def measure(name: str, folder: Path) -> float:
    lines = lines_of(folder)
    before = time.process_time()
    found = scan([folder], Confidence.LIKELY)
    seconds = time.process_time() - before
    rate = lines / seconds * 60
    print(
        f"{name:22} {lines:9,} lines, {found.files:6,} files, {len(found.findings):6,} found: "
        f"{seconds:5.1f} s, {rate:12,.0f} lines a minute"
    )
    return rate


def main() -> int:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="restate-shim-scan-") as folder:
        library = Path(folder) / "library"
        left_out = shutil.ignore_patterns("site-packages", "__pycache__", "*.so", "*.a")
        shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=left_out)
        rates = [measure("the standard library", library), measure("this repository", ROOT)]
    return 0 if min(rates) >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
