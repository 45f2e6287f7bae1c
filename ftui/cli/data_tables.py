"""How `ftui data` shows its documents to a person."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ftui.data.document import BadRow, CheckUp, DataProfile, Lengths, Preview
from ftui.data.survey import say_rows
from ftui.units import count, gib, plain

_BAR = 30
_USUAL_LENGTHS = (512, 1024, 2048, 4096, 8192)
_SHOWN_BAD_ROWS = 5
_PARTS = {"trained": "green", "masked": "", "special": "cyan", "cut": "strike dim", "mark": "bold yellow"}
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def print_profile(profile: DataProfile, max_length: int | None) -> None:
    """Sources, counts, lengths, bad rows and notes."""
    console = Console(highlight=False, soft_wrap=False)
    for source in profile.sources:
        table = _pairs()
        table.add_row("source", Text(plain(source.ref)))
        size = f" · {gib(source.bytes)}" if source.bytes is not None else ""
        table.add_row("rows", f"{count(source.rows)}{size}")
        table.add_row("format", f"{source.format} ({source.confidence:.0%} sure)")
        table.add_row("columns", Text(", ".join(f"{part} = {plain(name)}" for part, name in source.columns.items())))
        if others := [f"{other.format} ({other.confidence:.0%})" for other in source.alternatives]:
            table.add_row("could also be", ", ".join(others))
        if unused := [plain(name) for name in source.available_columns if name not in source.columns.values()]:
            table.add_row("unused columns", Text(", ".join(unused[:10])))
        console.print(table)
        console.print()
    table = _pairs()
    table.add_row("kind", profile.kind)
    table.add_row("rows to train on", count(profile.rows))
    if profile.bad_rows or profile.empty_rows:
        table.add_row("left out", f"{count(profile.bad_rows)} unreadable, {count(profile.empty_rows)} empty")
    table.add_row("exact copies", count(profile.duplicate_rows))
    if profile.labels:
        labels = ", ".join(f"{count(rows)} {plain(name)}" for name, rows in profile.labels.items())
        table.add_row("labels", Text(labels))
    if profile.roles:
        roles = ", ".join(f"{count(turns)} {role}" for role, turns in profile.roles.items())
        table.add_row("turns", f"{roles} ({profile.turns_mean:g} per row)")
    scripts = ", ".join(f"{name} {share:.0%}" for name, share in list(profile.languages.items())[:5])
    table.add_row("scripts", scripts)
    console.print(table)
    if profile.lengths:
        _print_lengths(console, profile.lengths, max_length, written=profile.kind not in ("class", "prompt"))
    if profile.bad_rows:
        console.print(f"\n{say_rows(profile.bad_rows)} can't be read:", style="yellow")
        _print_rows(console, profile.bad[:_SHOWN_BAD_ROWS])
    for note in profile.notes:
        console.print(Text(f"\n{plain(note)}", style="cyan"))


def print_findings(found: CheckUp) -> None:
    """The findings, worst first."""
    console = Console(highlight=False)
    profile = found.profile
    formats = ", ".join(dict.fromkeys(source.format for source in profile.sources))
    console.print(f"{say_rows(profile.rows)} to train on, read as {formats}.")
    if not found.findings:
        console.print("Nothing speaks against training on them.", style="green")
    for finding in found.findings:
        console.print()
        console.print(Text(f"{finding.severity}: {plain(finding.text)}", style=_STYLES[finding.severity]))
        console.print(Text(f"  {plain(finding.why)} {plain(finding.hint)}"))
        _print_rows(console, finding.examples)
        if finding.repair:
            console.print(Text(f"  Mended by --repair {finding.name} ({next(iter(finding.repair))})."))


def print_preview(preview: Preview) -> None:
    """The rendered row with its marks, and how many tokens of it are trained, masked, special and cut off."""
    from ftui.data.preview_marks import counted, marked, whole

    console = Console(highlight=False)
    where = f"row {preview.row}, line {preview.line} of {plain(preview.source)}"
    console.print(Text(f"{where} · template {plain(preview.template)}"))
    numbers = Text(f"{whole(preview)}: ")
    for number, (said, part) in enumerate(counted(preview)):
        numbers.append(", " if number else "").append(said, style=_PARTS[part])
    if any(token.id is None for token in preview.tokens):
        numbers.append("; name a --model to see tokens")
    console.print(numbers)
    for name, value in preview.beside.items():
        console.print(Text(f"{plain(name)}: {plain(value)}"))
    console.print()
    console.print(Text.assemble(*((plain(text), _PARTS[part]) for text, part in marked(preview))))
    for note in preview.notes:
        console.print(Text(f"\n{plain(note)}", style="cyan"))


def _pairs() -> Table:
    """Names on the left, values on the right, folded rather than cropped."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _print_lengths(console: Console, lengths: Lengths, max_length: int | None, *, written: bool) -> None:
    how = f"tokenizer of {plain(lengths.tokenizer)}" if lengths.exact else "estimated from bytes; --model counts them"
    console.print(f"\nTokens per row ({how}):")
    console.print(
        f"  mean {lengths.mean:.0f} · p50 {lengths.p50} · p90 {lengths.p90} · p99 {lengths.p99} · max {lengths.max} · "
        f"in all {count(lengths.total_tokens)}" + (f" · trained {lengths.trained_share:.0%}" if written else "")
    )
    at = sorted({*(length for length in _USUAL_LENGTHS if length < lengths.max), *([max_length] if max_length else [])})
    if at:
        shares = " · ".join(f"{length}: {lengths.share_over(length):.1%}" for length in at)
        console.print(f"  longer than {shares}")
    most = max(lengths.histogram, default=0)
    for low, high, rows in zip(lengths.edges, lengths.edges[1:], lengths.histogram, strict=False):
        if rows:
            last = min(high - 1, lengths.max)
            console.print(f"  {low:>7}–{last:<7} {'█' * max(1, round(_BAR * rows / most))} {count(rows)}")


def _print_rows(console: Console, rows: tuple[BadRow, ...]) -> None:
    for row in rows:
        console.print(Text(f"    {plain(row.source)}:{row.line}: {plain(row.reason)}"))
