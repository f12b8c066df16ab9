# ruff: noqa: INP001 - a script, not a module of a package
"""Give every file below the named folders, which are made where missing, SOURCE_DATE_EPOCH."""

from __future__ import annotations

import os
import sys
from pathlib import Path

moment = int(os.environ["SOURCE_DATE_EPOCH"])
for name in sys.argv[1:]:
    Path(name).mkdir(exist_ok=True)
    for path in (Path(name), *Path(name).rglob("*")):
        os.utime(path, (moment, moment), follow_symlinks=False)
