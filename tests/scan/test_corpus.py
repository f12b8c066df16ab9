"""The corpus: what is found in it, where, in which mode; and what is not."""

from __future__ import annotations

import re

import pytest

from tests.scan.__main__ import figures
from tests.scan.corpus import Piece, pieces

PIECES = list(pieces())


@pytest.mark.parametrize("piece", PIECES, ids=[f"{one.language}: {one.name}" for one in PIECES])
def test_a_piece_is_read_rightly(piece: Piece) -> None:
    assert [(one.line, one.mode) for one in piece.found()] == piece.wanted()


def test_the_corpus_has_what_is_found_and_what_is_not() -> None:
    found = [piece for piece in PIECES if piece.line is not None]
    assert len(found) >= 120
    assert len(PIECES) - len(found) >= 60
    assert {piece.language for piece in found} == {piece.language for piece in PIECES}


def test_figures_count_what_is_missed_and_what_is_wrong() -> None:
    missed = Piece("python", "", "requests.get(url)\n", 1, "kill")
    wrong = Piece("python", "", 'requests.delete("http://a:9070/invocations/x")\n', None, None)
    assert figures([missed, wrong]) == (0, 1, 1)


@pytest.mark.parametrize("piece", PIECES, ids=[f"{one.language}: {one.name}" for one in PIECES])
def test_what_is_to_be_written_instead_is_the_new_call(piece: Piece) -> None:
    for one in piece.found():
        assert one.replacement
        if one.mode is not None:
            # The mode, or the variable that holds it.
            assert re.search(rf"(?i){one.mode}|/[${{%]{{1,2}}[\w.]*mode", one.replacement)
            assert "mode=" not in one.replacement
            assert "404" in one.reason
            assert "409" in one.reason
