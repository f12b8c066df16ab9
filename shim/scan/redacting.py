"""Credentials cut out of what is told of a file: reports are copied to where files are not.

Only literal ones: the name of a variable is no secret, and says where the credential comes from.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from shim.scan.finding import Finding

_MARK: Final = "REDACTED"
# ${{ secrets.X }}, {{ x }}, ${X}, #{x}, {x}, $(x), \(x), $X, $env:X, %X%, %s, <X>
_PLACE: Final = (
    r"\$?\{\{[^{}\n]{0,200}\}\}|[$#%]?\{[^{}\n]{0,200}\}|[$\\]\([^()\n]{0,200}\)|"
    r"\$(?:env:)?\w{1,100}|%\w{1,100}%|%\(\w{1,60}\)s|%[sv]|<[\w .-]{1,60}>|"
    rf"{_MARK}"
)
_PLACEHOLDER: Final = re.compile(f"({_PLACE})")
# A shell puts nothing in for $X between single quotes.
_FILLED_BEFORE: Final = re.compile(
    rf"(\$?\{{\{{[^{{}}\n]{{0,200}}\}}\}}|<[\w .-]{{1,60}}>|{_MARK})"
)
_LITERAL: Final = re.compile(r"([\s:;=&,]*)(.*?)([\s:;=&,\\]*)", re.DOTALL)
_STRING: Final = re.compile(r"(?P<head>[\"'`])(?P<value>[^\"'`\n]{1,300})[\"'`]")

_SCHEMES: Final = frozenset({"bearer", "basic", "token", "digest"})
_SCHEME: Final = r"(?:(?:[Bb]earer|[Bb]asic|[Tt]oken|[Dd]igest)\s{1,9})?"
_NAME: Final = (
    r"(?i:(?:proxy-)?authorization|(?:set-)?cookie|"
    r"[\w-]{0,40}(?:token|secret|passw(?:or)?d|apikey|[_-](?:key|auth|signature)))"
)
# Behind a flag: the rest of the quotes that open there, or a word; also in a list of words.
_GAP: Final = r"(?:[\"']?,\s{0,9}|=|[\s\\]{1,80})[\"'`]?"
_WORD: Final = rf"(?>{_PLACE}|[^\s\"'`,;)\]}}]){{1,2000}}"
_REST: Final = (
    rf"(?:(?<=[\"'`])[^\"'`\n]{{1,2000}}(?:[\"']:[\"'][^\"'\n]{{1,300}})?|"
    rf"{_WORD}(?:(?<=[:=])[\"'][^\"'\n]{{1,300}})?)"
)
_PASSWORDS: Final = (
    r"user|password|auth|token|oauth2-bearer|pass|tlspassword|[\w-]{1,20}-(?:user|password|pass)"
)
_NAMED: Final = (
    rf"(?<![\w-]){_NAME}(?:[\"'`]\s{{0,9}},|[\"'`]?\s{{0,9}}(?:=>|[:=]))\s{{0,9}}"
    rf"[fFrRbBuU$@]{{0,2}}[\"'`]{_SCHEME}"
)
_SHAPES: Final = (
    r"eyJ[\w-]{10,2000}(?:\.[\w-]{0,2000}){0,4}|gh[pousr]_\w{20,200}|AKIA[0-9A-Z]{16}|"
    r"github_pat_\w{20,200}|glpat-[\w-]{15,200}|sk[-_][\w-]{16,300}|xox[abpr]-[\w-]{10,200}|"
    r"npm_\w{30,200}|key_[\w.]{20,300}"
)
# What stands in ``head`` is kept, literals in ``value`` are not.
_RULES: Final = tuple(
    re.compile(f"(?P<head>{head})(?P<value>{value})")
    for head, value in (
        # https://user:password@host, also where the rest is cut off.
        ("://", rf"(?>{_PLACE}|[^\s/@\"'`<>]){{1,300}}(?=@)"),
        ("://", r"[^\s/@:\"'`<>]{1,300}:(?!\d{1,5}\Z)[^\s/@\"'`]{1,300}\Z"),
        # Bearer SECRET, "Bearer " + "SECRET"
        (r"\b[Bb](?:earer|asic)[ \t\\]{1,9}(?:[\"'`]\s{0,3}[+.,]\s{0,3}[\"'`])?", _WORD),
        # "Authorization: SECRET", Authorization:SECRET
        (rf"[\"'`]{_NAME}:\s{{0,9}}{_SCHEME}", r"[^\"'`\n]{1,2000}"),
        (rf"(?<![^\s=]){_NAME}:", _WORD),
        # token="SECRET", "Authorization": "SECRET", ("X-Api-Key", "SECRET")
        (_NAMED, r"[^\"'`\n]{1,2000}"),
        # TOKEN=SECRET, ?token=SECRET
        (r"(?<!\w)[A-Z_]{0,40}(?:TOKEN|SECRET|PASSW(?:OR)?D|KEY)=|_authToken=", _WORD),
        (r"[?&](?i:[\w-]{0,20}(?:token|key|secret|password|signature))=", r"[^\s\"'`&#]{1,2000}"),
        # curl -u user:password, -uuser:password, wget --password=PASSWORD, http -a user:password
        (rf"(?<![\w-])(?:-[a-zA-Z]{{0,8}}u|--(?:{_PASSWORDS})){_GAP}", _REST),
        (r"(?<![\w-])-u(?=[^\s\"'`,:=-][^\s\"'`,:]{0,200}:[^\s\"'`,])", _WORD),
        (rf"(?<![\w-])-[aU]{_GAP}(?=[^\s\"'`,:]{{1,300}}:[^\s\"'`,])", _REST),
        # curl -b name=value, --cert file:password
        (rf"(?<![\w-])(?:-[a-zA-Z]{{0,8}}b|--cookie){_GAP}(?=[^\s\"'`=]{{1,300}}=)", _REST),
        (rf"(?<![\w-])(?:-E|--(?:proxy-)?cert){_GAP}[^\s\"'`:]{{1,300}}:", _REST),
        # btoa("user:password")
        (
            r"(?i:btoa|b64encode|base64[\w.]{0,30})\((?:[^()\"'`\n]{0,60}\()?b?[\"'`]",
            r"[^\"'`\n]{1,300}",
        ),
        # Tokens that say what they are.
        (r"(?<![\w-])", _SHAPES),
    )
)
# auth=("user", "password"), SetBasicAuth("user", "password"), cookies={"name": "value"}
_PAIRS: Final = re.compile(
    r"(?i)(?P<head>(?:basic_?auth\w{0,20}|(?<![a-z])auth|credentials?|cookies)[\"'`]?\s{0,9}(?:=>|[=:])?"
    r"\s{0,9}(?:\w{1,30}\()?[\[({]{1,2})(?P<value>[^)\]}\n]{1,300})"
)


def redacted(one: Finding) -> Finding:
    """Return a finding as it may be told."""
    return replace(one, code=redact(one.code), replacement=redact(one.replacement))


def redact(text: str) -> str:
    """Return ``text`` without literal credentials; doing it twice changes nothing."""
    for rule in _RULES:
        text = rule.sub(_cut, text)
    return _PAIRS.sub(lambda found: found["head"] + _STRING.sub(_cut, found["value"]), text)


def _cut(found: re.Match[str]) -> str:
    placeholder = _FILLED_BEFORE if found["head"].endswith("'") else _PLACEHOLDER
    pieces = placeholder.split(found["value"])
    # What is split by stands at every second place.
    pieces[::2] = [_without_literal(piece) for piece in pieces[::2]]
    return found["head"] + "".join(pieces) + found[0][found.end("value") - found.start() :]


def _without_literal(piece: str) -> str:
    found = _LITERAL.fullmatch(piece)
    if found is None or not found[2] or found[2].lower() in _SCHEMES:
        return piece
    return f"{found[1]}{_MARK}{found[3]}"
