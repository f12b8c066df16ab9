"""``python tests/bench``: the folder is run, and becomes the package ``bench``, as in the tests."""

from __future__ import annotations

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
sys.path[:1] = [str(_TESTS), str(_TESTS.parent)]

from bench.cli import main  # noqa: E402 - it is found only now

if __name__ == "__main__":
    main()
