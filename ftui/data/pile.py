"""Tokenized rows of one side of a dataset: what is kept of each."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ftui.data import forms
from ftui.data.canonical import Row
from ftui.data.document import BadRow
from ftui.data.masking import Tokens
from ftui.data.token_rows import TokenStore
from ftui.documents import RowForm

SAMPLE_PROMPTS = 8
KEPT_BAD_ROWS = 100

_UNSCORED: tuple[RowForm, ...] = ("prompt", "answered", "class")
"""Forms of which no token need be learnt or scored: what the model writes is, or the whole text."""


@dataclass
class Pile:
    """Tokenized rows of one side (everything given, or a validation file) with what is needed to split them."""

    store: TokenStore
    form: RowForm
    beside: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Stored sequence -> what of its row is no token."""
    pieces: list[tuple[int, int]] = field(default_factory=list)
    """Per row the stored pieces [first, after the last)."""
    keys: array[int] = field(default_factory=lambda: array("Q"))
    sources: array[int] = field(default_factory=lambda: array("i"))
    order: array[float] = field(default_factory=lambda: array("d"))
    by: list[str | float | None] = field(default_factory=list)
    """By row what it is held out by: a name, a time, or nothing but its content."""
    dropped: Counter[str] = field(default_factory=Counter)
    bad: list[BadRow] = field(default_factory=list)
    truncated: int = 0
    split_texts: int = 0
    samples: list[tuple[int, int, Row]] = field(default_factory=list)
    """The conversations of the lowest keys, as a heap of (-key, order, row)."""

    @property
    def pictured(self) -> bool:
        """Whether any of its rows has images."""
        return self.form == "sequence" and bool(self.beside)

    def drop(self, bad: BadRow, reason: str) -> None:
        self.dropped[reason] += 1
        if len(self.bad) < KEPT_BAD_ROWS:
            self.bad.append(bad)


def add(
    pile: Pile, row: Row, texts: list[Tokens], source: int, max_length: int, seed: int
) -> tuple[str, str] | None:
    """Store what of a row can be trained on; where nothing can, why not, in two or three words and in full."""
    if pile.form not in _UNSCORED and not all(any(tokens.trained) for tokens in texts):
        return "nothing to train", "no token of it would be trained"
    first = len(pile.store)
    if row.kind == "text" and len(texts[0].ids) > max_length:
        pile.split_texts += 1
        texts = list(_pieces(texts[0], max_length))
    elif any(len(tokens.ids) > max_length for tokens in texts):
        if "images" in row.value:
            return "too long for its images", f"it is longer than {max_length} tokens, and rows with images aren't cut"
        if pile.form == "prompt" or (pile.form == "answered" and not any(texts[0].trained[:max_length])):
            return "prompt too long", f"the prompt is longer than {max_length} tokens"
        texts = [Tokens(tokens.ids[:max_length], tokens.trained[:max_length]) for tokens in texts]
        if pile.form not in _UNSCORED and not all(any(tokens.trained) for tokens in texts):
            return "answer cut off", f"the answer is cut off: it starts after {max_length} tokens"
        pile.truncated += 1
    for tokens in texts:
        pile.store.append(tokens, row.task)
    for piece, values in zip(range(first, len(pile.store)), forms.beside(row, pile.form), strict=False):
        pile.beside[piece] = values
    key = _shuffled(row.key, seed)
    pile.pieces.append((first, len(pile.store)))
    pile.keys.append(key)
    pile.sources.append(source)
    pile.order.append(row.order)
    pile.by.append(row.by)
    if row.kind not in ("text", "class"):
        entry = (-key, -len(pile.pieces), row)
        if len(pile.samples) < SAMPLE_PROMPTS:
            heapq.heappush(pile.samples, entry)
        elif entry > pile.samples[0]:
            heapq.heapreplace(pile.samples, entry)
    return None


def bad_row(row: Row, reason: str) -> BadRow:
    return BadRow(source=row.source, line=row.line, reason=reason)


def _pieces(tokens: Tokens, max_length: int) -> Iterator[Tokens]:
    """A long text in consecutive pieces, so that none of it is lost; a last piece of one token teaches nothing."""
    for start in range(0, len(tokens.ids), max_length):
        piece = Tokens(tokens.ids[start : start + max_length], tokens.trained[start : start + max_length])
        if len(piece.ids) > 1:
            yield piece


def _shuffled(key: int, seed: int) -> int:
    """A row's place in the order of this seed: a bijective mix of its 64-bit key (splitmix64)."""
    mask = (1 << 64) - 1
    mixed = (key + (seed + 1) * 0x9E3779B97F4A7C15) & mask
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
    return mixed ^ (mixed >> 31)
