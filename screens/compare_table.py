"""`CompareTable`: what came of each run, and every setting in which their recipes differ, a column for each run."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import DataTable

from ftui.runs.comparing import FACTS, Settings, said, told

from .compare_lanes import Lane
from .widgets.static import Static

ALIKE = "Their recipes say the same; what differs lies in the data's files, the machine, or chance."


class CompareTable(Vertical):
    """Scrolls by the arrow keys; the first column stays."""

    DEFAULT_CSS = """
    CompareTable {
        height: 1fr; padding: 0 1;
        & > DataTable { height: auto; max-height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
        & > Static { height: auto; color: $text-muted; }
    }
    """

    def compose(self) -> ComposeResult:
        yield DataTable(id="grid", cursor_type="none", fixed_columns=1, zebra_stripes=True)
        yield Static(id="notes", markup=False)

    @property
    def grid(self) -> DataTable[Text]:
        """The table itself."""
        return self.query_one(DataTable)

    def fill(self, lanes: Sequence[Lane], settings: Settings) -> None:
        """Make the rows; `refill` brings the numbers up to date."""
        grid = self.grid
        grid.clear(columns=True)
        grid.add_column("", key="what")
        for lane in lanes:
            grid.add_column(Text(f"{lane.letter} {told(lane.label, 20)}"), key=lane.letter)
        for fact, title in FACTS.items():
            grid.add_row(Text(title), *(Text("–", justify="right") for _ in lanes), key=fact)
        for path, values in settings.values.items():
            grid.add_row(Text(path, "bold"), *(Text(told(value), justify="right") for value in values), key=f".{path}")
        notes = [*settings.notes]
        if not settings.values and len(settings.notes) < len(lanes) - 1:
            notes.append(ALIKE)
        notes_line = self.query_one("#notes", Static)
        notes_line.display = bool(notes)
        notes_line.update("\n".join(notes))

    def refill(self, lanes: Sequence[Lane]) -> None:
        """Write what has come of each run by now."""
        if not self.display:
            return
        for lane in lanes:
            for fact, value in lane.facts.items():
                new = Text(said(fact, value), justify="right")
                if self.grid.get_cell(fact, lane.letter).plain != new.plain:
                    self.grid.update_cell(fact, lane.letter, new, update_width=True)
