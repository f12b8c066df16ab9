"""A line as a shell reads it: commands of words, each word joined of its pieces.

A word may be quoted in parts (``'…/'"$id"'?mode=kill'``) and hold what another command makes
(``$(…)``, backquotes). The lists of YAML and JSON, and the strings of other languages, are read
the same way. What is not closed on its line quotes nothing: an apostrophe, one half of a text of
several lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from shim.scan.excerpts import Excerpt

_DEEPEST: Final = 4
"""Levels of commands within ``$(…)`` that are read."""
_MOST_TRIES: Final = 8
_PLAIN: Final = re.compile(r"[^\s\\'\"`$#;|&(){}\[\],<>]+")
_PLAIN_IN_QUOTES: Final = re.compile(r"[^\\`$#{]+")
# What opens and closes: with the sign that takes its meaning from the next.
_MARKS: Final = {
    "\\": re.compile(r"\\.|['\"`()]|\$\(", re.DOTALL),
    "`": re.compile(r"`.|['\"()]|\$\(", re.DOTALL),
}
# A place that somebody else fills: make, CI, a template, the shell.
_FILLED: Final = re.compile(
    r"\$\([\w.-]{1,60}\)|\$?\{\{[^{}]{0,200}\}\}|"
    r"\$\{[^{}]{0,200}(?:\{[^{}]{0,100}\}[^{}]{0,100}){0,2}\}"
)
# What a language makes within its quotes: jq and Swift, Ruby and Elixir.
_MADE: Final = re.compile(
    r"\\\([^()\"\\]{1,100}(?:\([^()\"\\]{0,100}\)[^()\"\\]{0,100}){0,2}\)|#\{[^{}]{1,100}\}"
)
_PLACE: Final = re.compile(r"<[^<>\s/=]{1,40}>")
_ENTITY: Final = re.compile(r"&(?P<name>quot|amp|apos|#3[489]);")
_ENTITIES: Final = {"amp": "&", "#38": "&"}
_BLANKS: Final = {"n": "\n", "r": " ", "t": " "}
_SPACES: Final = frozenset(
    {*" ,]}([{<>.+", *(escape + blank for escape in "\\`" for blank in "rt")}
)
"""What stands between words and ends no command."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes; it stands in the line from ``start`` to ``end``.

    ``runs`` are its pieces, and whether each is made by another command: a variable's name does
    not go on from one into the next.
    """

    text: Excerpt
    start: int
    end: int
    runs: tuple[tuple[int, int, bool], ...]
    is_quoted: bool


@dataclass(slots=True)
class Simple:
    """One command, and what ends it: ``|``, ``;``, ``&&``, or nothing."""

    words: list[Word] = field(default_factory=list)
    ender: str = ""


def read_words(
    line: Excerpt, *, powershell: bool = False, comments: bool = True, loose: bool = False
) -> list[list[Simple]]:
    """Return the commands of a line, one after the other, and those of each ``$(…)`` in it.

    ``loose`` says that it is of no shell: a literal is not put together with what follows it.
    """
    reader = _Reader(line, "`" if powershell else "\\", comments=comments, loose=loose)
    reader.read(0, len(line.text), 0)
    return reader.lists


@dataclass(slots=True)
class _Open:
    """A word that is being read."""

    start: int = -1
    texts: list[str] = field(default_factory=list)
    length: int = 0
    marks: list[tuple[int, int]] = field(default_factory=list)
    runs: list[tuple[int, int, bool]] = field(default_factory=list)
    run: int = 0
    parentheses: int = 0
    quoted_to: int = -1

    def add(self, text: str, where: int) -> None:
        """Put a text behind the others that stands somewhere in the line."""
        last = self.marks[-1] if self.marks else None
        if last is None or where - last[1] != self.length - last[0]:
            self.marks.append((self.length, where))
        self.texts.append(text)
        self.length += len(text)

    def cut(self, *, made: bool = False) -> None:
        """End a piece."""
        if self.length > self.run:
            self.runs.append((self.run, self.length, made))
        self.run = self.length

    def make(self, text: str, where: int) -> None:
        """Put a piece behind the others that another command makes."""
        self.cut()
        self.add(text, where)
        self.cut(made=True)


@dataclass(slots=True)
class _Commands:
    """Commands one after the other, of which the last one is being read."""

    line: Excerpt
    done: list[Simple]
    is_target: bool = False

    def end(self, word: _Open, between: str, at: int) -> None:
        """End a word, if one is begun, with what stands behind it."""
        is_number = bool(between) and between in "<>" and "".join(word.texts).isdigit()
        if word.start >= 0:
            if not self.is_target and not is_number:
                self.done[-1].words.append(self._made(word, at))
            self.is_target = False
        if between and between in "<>":
            # What is read and written is no word; but a quotation in Markdown is.
            self.is_target = bool(self.done[-1].words)
        elif between and between not in _SPACES:
            self.done[-1].ender = between
            self.done.append(Simple())
            self.is_target = False

    def _made(self, word: _Open, end: int) -> Word:
        word.cut()
        text = Excerpt("".join(word.texts), tuple(word.marks) or ((0, self.line.at(word.start)),))
        last = self.line.at(end - 1) + 1
        is_quoted = word.quoted_to >= 0
        return Word(text, self.line.at(word.start), last, tuple(word.runs), is_quoted)


class _Reader:
    def __init__(self, line: Excerpt, escape: str, *, comments: bool, loose: bool) -> None:
        self.lists: list[list[Simple]] = []
        self._line = line
        self._text = line.text
        self._escape = escape
        self._comments = comments
        self._after_quote = ",]}.+" if loose else ",]}"
        self._closed = _closed(line.text, _MARKS[escape])

    def read(self, at: int, stop: int, depth: int) -> None:
        """Read the commands of a part of the line."""
        commands = _Commands(self._line, [Simple()])
        self.lists.append(commands.done)
        word = _Open()
        while at < stop:
            is_apart = word.quoted_to == at and self._text[at] in self._after_quote
            plain = None if is_apart else _PLAIN.match(self._text, at, stop)
            between = "" if plain else self._between(at, word)
            if between:
                commands.end(word, between, at)
                word = _Open()
                at += len(between)
                continue
            if word.start < 0 and self._begins_comment(at):
                end = self._text.find("\n", at, stop)
                at = stop if end < 0 else end
                continue
            word.start = at if word.start < 0 else word.start
            if plain:
                word.add(plain[0], self._line.at(at))
                at = plain.end()
            else:
                at = self._piece(at, stop, word, depth)
        commands.end(word, "", at)

    def _between(self, at: int, word: _Open) -> str:
        """Return what stands at a place between two words, or nothing."""
        char = self._text[at]
        following = self._text[at + 1 : at + 2]
        if char.isspace():
            return char if char == "\n" else " "
        if char in ";|" or (char == "&" and following == "&"):
            return char + following if following == char else char
        if char == "&" and (not following or following.isspace()):
            return char
        if char == ")":
            return "" if word.parentheses else char
        if char in self._after_quote and word.quoted_to == at:
            return char
        if char == self._escape and following in _BLANKS and following:
            # Within a literal of another language.
            return char + following
        if char in "([{":
            opens = char == "(" or (following and following in "\"'([{" and following != char)
            return char if word.start < 0 and opens else ""
        if char in "<>":
            is_arrow = char == ">" and at and self._text[at - 1] in "=-"
            return "" if is_arrow or _PLACE.match(self._text, at) else char
        return ""

    def _begins_comment(self, at: int) -> bool:
        following = self._text[at + 1 : at + 2]
        return self._comments and self._text[at] == "#" and not following.strip()

    def _piece(self, at: int, stop: int, word: _Open, depth: int) -> int:
        """Read what is not plain outside of quotes; return where it ends."""
        char = self._text[at]
        if char == self._escape and not _MADE.match(self._text, at, stop):
            word.add(self._text[at + 1 : min(at + 2, stop)], self._line.at(at + 1))
            return at + 2
        if char in "'\"":
            end = self._closed.get(at, stop)
            if end >= stop:
                return at + 1
            word.cut()
            if char == "'":
                word.add(self._text[at + 1 : end], self._line.at(at + 1))
            else:
                self._quoted(at + 1, end, word, depth)
            word.cut()
            word.quoted_to = end + 1
            return end + 1
        if char == "$" and self._text[at + 1 : at + 2] in ("'", '"'):
            return at + 1
        if char == "&" and (entity := _ENTITY.match(self._text, at, stop)):
            word.add(_ENTITIES.get(entity["name"], ""), self._line.at(at))
            return entity.end()
        if char == "<" and (place := _PLACE.match(self._text, at, stop)):
            word.add(place[0], self._line.at(at))
            return place.end()
        word.parentheses += (char == "(") - (char == ")")
        return self._filled(at, stop, word, depth)

    def _quoted(self, at: int, stop: int, word: _Open, depth: int) -> None:
        """Read what stands within double quotes."""
        while at < stop:
            plain = _PLAIN_IN_QUOTES.match(self._text, at, stop)
            if plain:
                word.add(plain[0], self._line.at(at))
                at = plain.end()
            elif self._text[at] == self._escape and not _MADE.match(self._text, at, stop):
                char = self._text[at + 1 : min(at + 2, stop)]
                if char not in ("", *"\"'\\`$/", "\n") and char not in _BLANKS:
                    word.add(self._escape, self._line.at(at))
                word.add(_BLANKS.get(char, char), self._line.at(at + 1))
                at += 2
            else:
                at = self._filled(at, stop, word, depth)

    def _filled(self, at: int, stop: int, word: _Open, depth: int) -> int:
        """Read what is put in, in quotes and outside of them, or one character."""
        where = self._line.at(at)
        filled = _FILLED.match(self._text, at, stop)
        if filled and "invocations" not in filled[0]:
            word.add(filled[0], where)
            return filled.end()
        made = _MADE.match(self._text, at, stop)
        if made:
            word.make(made[0], where)
            return made.end()
        opening = 2 if self._text.startswith("$(", at) else 1 if self._text[at] == "`" else 0
        end = self._closed.get(at, stop) if opening else stop
        if end < stop:
            word.make(self._text[at : end + 1], where)
            if depth < _DEEPEST:
                self.read(at + opening, end, depth + 1)
            return end + 1
        if self._text[at] != "`":
            word.add(self._text[at], where)
        return at + 1


def _closed(text: str, marks: re.Pattern[str]) -> dict[int, int]:
    """Return where each quote and each ``$(`` closes; those that do not are left out."""
    ignored: set[int] = set()
    for _ in range(_MOST_TRIES):
        closed, left = _close(text, marks, ignored)
        if not left:
            break
        # A backquote in a text is the likeliest to be none; then what was open for longest.
        ignored.add(next((at for mark, at in left if mark == "`"), left[0][1]))
    return closed


def _close(
    text: str, marks: re.Pattern[str], ignored: set[int]
) -> tuple[dict[int, int], list[tuple[str, int]]]:
    closed: dict[int, int] = {}
    open_ones: list[tuple[str, int]] = []
    at = 0
    while found := marks.search(text, at):
        at = found.end()
        mark, start = found[0], found.start()
        top = open_ones[-1][0] if open_ones else ""
        if start in ignored or (len(mark) > 1 and mark != "$("):
            continue
        if mark == "'":
            end = -1 if top == '"' else text.find("'", at)
            if end >= 0:
                closed[start] = end
                at = end + 1
        elif (mark == top and mark in '"`') or (mark == ")" and top == "("):
            closed[open_ones.pop()[1]] = start
        elif mark in ('"', "`", "$(") or (mark == "(" and top == "("):
            open_ones.append((mark[-1], start))
    return closed, open_ones
