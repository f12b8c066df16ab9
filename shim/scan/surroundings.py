"""What stands around a path that no call in sight is given."""

from __future__ import annotations

import re
from typing import Final

from ast_grep_py import SgNode

from shim.scan.languages import Language, names
from shim.scan.nodes import unquoted

_LONGEST_CONTAINER: Final = 1_000
_LONGEST_KEY: Final = 80
_CONTAINER: Final = re.compile(
    r"object|dictionary|hash|tuple|array|list|literal_value|initializer|set$|table"
)
_DELETE: Final = re.compile(r"\bDELETE\b|[Mm]ethod[.:]{1,2}D(?:elete|ELETE)\b|MethodDelete")
_TELLS: Final = re.compile(
    r"^expression_statement$|decorator|import|comment|annotation|^attribute$|assert|raise|throw"
)
_HOLDS: Final = re.compile(r"return|assign|declar|pair|element")


def is_told(node: SgNode, language: Language) -> bool:
    """Tell whether a path is spoken of, or linked to, and not asked for."""
    if _is_link(node, language):
        return True
    above = node.parent()
    for _ in range(6):
        if above is None:
            return False
        kind = above.kind()
        if _TELLS.search(kind):
            return kind != "attribute" or language.name == "csharp"
        if _HOLDS.search(kind):
            return False
        above = above.parent()
    return False


def _is_link(node: SgNode, language: Language) -> bool:
    """Tell whether a path is where a page links to."""
    above = node.parent()
    for _ in range(4):
        if above is None or above.kind() in language.kinds.calls:
            return False
        if above.kind() == "jsx_attribute":
            return True
        if above.kind() in language.kinds.pairs and (parts := above.named_children()):
            key = unquoted(parts[0].text()[:_LONGEST_KEY])
            return key in names().links and method_beside(node) is None
        above = above.parent()
    return False


def method_beside(node: SgNode) -> str | None:
    """Return DELETE where it stands beside a path in a table, or ``None``."""
    above = node.parent()
    for _ in range(4):
        if above is None:
            return None
        where = above.range()
        if where.end.index - where.start.index > _LONGEST_CONTAINER:
            return None
        text = above.text()
        if _CONTAINER.search(above.kind()) and "argument" not in above.kind():
            return "DELETE" if _DELETE.search(text) else None
        above = above.parent()
    return None
