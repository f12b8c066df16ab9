"""What can be typed: every command with its flags, and the settings as flags.

Nothing of what the commands do is imported for that: a probe asks this once in a few seconds.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Container, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from shim import __version__
from shim.report.formats import FORMATS
from shim.route.policy import Terms
from shim.settings.declared import SETTINGS, Settings
from shim.settings.loading import load

BAD_USAGE: Final = 2
"""The exit code where what was asked for cannot be done: that of argparse."""
READ_BY_BROWNOUTS: Final = frozenset((*(field.name for field in fields(Terms)), "ledger", "fleet"))
"""The settings that ``brownouts`` reads."""
READ_BY_CHECK: Final = READ_BY_BROWNOUTS | {
    *("upstream", "upstream_ca", "upstream_cert", "upstream_key", "upstream_host"),
    "connect_timeout",
    *("listen", "tls_cert", "tls_key", "ops_listen", "replies", "caller", "trusted_proxies"),
    *("no_headers", "sunset"),
}
"""The settings of which ``check`` says what they amount to."""


def join_values(argv: Sequence[str]) -> list[str]:
    """Join ``--flag -1s`` to ``--flag=-1s``: the setting then says what is wrong with it."""
    valued = {f"--{setting.name}" for setting in SETTINGS if not setting.switch}
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in valued and word.startswith("-") and word not in valued:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def add_settings(parser: argparse.ArgumentParser, read: Container[str] | None = None) -> None:
    """Add ``--config`` and a flag for every setting; list those that the command will ``read``.

    The others are taken too, so that a shim's own arguments can be given as they are.
    """
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file of settings [SHIM_CONFIG]"
    )
    for setting in SETTINGS:
        text = f"{setting.help} [{setting.variable}]"
        if isinstance(setting.default, str) and not setting.switch:
            text += f" (default: {setting.default})"
        text = text.replace("%", "%%")
        how: dict[str, Any] = {"action": "append" if setting.repeatable else "store"}
        if setting.switch:
            # --dry-run=false undoes what the environment or the file says.
            how = {"nargs": "?", "const": "true"}
        if read is not None and setting.key not in read:
            text = argparse.SUPPRESS
        parser.add_argument(f"--{setting.name}", metavar=setting.metavar, help=text, **how)


def settings_from(args: argparse.Namespace, *, needed: Container[str] | None = None) -> Settings:
    """Load the settings that :func:`add_settings` has put on the command line."""
    flags = {setting.key: getattr(args, setting.key) for setting in SETTINGS}
    return load(flags, os.environ, args.config, needed=needed)


def make_parser() -> argparse.ArgumentParser:
    """Return what takes the command line apart; ``command`` is the one that was typed."""
    parser = argparse.ArgumentParser(
        prog="restate-shim",
        description="A sidecar before Restate's admin API that keeps DELETE /invocations/{id} "
        "working, and tells who still has to migrate.",
    )
    parser.add_argument("--version", action="version", version=f"restate-shim {__version__}")
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", dest="command"
    )
    serve = commands.add_parser("serve", help="run the proxy", description="Run the proxy.")
    add_settings(serve)
    report = commands.add_parser(
        "report",
        help="who still uses the old route, and can it go",
        description="Tell who still uses the old route, and whether it is safe to remove.",
        epilog="example: restate-shim report --ledger /var/lib/restate-shim/ledger.db "
        "--fail-if-used-within 14d",
    )
    _add_report_flags(report)
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
    scanning = commands.add_parser(
        "scan",
        help="find the places in source code that make the old call",
        description="Find the places in source trees that make the old call, and say what to write "
        "there instead. Exit code 3 where there are any. Needs the extra 'scan': pip install "
        "'.[scan]' in a checkout.",
    )
    _add_scan_flags(scanning)
    demo = commands.add_parser(
        "demo",
        help="see it work before a real Restate server",
        description="Install and start a real Restate server, a service and the shim; make old "
        "calls; show the report. Needs Node.js with npm, and the extra 'demo': pip install "
        "'.[demo]' in a checkout.",
    )
    demo.add_argument("--once", action="store_true", help="end after the report")
    return parser


def _add_report_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "record",
        nargs="*",
        metavar="FILE",
        help="ledgers, or the shims' JSON lines (gzip too), or - for lines on stdin, or the URL "
        "of a shim's ops port; without any, the ledger or fleet that is configured",
    )
    parser.add_argument("--ledger", metavar="PATH", help="the ledger to read")
    parser.add_argument("--fleet", metavar="URL", help="the fleet to read: postgresql://…")
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="TOML file with settings and [[caller]] entries"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="table", help="how to show it (default: table)"
    )
    parser.add_argument(
        "--since",
        metavar="WHEN",
        help="show nothing from before: a duration back such as 30d, or a date; "
        "the verdict looks at all",
    )
    parser.add_argument(
        "--owner", metavar="GLOB", help="only callers whose owner matches; the verdict is of all"
    )
    parser.add_argument(
        "--instances",
        metavar="N|NAME,NAME",
        help="how many shims should record, or their names; "
        "else as configured, or as many as recorded side by side",
    )
    parser.add_argument(
        "--scan",
        metavar="FILE",
        type=Path,
        help="what restate-shim scan --format json found: shown beside the callers it may be",
    )
    parser.add_argument(
        "--uses", action="store_true", help="print every use as a JSON line instead of the sums"
    )
    parser.add_argument(
        "--fail-if-used-within",
        metavar="DURATION",
        help="exit 0 when nobody used the route in that time and the record proves it, "
        "3 when somebody did, 4 when it is not proven, 5 when only acknowledged callers did",
    )


def _path(said: str) -> Path:
    """Take a path; an empty one is a variable that nobody has set, and not this folder."""
    if not said:
        raise argparse.ArgumentTypeError("is empty; . is this folder")
    return Path(said)


def _add_scan_flags(parser: argparse.ArgumentParser) -> None:
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
