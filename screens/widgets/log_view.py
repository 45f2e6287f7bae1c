"""`LogView`: the end of the worker's log, following it unless one has scrolled up."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ..monitor_tail import Tail


class LogView(ScrollView, can_focus=True):
    """Draws only the lines in sight, so that its cost doesn't depend on the log's length."""

    DEFAULT_CSS = """
    LogView { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[str] = []

    def show(self, tail: Tail) -> None:
        """Draw the tail as it stands now."""
        follow = self.scroll_offset.y >= self.max_scroll_y
        self._lines = [*tail.lines, tail.partial] if tail.partial else list(tail.lines)
        if tail.skipped:
            self._lines.insert(0, f"… {tail.skipped:,} bytes before this are in {tail.path}")
        if not self._lines:
            self._lines = ["The worker has written nothing yet."]
        self.virtual_size = Size(max(map(cell_len, self._lines)), len(self._lines))
        if follow:
            self.call_after_refresh(self.scroll_end, animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        row = top + y
        text = self._lines[row] if row < len(self._lines) else ""
        width = self.scrollable_content_region.width
        return Strip([Segment(text, self.rich_style)]).crop_extend(left, left + width, self.rich_style)
