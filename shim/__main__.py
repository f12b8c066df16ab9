"""``python -m shim``."""

from __future__ import annotations

import sys

from shim.cli import main

if __name__ == "__main__":
    sys.exit(main())
