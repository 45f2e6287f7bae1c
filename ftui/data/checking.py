"""`check()`: what in the data would harm a training, with the lines, the reason and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ftui.data.canonical import Row
from ftui.data.document import BadRow, CheckUp, Finding
from ftui.data.given import SourceLike, as_sources
from ftui.data.lengths import Counted
from ftui.data.profiling import MAX_ROWS_TOKENIZED, measure, summarize
from ftui.data.survey import Survey, say_rows, survey
from ftui.data.template import LossOn
from ftui.models.document import ModelShape
from ftui.units import count, plain

FEW_ROWS = 50
_EXAMPLES = 5


def check(
    sources: str | SourceLike | Iterable[str | SourceLike],
    shape: ModelShape | None = None,
    *,
    template: str = "auto",
    loss_on: LossOn = "assistant",
    max_length: int | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> CheckUp:
    """Look through the data; rows that would be cut are told from `max_length`, else from the model's context length.

    Raises BadInput where a source can't be used at all.
    """
    seen = survey(as_sources(sources), sample_rows=MAX_ROWS_TOKENIZED, contradictions=True, on_progress=on_progress)
    counted, notes = measure(seen, shape, template=template, loss_on=loss_on, on_progress=on_progress)
    limit = max_length or (shape.context_length if shape else None)
    findings = [
        *_unreadable(seen),
        *_written(counted, seen.sample),
        *_about_template(counted.template_notes),
        *_too_long(counted, seen.sample, limit, seen.kind == "text"),
        *_repeated(seen),
        *_incomplete(seen),
    ]
    if seen.rows < FEW_ROWS:
        findings.append(
            Finding(
                name="few-rows",
                severity="warning",
                count=seen.rows,
                text=f"Only {say_rows(seen.rows)} to train on.",
                why="So few are learnt by heart within an epoch or two, and the held-out part says little.",
                hint="Add rows, or train few epochs and read the samples.",
            )
        )
    order = {"error": 0, "warning": 1, "note": 2}
    findings.sort(key=lambda finding: order[finding.severity])
    return CheckUp(profile=summarize(seen, counted, notes), findings=tuple(findings))


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
        )


def _written(counted: Counted, sample: list[Row]) -> Iterable[Finding]:
    if counted.refused:
        all_of_them = len(counted.refused) == len(sample)
        yield Finding(
            name="template-refuses",
            severity="error" if all_of_them else "warning",
            count=len(counted.refused),
            text=f"The chat template refuses {count(len(counted.refused))} of {say_rows(len(sample))}.",
            why="A template may ask for user and assistant in turn, or know no system or tool turns.",
            hint="Choose another with --template (data.template), such as chatml or plain, or mend the rows.",
            examples=tuple(counted.refused[:_EXAMPLES]),
        )
    if counted.untrained:
        yield Finding(
            name="nothing-trained",
            severity="warning",
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
        )
