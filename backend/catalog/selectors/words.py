"""What people type into a search, as a query of PostgreSQL's full-text search; and typing errors mended."""

import re
import time
from dataclasses import dataclass, replace

from rapidfuzz import process
from rapidfuzz.distance import OSA

from backend.catalog.models import Word
from backend.core.hot import run

MOST_TERMS = 12
SHORTEST_MENDED = 4
VOCABULARY_SECONDS = 60
"""How long a process works with the vocabulary that it read."""
_PIECE = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand one after the other, folded as the database folds them."""

    words: tuple[str, ...]
    is_wanted: bool
    is_beginning: bool = False
    """Whether the word may go on: the last one that was typed."""

    @property
    def tsquery(self) -> str:
        text = " <-> ".join(f"'{word}'" for word in self.words) + (":*" if self.is_beginning else "")
        return text if self.is_wanted else f"!({text})"


@dataclass(frozen=True, slots=True)
class Words:
    """A search. Without anything wanted it finds nothing."""

    terms: tuple[Term, ...]

    @property
    def is_empty(self) -> bool:
        return not any(term.is_wanted for term in self.terms)

    @property
    def tsquery(self) -> str:
        return " & ".join(term.tsquery for term in self.terms)


def read_words(text: str) -> Words:
    """The search that this text asks for: all of its words, phrases in quotation marks, and not what has a minus.

    The last word may be a beginning. One query, which folds the text.
    """
    pieces = list(_PIECE.finditer(text))[:MOST_TERMS]
    if not pieces:
        return Words(())
    rows = run(
        "SELECT catalog_fold(piece) FROM unnest(%s::text[]) WITH ORDINALITY AS given(piece, place) ORDER BY place",
        [[piece[2] if piece[2] is not None else piece[3] for piece in pieces]],
    )
    terms: list[Term] = []
    for piece, (folded,) in zip(pieces, rows, strict=True):
        words, is_wanted = folded.split(), not piece[1]
        if piece[2] is not None or not is_wanted:
            terms += [Term(tuple(words), is_wanted)] if words else []
        else:
            terms += [Term((word,), is_wanted=True) for word in words]
    if terms and terms[-1].is_wanted and pieces[-1][2] is None and not text[-1:].isspace():
        terms[-1] = replace(terms[-1], is_beginning=True)
    return Words(tuple(terms))


def mended(words: Words) -> Words | None:
    """The same search with the nearest known word for each that is unknown; None where that changes nothing.

    One letter wrong, missing, too much or exchanged in a short word, two in one of seven or more (optimal string
    alignment); of several words as near the most used.
    """
    known = _vocabulary()
    terms = tuple(_mended(term, known) for term in words.terms)
    return None if terms == words.terms else Words(terms)


def _mended(term: Term, known: dict[str, int]) -> Term:
    if not term.is_wanted or len(term.words) > 1:
        return term
    (word,) = term.words
    if len(word) < SHORTEST_MENDED or word in known or (term.is_beginning and any(w.startswith(word) for w in known)):
        return term
    near = process.extract(word, known.keys(), scorer=OSA.distance, score_cutoff=1 if len(word) < 7 else 2, limit=20)
    if not near:
        return term
    best = min(near, key=lambda one: (one[1], -known[one[0]], one[0]))
    return Term((best[0],), is_wanted=True)


_read: tuple[float, dict[str, int]] = (-VOCABULARY_SECONDS, {})


def _vocabulary() -> dict[str, int]:
    """All known words and in how many texts they are. One query a minute."""
    global _read  # noqa: PLW0603 - a copy of a table that a job rewrites
    read_at, known = _read
    if time.monotonic() - read_at > VOCABULARY_SECONDS:
        known = dict(Word.objects.values_list("word", "uses"))
        _read = time.monotonic(), known
    return known


def forget_vocabulary() -> None:
    """Read it again at the next search."""
    global _read  # noqa: PLW0603
    _read = (-VOCABULARY_SECONDS, {})
