"""The command line: ``restate-shim serve | report | check | brownouts | import | scan | demo``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Final

from shim import to_install
from shim.commands.arguments import (
    BAD_USAGE,
    READ_BY_BROWNOUTS,
    join_values,
    make_parser,
    settings_from,
)
from shim.settings.declared import SettingError
from shim.settings.loading import load


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = make_parser().parse_args(join_values(sys.argv[1:] if argv is None else argv))
    try:
        return _COMMANDS[args.command](args)
    except SettingError as error:
        print(f"restate-shim: {error}", file=sys.stderr)
        return BAD_USAGE
    except KeyboardInterrupt:
        # As shells have it: 128 and the number of the signal.
        return 130


def _serve(args: argparse.Namespace) -> int:
    # Only here, as below: every other command starts faster without it.
    from shim.commands.serve import run

    return run(args)


def _report(args: argparse.Namespace) -> int:
    from shim.commands.report import run

    return run(args, out=sys.stdout, err=sys.stderr, now=datetime.now(UTC))


def _check(args: argparse.Namespace) -> int:
    import asyncio

    from shim.commands.check import check, check_alive, ops_url

    if args.ops is not None:
        needed = () if args.ops else ("ops_listen",)
        ops = args.ops or ops_url(settings_from(args, needed=needed).ops_listen)
        return asyncio.run(check_alive(ops, sys.stderr))
    return asyncio.run(check(settings_from(args), args.format, sys.stdout, datetime.now(UTC)))


def _brownouts(args: argparse.Namespace) -> int:
    from shim.commands.brownouts import run

    settings = settings_from(args, needed=READ_BY_BROWNOUTS)
    return run(args, settings, out=sys.stdout, now=datetime.now(UTC))


def _import(args: argparse.Namespace) -> int:
    from shim.commands.import_lines import run

    flags = {"ledger": args.ledger, "fleet": args.fleet}
    settings = load(flags, os.environ, args.config, needed=flags)
    return run(args, settings, out=sys.stdout, err=sys.stderr)


def _scan(args: argparse.Namespace) -> int:
    if _lacks("scan", "ast_grep_py", "pathspec"):
        return BAD_USAGE
    from shim.commands.scan import run

    return run(args, out=sys.stdout, err=sys.stderr)


def _demo(args: argparse.Namespace) -> int:
    # Before anything is downloaded.
    if _lacks("demo", "hypercorn", "restate"):
        return 1
    from shim.demo.story import main as tell

    return tell(once=args.once)


def _lacks(command: str, *modules: str) -> bool:
    """Say so where the extra of a command, which has its name, is not installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        named = " and ".join(missing) + (" is" if len(missing) == 1 else " are")
        print(f"restate-shim {command}: {named} missing; {to_install(command)}", file=sys.stderr)
    return bool(missing)


_COMMANDS: Final = {
    "serve": _serve,
    "report": _report,
    "check": _check,
    "brownouts": _brownouts,
    "import": _import,
    "scan": _scan,
    "demo": _demo,
}
