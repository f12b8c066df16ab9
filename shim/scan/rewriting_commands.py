"""The new call in place of the old in a command line: the method and the path, nothing else."""

from __future__ import annotations

import re
from typing import Final

from shim.scan.commands import Command
from shim.scan.finding import Edit
from shim.scan.judging import Judgement
from shim.scan.urls import mode_added, path_edit

_VERB: Final = re.compile(r"(?:(?<=X)|(?<![\w/$-]))(?:DELETE|Delete|delete)(?![\w/-])")
_SAID_PATCH: Final = {"DELETE": "PATCH", "Delete": "Patch", "delete": "patch"}
# As httpie has parameters.
_ITEM: Final = re.compile(r"\s{1,9}[\"']?mode==(?P<mode>\w{1,20})[\"']?(?=\s|$)")
_MODE: Final = re.compile(r"(?i)(?<![a-z])mode(?![a-z])")


def command_edits(command: Command, judgement: Judgement) -> tuple[Edit, ...]:
    """Return the edits of the file that make a command the new call, or none where that is hard."""
    segment = command.segment
    edits = tuple(
        segment.edit(one.start, one.end, one.text) for one in line_edits(segment.text, judgement)
    )
    within = all(command.start <= one.start and one.end <= command.end for one in edits)
    return edits if within else ()


def line_edits(code: str, judgement: Judgement) -> tuple[Edit, ...]:
    """Return the edits of a command line, which may stand in a program's literal."""
    verb = verb_edit(code)
    if verb is None:
        return ()
    items = list(_ITEM.finditer(code))
    if items:
        path = mode_added(code, judgement.mode)
        said = {found["mode"].lower() for found in items}
        if path is None or said != {judgement.mode} or len(_MODE.findall(code)) > 1:
            return ()
        return verb, Edit(items[0].start(), items[0].end(), ""), path
    if not judgement.mode_given and _MODE.search(code):
        # It stands where no server looks for it, in a body, say.
        return ()
    path = path_edit(code, judgement.mode, given=judgement.mode_given)
    return () if path is None else (verb, path)


def verb_edit(code: str) -> Edit | None:
    """Return the edit of the one DELETE of a command line."""
    found = list(_VERB.finditer(code))
    if len(found) != 1:
        return None
    return Edit(found[0].start(), found[0].end(), _SAID_PATCH[found[0][0]])
