"""The rules, as data: one file a language in ``rules/``, with what each finds and passes over."""

from __future__ import annotations

import re
import tomllib
from functools import cache, cached_property
from importlib.resources import files
from typing import Final

import msgspec

_FOLDER: Final = files("shim.scan") / "rules"
_NAME_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d?")


class Kinds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a grammar calls things.

    ``calls`` with their ``arguments``; ``functions``, within which variables are followed, and
    ``classes``, within which fields are; ``assigns``, which give a variable its value, of which
    ``defaults`` do so unless the caller says otherwise; ``names`` of variables, ``members`` of
    objects; literal ``strings`` with ``holes`` in them; ``joins`` of two values by an operator;
    ``pairs`` of a key and a value; ``spreads``, which put in all that something holds; ``choices``
    of one value or another; ``returns``; ``annotations``, which are calls too; ``blocks`` of
    settings, which are functions that say what to send.
    """

    calls: frozenset[str]
    arguments: frozenset[str]
    functions: frozenset[str]
    assigns: frozenset[str]
    names: frozenset[str]
    members: frozenset[str]
    strings: frozenset[str]
    classes: frozenset[str] = frozenset()
    defaults: frozenset[str] = frozenset()
    holes: frozenset[str] = frozenset()
    joins: frozenset[str] = frozenset()
    pairs: frozenset[str] = frozenset()
    spreads: frozenset[str] = frozenset()
    choices: frozenset[str] = frozenset()
    returns: frozenset[str] = frozenset({"return_statement"})
    annotations: frozenset[str] = frozenset()
    blocks: frozenset[str] = frozenset()


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a call makes a request.

    ``callee`` is searched in what is called, such as ``session.delete`` or ``new Request``.
    ``method`` is the request's, or ``argument`` where the call is given it, with ``otherwise`` for
    a call that is given none.  ``generated`` calls know the route by their own name.
    ``replacement`` is the new call, with ``{mode}`` and ``{Mode}``.
    ``finds`` and ``passes`` are pieces of code; each of them is a test.
    """

    name: str
    callee: str
    method: str = "argument"
    otherwise: str | None = None
    generated: bool = False
    replacement: str = ""
    finds: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()

    def matches(self, callee: str) -> bool:
        """Tell whether the rule is about a call of ``callee``."""
        return _compiled(self.callee).search(callee) is not None


class Language(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A language: its files (globs), its grammar (of tree-sitter), its rules; the first counts."""

    name: str
    files: tuple[str, ...]
    grammar: str
    kinds: Kinds
    rule: tuple[Rule, ...]
    replacement: str
    aliases: tuple[str, ...] = ()

    @cached_property
    def fallback(self) -> Rule:
        """Return the rule of calls that no other is about."""
        return Rule(name="call", callee="", replacement=self.replacement)

    def rule_of(self, callee: str) -> Rule:
        """Return the rule that is about a call."""
        return next((rule for rule in self.rule if rule.matches(callee)), self.fallback)


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is found in a language, and what is passed over; each is a test."""

    language: str
    finds: tuple[str, ...]
    passes: tuple[str, ...]


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names that say what something is.

    ``owners`` are words for what is no HTTP client, ``stubs`` calls that are told what a server is
    to answer, ``links`` keys of where a page links to.  ``pages`` is searched in a file of pages;
    ``clients`` in one of interfaces of clients, of which ``paths`` are the annotations that hold a
    path, by their ``path_keys``.
    """

    owners: frozenset[str]
    stubs: frozenset[str]
    links: frozenset[str]
    pages: str
    clients: str
    paths: frozenset[str]
    path_keys: frozenset[str]
    example: tuple[Example, ...]

    def is_no_client(self, name: str) -> bool:
        """Tell whether a name has a word of what is no HTTP client: ``redis_client``."""
        return any(word.lower() in self.owners for word in _NAME_WORDS.findall(name))

    def makes_no_client(self, name: str) -> bool:
        """Tell whether a call of that name makes what is no HTTP client: ``getCache``."""
        return any(word.lower() in self.owners for word in _NAME_WORDS.findall(name)[-1:])

    def is_of_pages(self, text: str) -> bool:
        """Tell whether a file is one of pages."""
        return _compiled(self.pages).search(text) is not None

    def is_of_clients(self, text: str) -> bool:
        """Tell whether a file is one of interfaces of clients."""
        return _compiled(self.clients).search(text) is not None


@cache
def names() -> Names:
    """Return the names, as ``rules/names.toml`` has them."""
    text = (_FOLDER / "names.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Names)


@cache
def languages() -> dict[str, Language]:
    """Return all languages that have a grammar, by name."""
    found = {}
    for file in sorted(_FOLDER.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            table = tomllib.loads(file.read_text(encoding="utf-8"))
            if "grammar" in table:
                language = msgspec.convert(table, Language)
                found[language.name] = language
    return found


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
