"""The settings as flags."""

from __future__ import annotations

import argparse
import os
from collections.abc import Container, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from shim.route.policy import Terms
from shim.settings.declared import SETTINGS, Settings
from shim.settings.loading import load

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
