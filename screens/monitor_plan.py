"""What was planned against what is measured, why each setting is what it is, and the recipe: the fifth tab."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ftui.planner.document import Plan
from ftui.units import clock, gib, plain

from .monitor_axes import short
from .monitor_picture import Picture


def plan_view(plan: Plan | None, recipe_text: str | None, picture: Picture) -> RenderableType:
    """The tab's content; says so where a run was not planned or has no recipe."""
    parts: list[RenderableType] = []
    if plan is None:
        parts.append(Text("This run was not planned.", "dim"))
    else:
        parts += [_comparison(plan, picture), Text(), _parts(plan), Text()]
        if plan.choices:
            parts += [Text("Why these settings", "bold"), _choices(plan), Text()]
    if recipe_text:
        parts += [Text("recipe.yaml", "bold"), Text(plain(recipe_text))]
    return Group(*parts)


def _comparison(plan: Plan, picture: Picture) -> Table:
    memory, time = plan.recommendation.memory, plan.recommendation.time
    measured = picture.measured()
    gpu = picture.peak("gpu_reserved_bytes") is not None
    peak = memory.reserved_bytes if gpu else memory.process_bytes
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("planned and measured", "planned", "interval", "measured", "difference"):
        table.add_column(name, justify="left" if name.startswith("planned and") else "right")
    low, high = (b - memory.process_bytes + peak for b in (memory.low_bytes, memory.high_bytes))
    table.add_row(f"peak memory ({'GPU' if gpu else 'RSS'})", gib(peak), f"{gib(low)} – {gib(high)}",
                  *_against(measured.get("peak"), peak, gib))
    table.add_row("time per step", f"{time.step_seconds:.3g} s", "",
                  *_against(measured.get("step_seconds"), time.step_seconds, lambda seconds: f"{seconds:.3g} s"))
    table.add_row("tokens per second", short(time.tokens_per_second), "",
                  *_against(measured.get("tokens_per_second"), time.tokens_per_second, short))
    whole = picture.elapsed() if picture.end is not None and picture.end.data.get("status") == "finished" else None
    table.add_row("whole time", clock(time.total_seconds), f"{clock(time.low_seconds)} – {clock(time.high_seconds)}",
                  *_against(whole, time.total_seconds, clock))
    return table


def _against(measured: float | None, planned: float, said) -> tuple[str, str]:  # type: ignore[no-untyped-def]
    if measured is None:
        return "not yet", ""
    return said(measured), f"{(measured / planned - 1) * 100:+.0f} %" if planned else ""


def _parts(plan: Plan) -> Text:
    """The expected peak by part, largest first."""
    sizes = plan.recommendation.memory.parts.model_dump()
    named = [f"{name} {gib(size)}" for name, size in sorted(sizes.items(), key=lambda p: -p[1]) if size]
    return Text.assemble(("expected at the peak (", "dim"), (plan.recommendation.memory.phase, "dim"), ("): ", "dim"),
                         (" · ".join(named)))


def _choices(plan: Plan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_header=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for choice in plan.choices:
        table.add_row(Text(choice.path), Text(plain(choice.text)[:24]),
                      Text.assemble(plain(choice.reason), (f"  ({plain(choice.source)})", "dim")))
    return table
