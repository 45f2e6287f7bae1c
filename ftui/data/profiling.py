"""`profile()`: counts, lengths with the model's tokenizer, bad rows by line, and notes worth reading."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from ftui.data.canonical import Row
from ftui.data.document import DataProfile
from ftui.data.given import SourceLike, as_sources
from ftui.data.lengths import Counted, count_lengths, estimate_lengths
from ftui.data.masking import Writer
from ftui.data.repairing import Repairing, tokens_of, usual_form
from ftui.data.survey import KEPT_ROWS, Survey, say_rows, survey
from ftui.data.template import LossOn, choose_template
from ftui.data.tokenizer import load_tokenizer
from ftui.errors import FtuiError
from ftui.models.document import ModelShape
from ftui.units import count, plain

MAX_ROWS_TOKENIZED = 20_000


def profile(
    sources: str | SourceLike | Iterable[str | SourceLike],
    shape: ModelShape | None = None,
    *,
    template: str = "auto",
    loss_on: LossOn = "assistant",
    repairs: Repairing | None = None,
    max_rows_tokenized: int = MAX_ROWS_TOKENIZED,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> DataProfile:
    """What the sources hold, read in one pass; lengths are counted on at most `max_rows_tokenized` rows.

    With `repairs`, rows are counted as they leave these; what they leave out is told by reason.  Without a `shape`, or
    where its tokenizer isn't at hand, lengths are estimated and said to be.  `on_progress` gets the rows done and, once
    counting begins, the rows to count.  Raises BadInput where a source can't be used.
    """
    repair = repairs.stage(_lengths_by(shape, template, loss_on)) if repairs else None
    seen = survey(as_sources(sources), sample_rows=max_rows_tokenized, repair=repair, on_progress=on_progress)
    counted, notes = measure(seen, shape, template=template, loss_on=loss_on, on_progress=on_progress)
    return summarize(seen, counted, notes)


def _lengths_by(shape: ModelShape | None, template: str, loss_on: LossOn) -> Callable[[Row], int]:
    """A row's length in tokens, estimated where the tokenizer isn't at hand; it loads when the first row comes."""

    @functools.cache
    def writer() -> Writer | None:
        try:
            tokenizer = load_tokenizer(shape) if shape else None
        except FtuiError:
            # `measure` says so.
            return None
        return Writer(tokenizer, choose_template(template, tokenizer), loss_on) if tokenizer else None

    def length(row: Row) -> int:
        by = writer()
        return estimate_lengths([row], 1).rows[0] if by is None else tokens_of(row, usual_form(row), by)

    return length


def measure(
    seen: Survey,
    shape: ModelShape | None,
    *,
    template: str = "auto",
    loss_on: LossOn = "assistant",
    on_progress: Callable[[int, int | None], None] | None = None,
) -> tuple[Counted, tuple[str, ...]]:
    """Count the sample's lengths by the model's tokenizer, else estimate them; with what is to be said about it."""
    if shape is None:
        return estimate_lengths(seen.sample, seen.rows), ()
    try:
        tokenizer = load_tokenizer(shape)
    except FtuiError as error:
        note = f"Lengths are estimated from bytes: {error.what}"
        return estimate_lengths(seen.sample, seen.rows), (note,)
    chosen = choose_template(template, tokenizer)
    # The default task for plain text is to learn all of it; `Writer` knows that by the rows' kind.
    writer = Writer(tokenizer, chosen, loss_on)
    counted = count_lengths(seen.sample, seen.rows, writer, on_progress)
    notes = chosen.notes if seen.kind != "text" else ()
    if counted.refused:
        first = counted.refused[0]
        refused = f"{len(counted.refused)} of {len(seen.sample)} rows can't be written with the template {chosen.name}"
        notes = (*notes, f"{refused}: line {first.line}, {first.reason}.")
    return counted, notes


def summarize(seen: Survey, counted: Counted, notes: tuple[str, ...]) -> DataProfile:
    """The survey as a document."""
    scripts = sum(seen.scripts.values())
    return DataProfile(
        sources=tuple(seen.sources),
        kind=seen.kind,
        rows=seen.rows,
        bad_rows=seen.bad.count,
        bad=tuple(seen.bad.examples[:KEPT_ROWS]),
        empty_rows=seen.empty.count,
        left_out=dict(seen.left_out),
        duplicate_rows=seen.duplicates.count,
        roles=dict(seen.roles),
        labels=dict(seen.labels.most_common()),
        images=seen.images,
        turns_mean=round(seen.turns / seen.rows, 2),
        languages={name: round(rows / scripts, 4) for name, rows in seen.scripts.most_common()},
        lengths=counted.lengths,
        prompts=counted.prompts,
        notes=(*notes_on(seen), *notes),
        faults=(counted.mask_fault,) if counted.mask_fault else (),
    )


def notes_on(seen: Survey) -> tuple[str, ...]:
    """What the rows themselves say."""
    notes = []
    if seen.placeholders.count:
        names = ", ".join(plain(name) for name, _ in seen.placeholder_names.most_common(3))
        notes.append(
            f"{say_rows(seen.placeholders.count)} with placeholders ({names}), which would be learnt as they stand; "
            "replace them first."
        )
    if seen.calls.count:
        notes.append(
            f"{say_rows(seen.calls.count)} with function calls, which are trained as the text that the template makes "
            "of them."
        )
    if seen.rows > len(seen.sample):
        notes.append(f"Lengths were counted on a random {count(len(seen.sample))} of {count(seen.rows)} rows.")
    return tuple(notes)
