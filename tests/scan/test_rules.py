"""Each rule finds the examples that stand beside it, once, and passes over the others."""

from __future__ import annotations

import msgspec
import pytest
from ast_grep_py import SgRoot

from shim.scan.documents import find_in_file
from shim.scan.finding import Confidence, Finding
from shim.scan.kinds import command_rules
from shim.scan.languages import Language, languages, names
from shim.scan.pins import pins

RULES = [(language, rule) for language in languages().values() for rule in language.rule]
NAMES = {
    **{language.name: language.files[0] for language in languages().values()},
    **{name: globs[0] for name, globs in command_rules().files.items()},
}


def found_in(code: str, language: str) -> list[Finding]:
    name = NAMES[language].replace("*", "example")
    found = find_in_file(name, name, code, code.encode()).findings
    return [one for one in found if one.confidence is not Confidence.POSSIBLE]


@pytest.mark.parametrize(
    ("language", "code"),
    [
        *((language.name, code) for language, rule in RULES for code in rule.finds),
        *((one.language, code) for one in command_rules().example for code in one.finds),
        *((one.language, code) for one in names().example for code in one.finds),
        *(("shell", code) for pin in pins().pin for code in pin.finds),
    ],
)
def test_a_rule_finds_its_examples(language: str, code: str) -> None:
    assert len(found_in(code, language)) == 1, found_in(code, language)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        *((language.name, code) for language, rule in RULES for code in rule.passes),
        *((one.language, code) for one in command_rules().example for code in one.passes),
        *((one.language, code) for one in names().example for code in one.passes),
        *(("shell", code) for pin in pins().pin for code in pin.passes),
    ],
)
def test_a_rule_passes_over_its_counterexamples(language: str, code: str) -> None:
    assert found_in(code, language) == []


def test_every_rule_has_examples() -> None:
    for language, rule in RULES:
        assert rule.passes, (language.name, rule.name)
        if rule.method != "OTHER":
            assert rule.finds, (language.name, rule.name)


def test_every_rule_says_what_to_write_instead() -> None:
    for language, rule in RULES:
        if rule.method != "OTHER":
            new = (rule.replacement or language.replacement).format(mode="kill", Mode="Kill")
            assert "kill" in new.lower(), (language.name, rule.name)


@pytest.mark.parametrize("language", languages().values(), ids=languages())
def test_every_kind_is_one_of_its_grammar(language: Language) -> None:
    # Rust's has no return_statement: real files were skipped, as if they could not be parsed.
    root = SgRoot("x", language.grammar).root()
    named = {kind for kinds in msgspec.structs.asdict(language.kinds).values() for kind in kinds}
    for kind in named:
        root.find_all(kind=kind)
