"""Text from strangers, made fit to be shown: callers name themselves, in up to 64 KiB."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Sequence
from typing import Final

NAME_LENGTH: Final = 80

# Cc: control characters (a terminal's escape), Cf: invisible ones (bidirectional overrides, zero
# width), Cs: lone surrogates, Zl and Zp: separators of lines.
_UNSHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_REQUEST: Final = re.compile(r"PATCH (/\S+)")


def plain(text: str, limit: int | None = NAME_LENGTH) -> str:
    """Return ``text`` on one line with invisible characters escaped, cut to ``limit``."""
    cut = text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(_shown(character) for character in cut)


def name_of(caller: str, limit: int = NAME_LENGTH) -> str:
    """Return a caller's name to be shown: fit, and never nothing."""
    return plain(caller, limit) if caller.strip() else "(no name)"


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _UNSHOWN:
        return character
    if character.isascii():
        return f"\\x{ord(character):02x}"
    return character.encode("unicode_escape").decode()


def curl_line(replacement: str | None) -> str | None:
    """Return a request line such as ``PATCH /invocations/inv_x/kill`` as a line for a shell.

    The path is quoted: it is a caller's text, and somebody will paste it.  One that cannot be
    shown as it is gets its id replaced by ``INVOCATION_ID``.
    """
    request = _REQUEST.fullmatch(replacement or "")
    if request is None:
        return None
    path = request[1]
    if len(path) > 300 or not (path.isascii() and path.isprintable()):
        head, _, rest = path.partition("/invocations/")
        mode = rest.rpartition("/")[2]
        prefix = head if re.fullmatch(r"(/v\d+)?", head) else ""
        path = f"{prefix}/invocations/INVOCATION_ID/{mode if mode.isalpha() else 'MODE'}"
    # curl takes brackets and braces for patterns, and removes dot segments, unless told not to.
    flags = "-X PATCH"
    if re.search(r"[\[\]{}]", path):
        flags += " --globoff"
    if re.search(r"/\.\.?(/|$)", path):
        flags += " --path-as-is"
    return f'curl {flags} "$RESTATE_ADMIN_URL"{shlex.quote(path)}'


def plural(count: int, noun: str) -> str:
    """Return ``1 use`` or ``1,204 uses``."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def listed(texts: Sequence[str], most: int, between: str = ", ") -> str:
    """Join texts for a sentence, at ``most`` so many of them."""
    shown = between.join(texts[:most])
    return f"{shown} and {len(texts) - most} more" if len(texts) > most else shown
