"""`check()`: what in the data would harm a training, with the lines, the reason and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from ftui.data.canonical import Row
from ftui.data.document import BadRow, CheckUp, Finding
from ftui.data.expected import expected_rows
from ftui.data.given import SourceLike, as_sources
from ftui.data.inspecting import Inspector, Leaks, NearCopies, Pairs, PersonalData, Sizes, Topics, Wording
from ftui.data.lengths import Counted
from ftui.data.licences import licences
from ftui.data.profiling import MAX_ROWS_TOKENIZED, measure, summarize
from ftui.data.survey import Survey, say_rows, survey
from ftui.data.template import LossOn
from ftui.data.template_findings import mask_finding, refusals
from ftui.models.document import ModelShape
from ftui.units import count, plain

FEW_ROWS = 50
ROWS_PER_RANK = 8
"""Fewer rows than this for each unit of the adapter's rank are too few: a rule of thumb."""
UNEVEN = 10
"""A label this many times as frequent as another is told."""
_EXAMPLES = 5
_FIRST_FOUND_SECONDS = 0.4
"""After so long what was found so far is told for the first time, then each time after twice as long as before."""


def check(
    sources: str | SourceLike | Iterable[str | SourceLike],
    shape: ModelShape | None = None,
    *,
    template: str = "auto",
    loss_on: LossOn = "assistant",
    max_length: int | None = None,
    rank: int | None = None,
    deep: bool = False,
    against: Sequence[str] = (),
    against_columns: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int | None, str], None] | None = None,
    on_found: Callable[[int, tuple[Finding, ...]], None] | None = None,
) -> CheckUp:
    """Look through the data; rows that would be cut are told from `max_length`, else from the model's context length.

    `deep` looks for near copies, personal data and secrets as well, which takes about three times as long; rows that
    stand in the files `against` (read by `against_columns`) are leaks.  With `rank`, that of the adapter, too few rows
    for it are told.
    `on_progress` gets the rows done, about how many there are (None where that can't be told), and "read" or
    "counted"; `on_found` now and then the rows read and what was found in them.
    Raises BadInput where a source can't be used at all.
    """
    given = as_sources(sources)
    inspectors: list[Inspector] = [Wording(), Pairs(), Sizes(), Topics()]
    if deep:
        inspectors += [NearCopies(), PersonalData()]
    if against:
        inspectors.append(Leaks(against, against_columns))

    so_far, due = Survey(), time.monotonic() + _FIRST_FOUND_SECONDS
    wait = _FIRST_FOUND_SECONDS

    def look(row: Row, copied: bool) -> None:
        nonlocal due, wait
        for inspector in inspectors:
            inspector.look(row, copied)
        if on_found is not None and time.monotonic() > due:
            on_found(so_far.rows, _sorted([*_of_rows(so_far), *_inspected(inspectors)]))
            wait *= 2
            due = time.monotonic() + wait

    def on_read(done: int, _: int | None) -> None:
        if on_progress:
            on_progress(done, expected, "read")

    def on_counted(done: int, of: int | None) -> None:
        if on_progress:
            on_progress(done, of, "counted")

    expected = expected_rows(given) if on_progress else None
    seen = survey(
        given, sample_rows=MAX_ROWS_TOKENIZED, contradictions=True, look=look, on_progress=on_read, into=so_far
    )
    counted, notes = measure(seen, shape, template=template, loss_on=loss_on, on_progress=on_counted)
    limit = max_length or (shape.context_length if shape else None)
    findings = [
        *_of_rows(seen),
        *_written(counted, seen.sample),
        *_about_template(counted.template_notes),
        *_too_long(counted, seen.sample, limit, seen.kind == "text"),
        *_few(seen, rank),
        *_uneven(seen),
        *licences(seen.sources),
        *_inspected(inspectors),
    ]
    return CheckUp(profile=summarize(seen, counted, notes), findings=_sorted(findings))


def _of_rows(seen: Survey) -> Iterable[Finding]:
    """What can be said of any number of rows."""
    return [*_unreadable(seen), *_repeated(seen), *_incomplete(seen)]


