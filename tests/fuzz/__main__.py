"""Fuzz for so many seconds: `python -m tests.fuzz 600`; `--seed` begins where a run failed."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.run import messages


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    given = parser.parse_args()
    until = time.monotonic() + given.seconds
    for count in messages(given.seed):
        if time.monotonic() > until:
            sys.stdout.write(f"{count} messages from seed {given.seed}: nothing found\n")
            break


if __name__ == "__main__":
    main()
