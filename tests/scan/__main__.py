"""`python -m tests.scan`: precision and recall over the corpus, per language."""

from __future__ import annotations

import sys
from collections import defaultdict

from tests.scan.corpus import Piece, pieces


def figures(of: list[Piece]) -> tuple[int, int, int]:
    """How many were found rightly, wrongly, and not at all."""
    right = wrong = missed = 0
    for piece in of:
        lines = [one.line for one in piece.found()]
        hit = piece.line is not None and piece.line in lines
        right += hit
        wrong += len(lines) - hit
        missed += piece.line is not None and not hit
    return right, wrong, missed


def row(name: str, of: list[Piece]) -> str:
    right, wrong, missed = figures(of)
    precision = right / (right + wrong) if right + wrong else 1.0
    recall = right / (right + missed) if right + missed else 1.0
    modes = sum(piece.is_right() for piece in of)
    return f"{name:12} {len(of):6} {precision:10.1%} {recall:7.1%} {modes / len(of):12.1%}"


def main() -> int:
    by_language: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces():
        by_language[piece.language].append(piece)
        if not piece.is_right():
            got = [(one.line, one.mode, str(one.confidence)) for one in piece.found()]
            sys.stdout.write(f"{piece.language}: {piece.name}: {piece.wanted()}, got {got}\n")
    sys.stdout.write("language     pieces  precision  recall  line and mode\n")
    for name, of in by_language.items():
        sys.stdout.write(row(name, of) + "\n")
    everything = [piece for of in by_language.values() for piece in of]
    sys.stdout.write(row("all", everything) + "\n")
    return 0 if all(piece.is_right() for piece in everything) else 1


if __name__ == "__main__":
    sys.exit(main())
