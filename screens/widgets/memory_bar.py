"""`MemoryBar`: the predicted peak by part, held against what is free."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ftui.planner.document import MemoryEstimate
from ftui.timeline import MARKS, OTHER, parts_of
from ftui.units import gib

from .badge import trusted, unit_of

COLOURS = {
    "weights": "$primary", "adapter": "$success", "gradients": "$warning", "optimizer": "$error",
    "activations": "$accent", "logits": "$secondary", "workspace": "$text-primary", "context": "dim", "slack": "dim",
}
"""A part without a line here is drawn in the text's colour."""
GAP = "  "


class MemoryBar(Widget):
    """A bar with a mark where the room for the run ends; below it the peak, unless it is said elsewhere, and a legend.

    The legend takes what height there is: parts for which there is no room are summed up.
    """

    memory: reactive[MemoryEstimate | None] = reactive(None)
    budget_bytes: reactive[int] = reactive(0)
    reserve_bytes: reactive[int] = reactive(0)

    def __init__(self, *, peak: bool = True) -> None:
        """`peak` says whether the expected peak with its badge and interval stands below the bar."""
        super().__init__()
        self._peak = peak

    def show(self, memory: MemoryEstimate | None, budget_bytes: int, reserve_bytes: int = 0) -> None:
        """Show `memory` against `budget_bytes` of free memory, of which `reserve_bytes` are kept free."""
        self.memory, self.budget_bytes, self.reserve_bytes = memory, budget_bytes, reserve_bytes

    def render(self) -> RenderResult:
        if self.memory is None or not self.budget_bytes:
            return Content("The memory appears here once the model and the data are known.").stylize("dim")
        lines = [self._bar(self.memory)]
        if self._peak:
            lines.append(Content(GAP).join([trusted(self.memory), self._limit()]))
        return Content("\n").join([*lines, *self._legend(self.memory, self.size.height - len(lines))])

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

    def _limit(self) -> Content:
        free, kept = self.budget_bytes, self.reserve_bytes
        return Content.assemble(
            ("┃", "bold"), " ", (gib(free - kept), "bold"), (f": {gib(free)} free less reserve", "dim")
        )

    def _legend(self, memory: MemoryEstimate, height: int) -> list[Content]:
        # One unit for all, which the peak names: a legend of eight is read faster so.
        total = memory.process_bytes
        unit, _, digits = unit_of(memory)
        sizes = {name: size for name, size in parts_of(memory.parts).items() if size >= total / 200}
        room = gib(self.budget_bytes - self.reserve_bytes)
        limit = [] if self._peak else [Content.assemble(("┃", "bold"), " limit ", (room, "bold"))]
        unsure = [Content.styled("╌ up to the high end", "dim")] if memory.high_bytes > total else []
        rest, lines = 0, []
        while sizes:
            parts = [
                Content.assemble((MARKS.get(name, OTHER), COLOURS.get(name, "$text")), f" {name} ",
                                 (f"{size / unit:.{digits}f}", "bold"))
                for name, size in sizes.items()
            ]
            others = [Content.assemble("others ", (f"{rest / unit:.{digits}f}", "bold"))] if rest else []
            for more in (unsure, []):
                lines = _wrapped([*limit, *parts, *others, *more], self.size.width)
                if len(lines) <= height:
                    return lines
            rest += sizes.pop(min(sizes, key=lambda name: sizes[name]))
        return lines[: max(height, 0)]


def _wrapped(entries: list[Content], width: int) -> list[Content]:
    """Entries one after the other, on as many lines of this width as they take."""
    lines: list[Content] = []
    for entry in entries:
        joined = lines[-1] + GAP + entry if lines else entry
        if lines and joined.cell_length <= width:
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
