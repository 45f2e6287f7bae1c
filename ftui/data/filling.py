"""From sources to a pile of tokenized rows: read, repaired, written, tokenized, and each one left out counted."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ftui.data import forms
from ftui.data.canonical import Row, RowError
from ftui.data.document import BadRow
from ftui.data.given import SourceLike
from ftui.data.loading import Loaded, refuse_if_nothing_usable
from ftui.data.masking import Text, Writer
from ftui.data.pile import KEPT_BAD_ROWS, Pile, add, bad_row
from ftui.data.repairs import Drop, Item, Stage
from ftui.documents import RowForm
from ftui.errors import BadInput
from ftui.units import plain

BATCH_ROWS = 512

Progress = Callable[[int, "int | None"], None]
"""Called with the rows done and the rows expected (None where the number isn't known yet)."""


@dataclass
class _Dropped:
    """The rows of one source that were left out: counted by reason, the first with their lines."""

    count: Counter[str] = field(default_factory=Counter)
    bad: list[BadRow] = field(default_factory=list)

    def add(self, bad: BadRow, reason: str) -> None:
        self.count[reason] += 1
        if len(self.bad) < KEPT_BAD_ROWS:
            self.bad.append(bad)


@dataclass
class Filling:
    """Reads, repairs, writes and tokenizes the rows of sources into a pile."""

    writer: Writer
    max_length: int
    seed: int
    repair: Stage
    """What rows go through before they are written."""

    def fill(self, pile: Pile, loaded: Sequence[Loaded], on_progress: Progress | None) -> None:
        """Add every row that can be trained on; raises BadInput for a source of which none is left."""
        for source in loaded:
            _refuse_other_kinds(source, pile.form)
        dropped = [_Dropped() for _ in loaded]

        def leave_out(source: int, bad: BadRow, reason: str) -> None:
            pile.drop(bad, reason)
            dropped[source].add(bad, reason)

        def drop(source: int, row: Row, reason: str, detail: str) -> None:
            leave_out(source, bad_row(row, detail), reason)

        good = Counter[int]()
        for batch in _batches(self.repair(_readable(loaded, leave_out), drop), BATCH_ROWS):
            good.update(self._add(pile, batch, drop))
            if on_progress:
                on_progress(len(pile.pieces), None)
        for number, source in enumerate(loaded):
            if not good[number]:
                _refuse_nothing_left(source.given, dropped[number], self.max_length)

    def _add(self, pile: Pile, batch: Sequence[Item], drop: Drop) -> Iterator[int]:
        """Add a batch of rows; the source's number for each that can be trained on."""
        written: list[tuple[int, Row, list[Text]]] = []
        for source, row in batch:
            if row.is_empty:
                drop(source, row, "empty", "the question is empty" if row.kind == "prompt" else "the answer is empty")
                continue
            try:
                written.append((source, row, forms.texts(row, pile.form, self.writer)))
            except RowError as error:
                drop(source, row, "refused by the template", str(error))
        tokens = iter(self.writer.tokens([text for _, _, texts in written for text in texts]))
        for source, row, texts in written:
            wrong = add(pile, row, [next(tokens) for _ in texts], source, self.max_length, self.seed)
            if wrong:
                drop(source, row, *wrong)
            else:
                yield source


def _readable(loaded: Sequence[Loaded], leave_out: Callable[[int, BadRow, str], None]) -> Iterator[Item]:
    """The rows of all sources, one source after another, that could be read."""
    for number, source in enumerate(loaded):
        for row in source.rows():
            if isinstance(row, BadRow):
                leave_out(number, row, "unreadable")
            else:
                yield number, row


def _refuse_other_kinds(source: Loaded, form: RowForm) -> None:
    if source.kind not in forms.KINDS[form]:
        raise BadInput(
            f"{plain(source.given.path)} holds {source.kind} rows (format {source.format.format}), which "
            f"{_TRAINS_ON[form]} can't be made of.",
            f"Choose an objective for such rows (objective.kind), or read them in another way: {_READ_AS[form]}.",
        )


_TRAINS_ON: dict[RowForm, str] = {
    "sequence": "the conversations or texts of supervised fine-tuning", "pair": "pairs of a better and a worse answer",
    "labelled": "answers that are labelled good or bad", "prompt": "prompts to be answered",
    "answered": "prompts, with or without answers", "class": "texts with a label",
}
_READ_AS: dict[RowForm, str] = {
    "sequence": "format: prompt-completion with columns: {prompt: ..., completion: ...}",
    "pair": "format: preference with columns: {prompt: ..., chosen: ..., rejected: ...}",
    "labelled": "format: kto with columns: {prompt: ..., completion: ..., label: ...}",
    "prompt": "format: prompt with columns: {prompt: ...}",
    "answered": "format: prompt-completion with columns: {prompt: ..., completion: ...}",
    "class": "format: classification with columns: {text: ..., label: ...}",
}


def _refuse_nothing_left(given: SourceLike, left_out: _Dropped, max_length: int) -> None:
    """Raises BadInput for a source of which no row can be trained on."""
    dropped, bad = left_out.count, left_out.bad
    if dropped.total() == dropped["unreadable"]:
        refuse_if_nothing_usable(given, 0, bad, dropped.total())
    why = ", ".join(f"{count} {reason}" for reason, count in dropped.most_common())
    hint = f"The first, line {bad[0].line}: {plain(bad[0].reason)}." if bad else "The list of bad rows was full."
    if dropped["answer cut off"]:
        hint += f" Raise data.max_length above {max_length}."
    raise BadInput(f"No row of {plain(given.path)} is left to train on ({why}).", hint)


def _batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while batch := list(itertools.islice(items, size)):
        yield batch
