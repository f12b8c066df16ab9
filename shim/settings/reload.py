"""Reads the settings' file again while the shim runs: on SIGHUP, and when its content changes.

The content is looked at rather than its time stamp or inode, so that it does not matter how the
file is replaced: a mounted ConfigMap changes through a symlink of a directory above it.  Content
that is found by looking counts once it has stayed the same for a moment: the first half of a file
that is being written is often good TOML, and would take settings back to their defaults.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

from shim.settings.declared import LIVE, SettingError, Settings

_POLL_SECONDS: Final = 2.0
_SETTLE_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class ConfigState:
    """Whether the file, as it is now, is in force; if not, ``error`` says why."""

    ok: bool
    error: str | None = None
    line: int | None = None


class Reload:
    """Holds the settings in force.

    ``load`` reads them all anew and raises :class:`SettingError`; it runs in a thread.  Whoever
    sets ``asked`` has the file read soon, changed or not.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        logger: FilteringBoundLogger,
        asked: asyncio.Event,
        *,
        poll_seconds: float = _POLL_SECONDS,
        settle_seconds: float = _SETTLE_SECONDS,
    ) -> None:
        self.settings = settings
        self.state = ConfigState(ok=True)
        self._load = load
        self._followers: list[Callable[[Settings, Settings], None]] = []
        self._logger = logger
        self._poll_seconds = poll_seconds
        self._settle_seconds = settle_seconds
        self._asked = asked
        self._seen = None if settings.config is None else _digest(settings.config)

    def follow(self, follower: Callable[[Settings, Settings], None]) -> None:
        """Have ``follower`` told, in the event loop, of other settings and of those before."""
        self._followers.append(follower)

    def as_dict(self) -> dict[str, Any]:
        """Return, JSON-ready, whether the file as it is now is in force."""
        return {"ok": self.state.ok, "error": self.state.error, "line": self.state.line}

    def why_rejected(self) -> str:
        """Return why the file, as it is now, is not in force; empty where it is."""
        state = self.state
        where = "" if state.line is None else f"line {state.line}: "
        return "" if state.error is None else where + state.error

    async def watch(self) -> None:
        """Look at the file until cancelled."""
        while True:
            timeout = None if self.settings.config is None else self._poll_seconds
            try:
                await asyncio.wait_for(self._asked.wait(), timeout)
            except TimeoutError:
                await self.look(asked=False)
            else:
                self._asked.clear()
                await self.look(asked=True)

    async def look(self, *, asked: bool) -> None:
        """Read the file if its content is new, or if ``asked`` to; a bad one changes nothing."""
        path = self.settings.config
        if path is None:
            self._logger.info("config_unchanged", reason="there is no --config to read again")
            return
        digest = await asyncio.to_thread(_digest, path)
        if not asked:
            if digest == self._seen:
                return
            digest = await self._settled(path, digest)
            if digest == self._seen:
                return
        self._seen = digest
        try:
            settings = await asyncio.to_thread(self._load)
        except SettingError as error:
            self._reject(path, str(error), line_of(error, _text(path)))
        except Exception as error:
            # Whatever a file can bring about must not end the watch: the next one may be good.
            self._logger.exception("config_reading_failed")
            self._reject(path, f"{type(error).__name__}: {error}")
        else:
            self._accept(settings)

    async def _settled(self, path: Path, digest: bytes | None) -> bytes | None:
        """Return the content's hash once it stays what it is, or once somebody asks."""
        while not self._asked.is_set():
            await asyncio.sleep(self._settle_seconds)
            now = await asyncio.to_thread(_digest, path)
            if now == digest:
                break
            digest = now
        return digest

    def _reject(self, path: Path, error: str, line: int | None = None) -> None:
        self.state = ConfigState(ok=False, error=error, line=line)
        self._logger.error("config_rejected", config=str(path), error=error, line=line)

    def _accept(self, settings: Settings) -> None:
        self.state = ConfigState(ok=True)
        names = [f.name for f in fields(Settings) if f.name != "config"]
        changed = [n for n in names if getattr(settings, n) != getattr(self.settings, n)]
        live = [name for name in changed if name in LIVE]
        waiting = [name for name in changed if name not in LIVE]
        if live:
            before = self.settings
            self.settings = replace(before, **{name: getattr(settings, name) for name in live})
            for follower in self._followers:
                follower(self.settings, before)
            self._logger.info("config_applied", settings=list(map(_spelt, live)))
        if waiting:
            self._logger.warning("config_needs_restart", settings=list(map(_spelt, waiting)))
        if not changed:
            self._logger.info("config_unchanged")


def _spelt(name: str) -> str:
    return "[[caller]]" if name == "callers" else name.replace("_", "-")


def line_of(error: SettingError, text: str) -> int | None:
    """Return the line of ``text`` that ``error`` is about, counted from 1, where it tells."""
    if error.line is not None:
        return error.line
    lines = text.splitlines()
    if error.entry is not None:
        return _line_of_entry(error.entry, error.key, lines)
    found = (_line_with(name, lines, 0, len(lines) + 1) for name in error.settings)
    return next(filter(None, found), None)


def _line_of_entry(number: int, key: str | None, lines: list[str]) -> int | None:
    entries = [n for n, line in enumerate(lines, 1) if re.match(r"\s*\[\[\s*caller\s*\]\]", line)]
    if not entries:
        # They stand in one line: caller = [{…}].
        return _line_with("caller", lines, 0, len(lines) + 1)
    if number > len(entries):
        return None
    begin, end = entries[number - 1], (*entries, len(lines) + 1)[number]
    return (_line_with(key, lines, begin, end) if key else None) or begin


def _line_with(key: str, lines: list[str], begin: int, end: int) -> int | None:
    """Return the line between those two that gives ``key`` a value, or begins a table of it."""
    spelling = "[-_]".join(map(re.escape, re.split("[-_]", key)))
    for number, line in enumerate(lines, 1):
        if begin < number < end and re.match(rf"\s*\[*\s*[\"']?{spelling}[\"']?\s*[=\]]", line):
            return number
    return None


def _digest(path: Path) -> bytes | None:
    """Return a hash of the content, or ``None`` where the file cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
