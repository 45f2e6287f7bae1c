"""`MemoryBar`: the predicted peak by part, held against what is free."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ftui.planner.document import Badge, MemoryEstimate
from ftui.timeline import MARKS, OTHER, parts_of
from ftui.units import GiB, MiB, gib

COLOURS = {
    "weights": "$primary", "adapter": "$success", "gradients": "$warning", "optimizer": "$error",
    "activations": "$accent", "logits": "$secondary", "workspace": "$text-primary", "context": "dim", "slack": "dim",
}
"""A part without a line here is drawn in the text's colour."""
BADGES: dict[Badge, tuple[str, str]] = {
    "estimate": ("≈ estimate", "dim"), "traced": ("◆ traced", "$text-accent"),
    "measured": ("✔ measured", "$text-success"),
}
"""How far a number can be trusted: a formula, the step itself without a GPU, the device's own word."""


class MemoryBar(Widget):
    """One line of bar with a mark where the free memory ends, and a legend of one or two lines below."""

    memory: reactive[MemoryEstimate | None] = reactive(None)
    budget_bytes: reactive[int] = reactive(0)
    reserve_bytes: reactive[int] = reactive(0)

    def show(self, memory: MemoryEstimate | None, budget_bytes: int, reserve_bytes: int = 0) -> None:
        """Show `memory` against `budget_bytes` of free memory, of which `reserve_bytes` are kept free."""
        self.memory, self.budget_bytes, self.reserve_bytes = memory, budget_bytes, reserve_bytes

    def render(self) -> RenderResult:
        if self.memory is None or not self.budget_bytes:
            return Content("The memory appears here once the model and the data are known.").stylize("dim")
        return Content("\n").join([self._bar(self.memory), *self._legend(self.memory)])

    def _bar(self, memory: MemoryEstimate) -> Content:
        width = max(self.size.width - 1, 10)
        # The scale ends at whichever is larger, so that an overflow shows beyond the mark.
        scale = width / max(self.budget_bytes, memory.high_bytes, 1)
        limit = min(round((self.budget_bytes - self.reserve_bytes) * scale), width)
        cells: list[tuple[str, str]] = []
        reached = 0.0
        for name, size in parts_of(memory.parts).items():
            reached += size * scale
            cells += [(MARKS.get(name, OTHER), COLOURS.get(name, "$text"))] * (min(round(reached), width) - len(cells))
        unsure = min(round(memory.high_bytes * scale), width) - len(cells)
        cells += [("╌", "dim")] * unsure
        cells += [("·", "dim")] * (width - len(cells))
        cells.insert(limit, ("┃", "bold $error" if memory.high_bytes * scale > limit else "bold $text"))
        return Content.assemble(*_runs(cells))

    def _legend(self, memory: MemoryEstimate) -> list[Content]:
        total = memory.process_bytes
        # One unit for all, said once: a legend of eight is read faster so.
        unit, name_of_unit, digits = (GiB, "GiB", 1) if total >= GiB else (MiB, "MiB", 0)
        entries = [
            Content.assemble(
                (MARKS.get(name, OTHER), COLOURS.get(name, "$text")), f" {name} ", (f"{size / unit:.{digits}f}", "bold")
            )
            for name, size in parts_of(memory.parts).items()
            if size >= total / 200
        ]
        entries.append(Content.assemble(("┃", "bold"), " free ", (gib(self.budget_bytes), "bold")))
        low, high = memory.low_bytes / unit, memory.high_bytes / unit
        sure = Content.assemble(
            BADGES[memory.badge], " ", (f"{total / unit:.{digits}f}", "bold"),
            (f" ({low:.{digits}f}–{high:.{digits}f}) {name_of_unit}", "dim"),
        )
        lines, width = [sure], self.size.width
        for entry in entries:
            joined = lines[-1] + "  " + entry
            if joined.cell_length <= width:
                lines[-1] = joined
            else:
                lines.append(entry)
        return lines


def _runs(cells: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbours of one style joined, so that a line of a hundred cells is a handful of spans."""
    runs: list[tuple[str, str]] = []
    for character, style in cells:
        if runs and runs[-1][1] == style:
            runs[-1] = (runs[-1][0] + character, style)
        else:
            runs.append((character, style))
    return runs
