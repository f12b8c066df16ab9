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
# Visible ASCII, which is shown and pasted as it is.
_REQUEST: Final = re.compile(r"PATCH (/[!-~]+)")


def plain(text: str, limit: int | None = NAME_LENGTH) -> str:
    """Return ``text`` on one line with invisible characters escaped, cut to ``limit``."""
    cut = text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(_shown(character) for character in cut)


def name_of(caller: str, limit: int = NAME_LENGTH) -> str:
    """Return a caller's name to be shown: fit, and never nothing.

    A long one is cut in the middle: names that begin alike often end differently.
    """
    if not caller.strip():
        return "(no name)"
    if len(caller) > limit:
        end = limit // 3
        caller = f"{caller[: limit - end - 1]}…{caller[-end:]}"
    return plain(caller, None)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _UNSHOWN:
        return character
    if character.isascii():
        return f"\\x{ord(character):02x}"
    return character.encode("unicode_escape").decode()


def curl_line(replacement: str | None) -> str | None:
    """Return a request line, ``PATCH /invocations/INVOCATION_ID/kill``, as a line for a shell.

    The path is quoted: somebody will paste it.
    """
    request = _REQUEST.fullmatch(replacement or "")
    return f'curl -X PATCH "$RESTATE_ADMIN_URL"{shlex.quote(request[1])}' if request else None


def plural(count: int, noun: str) -> str:
    """Return ``1 use`` or ``1,204 uses``."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def listed(texts: Sequence[str], most: int, between: str = ", ") -> str:
    """Join texts for a sentence, at ``most`` so many of them."""
    shown = between.join(texts[:most])
    return f"{shown} and {len(texts) - most} more" if len(texts) > most else shown
