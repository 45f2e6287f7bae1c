"""`TabLine`: the names of a screen's tabs in one row, each with its digit; Textual's own tabs take two."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget


class TabLine(Widget):
    """A click on a name runs the screen's `tab` action with it."""

    DEFAULT_CSS = "TabLine { height: 1; padding: 0 1; link-style: none; link-style-hover: underline; }"

    def __init__(self, names: Sequence[str], id: str | None = None) -> None:
        super().__init__(id=id)
        self._names = names
        self._active = names[0]
        self._marks: dict[str, str] = {}
        self._note = ""

    def show(self, active: str | None = None, note: str | None = None, marks: dict[str, str] | None = None) -> None:
        """Change the active tab, the note at the right end, or what stands behind a tab's name."""
        new = (active or self._active, self._note if note is None else note, self._marks if marks is None else marks)
        if new != (self._active, self._note, self._marks):
            self._active, self._note, self._marks = new
            self.refresh()

    def render(self) -> RenderResult:
        parts = []
        for number, name in enumerate(self._names, 1):
            style = "bold reverse" if name == self._active else "dim"
            label = Content.from_markup(
                f"[@click=screen.tab('{name}')][{style}] $number $name$mark [/][/]",
                number=str(number), name=name, mark=self._marks.get(name, ""),
            )
            parts.append(label)
        line = Content(" ").join(parts)
        note = Content(self._note).truncate(max(self.size.width - line.cell_length - 2, 0), ellipsis=True)
        gap = " " * max(self.size.width - line.cell_length - note.cell_length, 0)
        return Content.assemble(line, gap, note.stylize("dim"))
