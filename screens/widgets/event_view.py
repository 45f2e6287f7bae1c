"""`EventView`: what happened besides the numbers, oldest first, following the newest."""

from __future__ import annotations

import time

from rich.text import Text
from textual.widgets import RichLog

from ..monitor_picture import KEPT_LINES, Line, Picture

SIGNS = {"info": "·", "good": "✓", "warning": "!", "error": "✗"}
TONES = {"info": "", "good": "text-success", "warning": "text-warning", "error": "text-error"}


class EventView(RichLog):
    """Only lines that are new are rendered; a tone is a sign as well as a colour."""

    DEFAULT_CSS = "EventView { height: 1fr; padding: 0 1; background: transparent; scrollbar-size-vertical: 1; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, wrap=True, max_lines=KEPT_LINES, min_width=20)
        self._seen = 0

    def show(self, picture: Picture) -> None:
        """Append the lines that came since the last time."""
        new = min(picture.taken_lines - self._seen, len(picture.lines))
        self._seen = picture.taken_lines
        follow = self.scroll_offset.y >= self.max_scroll_y
        for line in list(picture.lines)[len(picture.lines) - new :] if new else ():
            self.write(self._text(line), scroll_end=follow)

    def _text(self, line: Line) -> Text:
        variables = self.app.theme_variables
        colour = variables.get(TONES[line.tone], "") if TONES[line.tone] else ""
        tone = colour if colour.startswith("#") and not self.app.native_ansi_color else ""
        step = f"{line.step:>7,} " if line.step is not None else " " * 8
        text = Text.assemble(
            (time.strftime("%H:%M:%S ", time.localtime(line.time)), "dim"), (step, "dim"),
            (SIGNS[line.tone] + " ", f"bold {tone}"), (f"{line.kind:<11}", "dim"), (line.text, tone),
        )
        if line.hint:
            text.append(f"\n{' ' * 19}→ {line.hint}", "italic")
        return text
