"""What a profile and a previewed row say, as lines for the Data step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from ftui.data.document import DataProfile, Lengths
from ftui.units import count, plain

from ..widgets.histogram import row
from .checkup_words import left, look_of, summary

if TYPE_CHECKING:
    from ftui.data.document import Preview

    from .state import WizardState

SHOWN_BAD, SHOWN_LABELS = 3, 12
KINDS = {"class": "texts with labels", "labelled": "answers marked good or bad", "prompt": "prompts without answers"}
"""Kinds of rows whose own names say little to a reader."""
READ_ONLY = ("class", "prompt")
"""Kinds of rows of which no token is trained to be written."""
FEWEST_BARS = 4
"""Fewer bars of a histogram say no more than the quantiles above them."""
PARTS = {
    "trained": "underline $text-success", "masked": "", "special": "$text-accent", "cut": "dim strike",
    "mark": "bold $text-warning",
}
"""What a part of a previewed row is -> its style; its marks tell it without colours."""
SHOWN_BESIDE = 200
"""Characters of a label or a column."""


def checked(state: WizardState) -> list[Content]:
    """What the check-up has found, in a line; a second one says what the repairs leave."""
    look = look_of(state)
    if look is None:
        return []
    gravest = look.findings[0].severity if look.findings else ""
    tone = {"error": "$text-error", "warning": "$text-warning"}.get(gravest, "")
    rows = f" in {count(look.done)} rows"
    so_far = {"running": f"{rows} so far", "stopped": f"{rows}, then stopped", "failed": "; it failed"}
    line = Content.assemble(
        ("check-up  ", "dim"), (summary(look), tone), so_far.get(look.state, ""), ("   c shows it", "dim")
    )
    repaired = left(state)
    return [line, *([Content.assemble(("repairs   ", "dim"), repaired)] if repaired else [])]


def facts(profile: DataProfile, width: int) -> list[Content]:
    """The profile in lines no wider than `width` where they can be: rows, formats, lengths, roles, what is wrong."""
    lines = [_rows(profile)]
    for source in profile.sources:
        columns = ", ".join(f"{role}={name}" if role != name else role for role, name in source.columns.items())
        lines.append(
            Content.assemble(
                (plain(source.ref), "bold"), f"  {count(source.rows)} rows as ", (source.format, "$text-accent"),
                f" ({source.confidence:.0%})", (f"  {plain(columns)}", "dim"),
            )
        )
    if profile.lengths:
        lines += _lengths(profile.lengths, width, written=profile.kind not in READ_ONLY)
    if profile.labels:
        lines.append(_labels(profile))
    if profile.roles:
        roles = ", ".join(f"{plain(role)} {count(turns)}" for role, turns in profile.roles.items())
        lines.append(_fact("turns", f"{roles}; {profile.turns_mean:.1f} a row"))
    if profile.languages:
        lines.append(_fact("language", ", ".join(f"{name} {share:.0%}" for name, share in profile.languages.items())))
    several = len(profile.sources) > 1
    for bad in profile.bad[:SHOWN_BAD]:
        # The line comes first: it must not be what a long path pushes off the screen.
        of = f" of {plain(bad.source)}" if several else ""
        lines.append(_warning(f"line {bad.line}{of}: {plain(bad.reason)}"))
    if profile.bad_rows > SHOWN_BAD:
        lines.append(_warning(f"and {count(profile.bad_rows - SHOWN_BAD)} more; `ftui data check` lists them."))
    return lines + [_warning(plain(note)) for note in profile.notes]


def _rows(profile: DataProfile) -> Content:
    said = KINDS.get(profile.kind, profile.kind)
    parts: list[str | tuple[str, str]] = [(f"{count(profile.rows)} rows", "bold"), f" of {said}"]
    wrong = (("bad", profile.bad_rows), ("empty", profile.empty_rows), ("duplicate", profile.duplicate_rows))
    for name, number in wrong:
        if number:
            parts += [", ", (f"{count(number)} {name}", "$text-warning")]
    return Content.assemble(*parts)


def _labels(profile: DataProfile) -> Content:
    """The labels with the rows of each, the most frequent first."""
    shown = [f"{plain(label)} {count(rows)}" for label, rows in list(profile.labels.items())[:SHOWN_LABELS]]
    more = len(profile.labels) - len(shown)
    return _fact("labels", f"{len(profile.labels)}: {', '.join(shown)}" + (f" and {more} more" if more else ""))


def _lengths(lengths: Lengths, width: int, *, written: bool) -> list[Content]:
    how = "" if lengths.exact else ", estimated"
    sampled = f", from {count(lengths.sampled)} rows" if lengths.sampled else ""
    lines = [
        Content.assemble(
            ("tokens    ", "dim"), "p50 ", (count(lengths.p50), "bold"), "  p90 ", (count(lengths.p90), "bold"),
            "  p99 ", (count(lengths.p99), "bold"), "  longest ", (count(lengths.max), "bold"),
            (f"  ({plain(lengths.tokenizer)}{how}{sampled})", "dim"),
        ),
        _fact("in all", f"{count(lengths.total_tokens)} tokens"
              + (f", {lengths.trained_share:.0%} of them trained" if written else "")),
    ]
    first = next((at for at, rows in enumerate(lengths.histogram) if rows), 0)
    if len(lengths.histogram) - first >= FEWEST_BARS:
        bars = row(lengths.histogram[first:], max(width - 34, 10))
        low, high = f"from {count(lengths.edges[first])} ", f" to {count(lengths.max)}"
        lines.append(Content.assemble(("lengths   ", "dim"), low, (bars, "$primary"), high))
    cuts = [2**power for power in range(7, 17) if 0.0005 < lengths.share_over(2**power) < 0.9995]
    if cuts:
        over = ", ".join(f"{lengths.share_over(cut):.1%} at {count(cut)}" for cut in cuts[:5])
        lines.append(_fact("cut", f"{over} tokens"))
    return lines


def preview_lines(preview: Preview) -> list[Content]:
    """A row as the model sees it, below what stands beside it, such as its label: each part in its colour and between
    its marks, and how many tokens each is."""
    from ftui.data.preview_marks import counted, marked, whole

    numbers: list[str | tuple[str, str]] = []
    for text, part in counted(preview):
        numbers += [", " if numbers else ": ", (text, PARTS[part])]
    head = Content.assemble(
        (f"row {count(preview.row)}", "bold"), f" (line {count(preview.line)})  {whole(preview)}", *numbers,
        (f"  template {plain(preview.template)}", "dim"),
    )
    parts = [(plain(text), PARTS[part]) for text, part in marked(preview)]
    beside = [
        Content.assemble((f"{plain(name)} ", "dim"), (plain(text[:SHOWN_BESIDE]), "bold $text-accent"))
        for name, text in preview.beside.items()
    ]
    return [head, *beside, Content.assemble(*parts), *(_warning(plain(note)) for note in preview.notes)]


def _fact(name: str, text: str) -> Content:
    return Content.assemble((f"{name:<10}", "dim"), Content(text))


def _warning(text: str) -> Content:
    return Content.assemble(("! ", "bold $text-warning"), Content(text))
