"""The command line: ``restate-shim serve | report | check | brownouts | import | scan | demo``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from shim import __version__, to_install
from shim.commands.arguments import (
    READ_BY_BROWNOUTS,
    READ_BY_CHECK,
    add_settings,
    join_values,
    settings_from,
)
from shim.commands.report import add_arguments as add_report_arguments
from shim.settings.declared import SettingError
from shim.settings.loading import load

EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    args = parser.parse_args(join_values(sys.argv[1:] if argv is None else argv))
    try:
        code: int = args.run(args)
    except SettingError as error:
        print(f"restate-shim: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        # As shells have it: 128 and the number of the signal.
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="restate-shim",
        description="A sidecar before Restate's admin API that keeps DELETE /invocations/{id} "
        "working, and tells who still has to migrate.",
    )
    parser.add_argument("--version", action="version", version=f"restate-shim {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the proxy", description="Run the proxy.")
    add_settings(serve)
    serve.set_defaults(run=_serve)
    report = commands.add_parser(
        "report",
        help="who still uses the old route, and can it go",
        description="Tell who still uses the old route, and whether it is safe to remove.",
        epilog="example: restate-shim report --ledger /var/lib/restate-shim/ledger.db "
        "--fail-if-used-within 14d",
    )
    add_report_arguments(report)
    report.set_defaults(run=_report)
    check = commands.add_parser(
        "check",
        help="look at upstream, or at a running shim",
        description="Say whether upstream has the new endpoints and the old route, and what the "
        "settings amount to. With --ops, ask a running shim whether it lives (for health checks).",
    )
    add_settings(check, READ_BY_CHECK)
    check.add_argument("--format", choices=("text", "json"), default="text", help="how to say it")
    check.add_argument(
        "--ops",
        nargs="?",
        const="",
        metavar="URL",
        help="only GET /live of a running shim: at this ops URL, or where --ops-listen says",
    )
    check.set_defaults(run=_check)
    brownouts = commands.add_parser(
        "brownouts",
        help="when the old route is refused next, and whom it would have hurt",
        description="Tell the next brownout windows and, from the ledger, who "
        "would have been refused had they applied before.",
    )
    add_settings(brownouts, READ_BY_BROWNOUTS)
    brownouts.add_argument(
        "--next", type=int, default=5, metavar="N", help="how many windows to tell (default: 5)"
    )
    brownouts.add_argument(
        "--rehearse",
        metavar="DURATION",
        help="over how long to tell who would have been refused, had the windows applied "
        "(default: 14d, where there is a ledger)",
    )
    brownouts.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to say it"
    )
    brownouts.set_defaults(run=_brownouts)
    importing = commands.add_parser(
        "import",
        help="add what the shims' JSON lines tell to a ledger",
        description="Add the uses and near misses of JSON lines to a ledger, or to the fleet, "
        "each once. For a ledger that was lost, or could not be written for too long.",
    )
    importing.add_argument(
        "lines", nargs="+", metavar="FILE", help="JSON lines (gzip too), or - for lines on stdin"
    )
    importing.add_argument("--ledger", metavar="PATH", help="the ledger to add to")
    importing.add_argument("--fleet", metavar="URL", help="the fleet to add to: postgresql://…")
    importing.add_argument("--config", metavar="FILE", type=Path, help="TOML file with settings")
    importing.set_defaults(run=_import)
    scanning = commands.add_parser(
        "scan",
        help="find the places in source code that make the old call",
        description="Find the places in source trees that make the old call, and say what to write "
        "there instead. Exit code 3 where there are any. Needs the extra 'scan': pip install "
        "'.[scan]' in a checkout.",
    )
    _add_scan_arguments(scanning)
    scanning.set_defaults(run=_scan)
    demo = commands.add_parser(
        "demo",
        help="see it work before a real Restate server",
        description="Install and start a real Restate server, a service and the shim; make old "
        "calls; show the report. Needs Node.js with npm, and the extra 'demo': pip install "
        "'.[demo]' in a checkout.",
    )
    demo.add_argument("--once", action="store_true", help="end after the report")
    demo.set_defaults(run=_demo)
    return parser


def _path(said: str) -> Path:
    """Take a path; an empty one is a variable that nobody has set, and not this folder."""
    if not said:
        raise argparse.ArgumentTypeError("is empty; . is this folder")
    return Path(said)


def _add_scan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", type=_path, help="files and folders")
    parser.add_argument(
        "--format",
        choices=("table", "json", "sarif", "markdown"),
        default="table",
        help="how to show what is found (default: table)",
    )
    parser.add_argument(
        "--min-confidence",
        choices=("certain", "likely", "possible"),
        default="likely",
        help="how sure it must be to be shown (default: likely)",
    )
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        type=Path,
        help="a JSON report from before: show only what is new",
    )
    rewriting = parser.add_mutually_exclusive_group()
    rewriting.add_argument(
        "--fix", action="store_true", help="rewrite the calls that are certain and simple"
    )
    rewriting.add_argument(
        "--diff", action="store_true", help="print what --fix would change, and change nothing"
    )


def _serve(args: argparse.Namespace) -> int:
    # Only here, as below: every other command starts faster without it.
    from shim.commands.serve import run

    return run(args)


def _report(args: argparse.Namespace) -> int:
    from shim.commands.report import run

    return run(args, out=sys.stdout, err=sys.stderr, now=datetime.now(UTC))


def _check(args: argparse.Namespace) -> int:
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
        return EXIT_USAGE
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
