"""Tokenized rows of one side of a dataset: what is kept of each, and which of them are held out."""

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
from ftui.errors import BadInput

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
    if row.kind not in ("text", "class"):
        entry = (-key, -len(pile.pieces), row)
        if len(pile.samples) < SAMPLE_PROMPTS:
            heapq.heappush(pile.samples, entry)
        elif entry > pile.samples[0]:
            heapq.heapreplace(pile.samples, entry)
    return None


def split(pile: Pile, wanted: float | int, seed: int) -> tuple[list[int], list[int]]:
    """(training rows, held-out rows): those of the lowest keys are held out, equal rows together.

    Of rows with labels, the same share of each label's, as nearly as whole rows allow, but never the last of them.
    """
    rows = len(pile.pieces)
    if isinstance(wanted, int):
        count = wanted
        if count >= rows:
            raise BadInput(
                f"data.validation asks for {count} rows, but there are only {rows}.", "Lower it, or give a share: 0.05."
            )
    else:
        count = min(max(1, round(wanted * rows)), rows - 1) if wanted else 0
    if count <= 0:
        return list(range(rows)), []
    held_out: set[int] = set()
    groups = _groups(pile)
    for group, share in zip(groups, _shares(groups, count), strict=True):
        held_out |= _lowest(pile, group, share)
    return [row for row in range(rows) if row not in held_out], sorted(held_out)


def _groups(pile: Pile) -> list[list[int]]:
    """Rows by their label, or all of them together; one with several labels belongs to the rarest of them."""
    if pile.form != "class":
        return [list(range(len(pile.pieces)))]
    labels: list[list[str]] = [pile.beside[first]["labels"] for first, _ in pile.pieces]
    counts = Counter(label for own in labels for label in own)
    groups: dict[str, list[int]] = {}
    for row, own in enumerate(labels):
        groups.setdefault(min(own, key=lambda label: (counts[label], label), default=""), []).append(row)
    return list(groups.values())


def _shares(groups: list[list[int]], count: int) -> list[int]:
    """How many of each group are held out, `count` in all where that leaves each of them a row: whole parts first, then
    to those that lack the most."""
    rows = sum(map(len, groups))
    exact = [count * len(group) / rows for group in groups]
    shares = [int(share) for share in exact]
    lacking = sorted(range(len(groups)), key=lambda index: (shares[index] - exact[index], -len(groups[index]), index))
    for index in lacking[: count - sum(shares)]:
        shares[index] += 1
    return [min(share, len(group) - 1) for share, group in zip(shares, groups, strict=True)]


def _lowest(pile: Pile, rows: list[int], count: int) -> set[int]:
    """The `count` of `rows` with the lowest keys and those that are copies of them, but never all."""
    if count <= 0:
        return set()
    order = sorted(rows, key=lambda row: (pile.keys[row], row))
    last = pile.keys[order[count - 1]]
    held_out = {row for row in order if pile.keys[row] <= last}
    if len(held_out) == len(rows):
        # All the rows that would be left are copies of held-out ones.
        held_out = {row for row in order if pile.keys[row] < last}
    return held_out


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