def _inspected(inspectors: Iterable[Inspector]) -> Iterable[Finding]:
    return [finding for inspector in inspectors for finding in inspector.findings()]


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first."""
    order = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(findings, key=lambda finding: order[finding.severity]))


def _few(seen: Survey, rank: int | None) -> Iterable[Finding]:
    if seen.rows < FEW_ROWS:
        yield Finding(
            name="few-rows",
            severity="warning",
            count=seen.rows,
            text=f"Only {say_rows(seen.rows)} to train on.",
            why="So few are learnt by heart within an epoch or two, and the held-out part says little.",
            hint="Add rows, or train few epochs and read the samples.",
        )
    if rank is not None and seen.rows < ROWS_PER_RANK * rank:
        yield Finding(
            name="rank",
            severity="warning",
            count=seen.rows,
            text=f"{say_rows(seen.rows)} for a rank of {rank}.",
            why="An adapter with that much room learns so few rows by heart before it learns what they have in common.",
            hint=f"A rank (adapter.rank) of {max(1, seen.rows // ROWS_PER_RANK)} is enough for them, or add rows.",
        )


def _uneven(seen: Survey) -> Iterable[Finding]:
    """Labels that are rare beside others."""
    if len(seen.labels) < 2:
        return
    (most, often), *_, (least, seldom) = seen.labels.most_common()
    if often >= UNEVEN * seldom:
        yield Finding(
            name="uneven-labels",
            severity="warning",
            count=seldom,
            text=f"The label {plain(least)} has {say_rows(seldom)}, {plain(most)} has {count(often)}.",
            why="Accuracy is then high for a model that never says the rare one, and it learns to do just that.",
            hint="Add rows of the rare label, or weigh it more (objective.class_weights: balanced).",
        )


def _unreadable(seen: Survey) -> Iterable[Finding]:
    if seen.bad.count:
        yield Finding(
            name="bad-rows",
            severity="warning",
            count=seen.bad.count,
            text=f"{say_rows(seen.bad.count)} can't be read.",
            why="They are left out of every training.",
            hint="Mend them in the file; the first ones are listed with their lines.",
            examples=tuple(seen.bad.examples[:_EXAMPLES]),
        )
    if seen.empty.count:
        yield Finding(
            name="empty",
            severity="warning",
            count=seen.empty.count,
            text=f"{say_rows(seen.empty.count)} with an empty answer.",
            why="They would teach the model to say nothing, so they are left out.",
            hint="Fill or remove them; if it is most rows, another column holds the answer.",
            examples=tuple(seen.empty.examples[:_EXAMPLES]),
            repair={"drop_empty": None},
        )


def _written(counted: Counted, sample: list[Row]) -> Iterable[Finding]:
    yield from mask_finding(counted.mask_fault)
    yield from refusals(counted.refused, sample, counted.rows, counted.template)
    if counted.untrained:
        yield Finding(
            name="nothing-trained",
            severity="error" if len(counted.untrained) == len(sample) else "warning",
            count=len(counted.untrained),
            text=f"{say_rows(len(counted.untrained))} of which no token would be trained.",
            why="The loss is taken on the assistant's words only, and there are none.",
            hint="Take the loss on all tokens (objective.loss_on: all), or mend the rows.",
            examples=tuple(counted.untrained[:_EXAMPLES]),
        )


def _about_template(notes: tuple[str, ...]) -> Iterable[Finding]:
    for note in notes:
        yield Finding(
            name="template",
            severity="note",
            count=1,
            text=note,
            why="What the model learns to read is what it must be given later.",
            hint="The result carries the template; another one is chosen with --template (data.template).",
        )


def _too_long(counted: Counted, sample: list[Row], limit: int | None, texts: bool) -> Iterable[Finding]:
    if limit is None:
        return
    longest = sorted(
        ((length, row) for length, row in zip(counted.rows, sample, strict=True) if length > limit),
        key=lambda pair: -pair[0],
    )
    if not longest:
        return
    about = "" if counted.lengths.exact else "about "
    yield Finding(
        name="too-long",
        severity="note" if texts else "warning",
        count=len(longest),
        text=f"{say_rows(len(longest))} of {count(len(sample))} longer than {about}{limit} tokens.",
        why="Long texts are trained in several pieces." if texts else "Their ends are cut off, the last answer first.",
        hint=f"Set a sequence length (data.max_length) up to {longest[0][0]}, where memory and the model allow it.",
        examples=tuple(
            BadRow(source=row.source, line=row.line, reason=f"{about}{length} tokens")
            for length, row in longest[:_EXAMPLES]
        ),
        repair=None if texts else {"drop_longer_than": {"tokens": limit}},
    )


def _repeated(seen: Survey) -> Iterable[Finding]:
    if seen.duplicates.count:
        yield Finding(
            name="duplicates",
            severity="warning",
            count=seen.duplicates.count,
            text=f"{say_rows(seen.duplicates.count)} that copy earlier ones exactly.",
            why="Copies are learnt more than once per epoch; they never stand in training and held-out part at once.",
            hint="Remove them unless they are meant to weigh more.",
            examples=tuple(seen.duplicates.examples[:_EXAMPLES]),
            repair={"drop_duplicates": None},
        )
    if seen.contradictions.count:
        yield Finding(
            name="contradictions",
            severity="note",
            count=seen.contradictions.count,
            text=f"{say_rows(seen.contradictions.count)} with a question that an earlier row answers otherwise.",
            why="The model learns a mixture; that is wanted for variety, not for facts.",
            hint="Look at the lines, and keep one answer where only one is right.",
            examples=tuple(seen.contradictions.examples[:_EXAMPLES]),
            repair={"drop_contradictions": None},
        )


def _incomplete(seen: Survey) -> Iterable[Finding]:
    if seen.unanswered.count:
        yield Finding(
            name="unanswered",
            severity="note",
            count=seen.unanswered.count,
            text=f"{say_rows(seen.unanswered.count)} without the assistant's turn at the end.",
            why="What stands after the last answer is read but not trained.",
            hint="Remove the last turns, or add the missing answers.",
            examples=tuple(seen.unanswered.examples[:_EXAMPLES]),
        )
    if seen.placeholders.count:
        names = ", ".join(plain(name) for name, _ in seen.placeholder_names.most_common(3))
        yield Finding(
            name="placeholders",
            severity="warning",
            count=seen.placeholders.count,
            text=f"{say_rows(seen.placeholders.count)} with placeholders such as {names}.",
            why="The model would learn to write them literally.",
            hint="Replace them in the file with what they stand for.",
            examples=tuple(seen.placeholders.examples[:_EXAMPLES]),
            repair={"filter": 'not text contains "{{"'},
        )
