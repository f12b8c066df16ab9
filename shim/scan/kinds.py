"""What kind of file a file is: by its name, or by its first line."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from shim.scan.languages import languages

_FILE: Final = files("shim.scan") / "rules" / "commands.toml"
_SHEBANG: Final = re.compile(
    r"^#![^\n]{0,80}?(?P<name>python|node|deno|ruby|php|bash|zsh|ksh|sh)[\d.]{0,5}\b"
)
_BY_SHEBANG: Final = {
    "node": "javascript",
    "deno": "typescript",
    "bash": "shell",
    "zsh": "shell",
    "ksh": "shell",
    "sh": "shell",
}


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is found in a language that is read line by line, and what is passed over."""

    language: str
    finds: tuple[str, ...]
    passes: tuple[str, ...]


class CommandRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files that are read line by line, and the new calls of command lines."""

    files: dict[str, tuple[str, ...]]
    replacement: dict[str, str]
    example: tuple[Example, ...]


@cache
def command_rules() -> CommandRules:
    """Return the rules of command lines, as ``rules/commands.toml`` has them."""
    return msgspec.convert(tomllib.loads(_FILE.read_text(encoding="utf-8")), CommandRules)


@cache
def _suffixes() -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """Return the language of each ``*.suffix``, and of every other glob."""
    globs = [(glob, one.name) for one in languages().values() for glob in one.files]
    globs += [(glob, name) for name, each in command_rules().files.items() for glob in each]
    plain = {glob[1:]: name for glob, name in globs if re.fullmatch(r"\*\.\w+", glob)}
    return plain, tuple((glob, name) for glob, name in globs if not re.fullmatch(r"\*\.\w+", glob))


def language_of(name: str, text: str = "") -> str:
    """Return the language of a file by its name, or by its first line: ``text`` for any other."""
    plain, globs = _suffixes()
    for glob, language in globs:
        if fnmatchcase(name, glob):
            return language
    dot = name.rfind(".")
    if dot >= 0 and (found := plain.get(name[dot:].lower())):
        return found
    shebang = _SHEBANG.match(text[:100])
    if shebang:
        return _BY_SHEBANG.get(shebang["name"], shebang["name"])
    return "text"
