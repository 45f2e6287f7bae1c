"""Text whose height follows its content, also where it changes twice before it is drawn."""

from __future__ import annotations

from textual.visual import VisualType
from textual.widget import Widget
from textual.widgets import Static as TextualStatic


def count_change(widget: Widget) -> None:
    """Count a change of `widget`'s size, by which Textual knows that the size it remembers is an old one.

    Textual 8.2 counts only the first of several between two idles.  Where the page is laid out in between, the size of
    that first one is remembered under the count of the last, and the text keeps the height it had.
    """
    widget._layout_updates += 1


class Static(TextualStatic):
    """Textual's, with each change of its content counted."""

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        """Show `content`; without `layout` its size is known to be the same."""
        super().update(content, layout=layout)
        if layout:
            count_change(self)
