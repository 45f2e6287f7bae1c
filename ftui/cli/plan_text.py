"""A plan as text for a terminal of 80 columns: the options, the memory bar, each value with its reason."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ftui.data.document import DataProfile
from ftui.models.document import ModelShape
from ftui.planner.cost import said
from ftui.planner.document import Choice, Estimate, MemoryEstimate, Option, Plan, Verdict
from ftui.recipe.document import Recipe
from ftui.units import clock, count, gib, plain

FITS = {"fits": "yes", "tight": "tight", "no": "no"}
BAR = 54
WIDE = 90
"""Columns of the terminal from which the options' intervals have room."""
PARTS = (
    ("█", "weights", ("weights", "reference")),
    ("▓", "adapter, gradients, optimizer", ("adapter", "gradients", "optimizer")),
    ("▒", "activations, logits, workspace", ("activations", "logits", "workspace")),
    ("░", "context, allocator", ("context", "slack")),
)
"""What the memory bar tells apart: by shape, so that it reads without colours."""


def show(plan: Plan, estimate: Estimate, recipe: Recipe, shape: ModelShape, profile: DataProfile | None) -> None:
    """Print `plan` for a person; `estimate` is that of `recipe`, the recommendation filled in."""
    console = Console(highlight=False, soft_wrap=False)
    rows = f", {count(profile.rows)} rows" if profile else ""
    console.print(Text(plain(f"{shape.name} ({count(shape.parameters)} parameters){rows} on {plan.device}"), "bold"))
    console.print(f"{gib(plan.budget_bytes)} free, {gib(plan.reserve_bytes)} of it kept in reserve\n")
    console.print(options_table(plan, recipe, wide=console.width >= WIDE))
    for option in plan.rejected:
        console.print(Text(plain(f"{option.title}: {option.verdict.text}")))
        if option.verdict.changes:
            console.print(Padding(Text(changes_text(option.verdict)), (0, 0, 0, 2)))
    console.print()
    console.print(Text(plain(estimate.verdict.text), "bold"))
    if estimate.verdict.changes:
        console.print(Padding(Text(changes_text(estimate.verdict)), (0, 0, 0, 2)))
    console.print(Text(memory_bar(estimate.memory, plan.budget_bytes)))
    for line in legend(estimate.memory):
        console.print(Text(line))
    console.print(Text(" ".join((f"Peak: {estimate.memory.phase}.", *estimate.memory.notes))))
    time = estimate.time
    console.print(Text(plain(
        f"{time.steps:,} steps of {clock(time.step_seconds)}, {clock(time.total_seconds)} in all "
        f"({clock(time.low_seconds)} to {clock(time.high_seconds)}); {gib(estimate.disk_bytes)} of disk."
    )))
    if costs := said(time):
        console.print(Text(f"Cost: {costs}."))
    what, _, rest = time.source.partition(" (https://")
    address, _, after = rest.partition(")")
    console.print(Text(plain(f"Rate: {what}{after}.")))
    if address:
        # On a line of its own and left to the terminal to wrap, so that it can still be opened.
        console.print(Text(plain(f"  https://{address}")), soft_wrap=True)
    console.print()
    console.print(choices_table(plan.choices))
    if plan.advice:
        console.print("\nSet by you; the rules would say:")
        console.print(choices_table(plan.advice))
    for risk in plan.risks:
        console.print(Text(plain(f"Risk: {risk.path}: {risk.text} {risk.hint}")))
    for note in plan.notes:
        console.print(Text(plain(f"Note: {note}")))


def options_table(plan: Plan, recipe: Recipe, *, wide: bool = True) -> Table:
    """Every option, the recommendation first and marked; `batch` rows of `length` tokens are its micro-batch, `ckpt`
    says whether gradient checkpointing is on.

    A narrow table leaves out the interval, which the lines below give for the recommendation, and expected quality.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "method", "fits"):
        table.add_column(title, no_wrap=True)
    more = ("from–to",) if wide else ()
    for title in ("memory", *more, "time", "result", "batch", "length", "ckpt", *(("quality",) if wide else ())):
        table.add_column(title, justify="right", no_wrap=True)
    for option in (plan.recommendation, *plan.alternatives, *plan.rejected):
        method, fits, memory, between, *others = _cells(option, recipe)
        cells = (method, fits, memory, *((between,) if wide else ()), *others)
        cells += (f"{option.quality:.3f}",) if wide else ()
        table.add_row("▸" if option is plan.recommendation else "", *cells)
    return table


def _cells(option: Option, recipe: Recipe) -> list[str]:
    memory, settings = option.memory, option.settings
    between = f"{gib(memory.low_bytes).split()[0]}–{gib(memory.high_bytes).split()[0]}"
    return [
        option.title, FITS[option.verdict.fit], gib(memory.process_bytes), between,
        "" if option.verdict.fit == "no" else clock(option.time.total_seconds), gib(option.adapter_bytes),
        str(settings.get("train.micro_batch", recipe.train.micro_batch)),
        str(settings.get("data.max_length", recipe.data.max_length)),
        "on" if settings.get("train.checkpointing", recipe.train.checkpointing) else "off",
    ]


def memory_bar(memory: MemoryEstimate, budget: int) -> str:
    """The expected peak against what is free now; what goes beyond the edge does not fit."""
    whole = max(budget, memory.process_bytes)
    cells = ""
    total = 0
    for mark, _, names in PARTS:
        total += sum(getattr(memory.parts, name) for name in names)
        cells += mark * (round(BAR * total / whole) - len(cells))
    free = round(BAR * budget / whole)
    cells = cells.ljust(free, "·")
    edge = cells[:free] + "│" + cells[free:]
    return f"{edge} {gib(memory.process_bytes)} of {gib(budget)}"


def legend(memory: MemoryEstimate) -> list[str]:
    """One line per mark of the bar, with its parts in figures."""
    lines = []
    for mark, title, names in PARTS:
        if "reference" in names and memory.parts.reference:
            title = "weights, of a second model"
        shown = [name for name in names if name != "reference" or memory.parts.reference]
        figures = " + ".join(gib(getattr(memory.parts, name)) for name in shown)
        lines.append(f"  {mark} {title:31s} {figures}")
    return lines


def choices_table(choices: tuple[Choice, ...]) -> Table:
    """Each value with its reason."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for choice in choices:
        table.add_row(choice.path, _value(choice.value), Text(plain(_reason(choice))))
    return table


def _reason(choice: Choice) -> str:
    """The reason without the value that many begin with: it stands in the column before."""
    head, dash, rest = choice.reason.partition(" — ")
    return rest if dash and len(head) < 30 else choice.reason


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def changes_text(verdict: Verdict) -> str:
    """What would make it fit, a line each: settings with what they save and cost."""
    lead = "All of these together:" if verdict.together else "This would make it fit:"
    if len(verdict.changes) > 1 and not verdict.together:
        lead = "Any one of these would make it fit:"
    each = (f"  {change.path}={change.text} — {change.reason}" for change in verdict.changes)
    return "\n".join([lead, *each])
