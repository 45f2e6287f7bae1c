"""`ChoiceTable`: rows to choose from, in columns that fit the width; only the rows in sight are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from .static import Static

GAP = 2


@dataclass(frozen=True)
class Column:
    """One column: `width` in cells, None for what the others leave; `wide` ones vanish where there is no room."""

    title: str
    width: int | None = None
    right: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Row:
    """One row: `key` is None for a heading, which can't be chosen."""

    key: str | None
    cells: tuple[Content | str, ...] = field(default=())


class ChoiceTable(Vertical):
    """A table whose rows are chosen with enter or a click; it posts `Moved` and `Picked` with the row's key."""

    @dataclass
    class Moved(Message):
        """The cursor stands on another row."""

        table: ChoiceTable
        key: str

        @property
        def control(self) -> ChoiceTable:
            return self.table

    @dataclass
    class Picked(Message):
        """Enter or a click on a row."""

        table: ChoiceTable
        key: str

        @property
        def control(self) -> ChoiceTable:
            return self.table

    def __init__(self, *columns: Column, id: str | None = None, header: bool = True, narrow: int = 90) -> None:
        """`narrow` is the width in cells below which the `wide` columns are left out."""
        super().__init__(id=id)
        self._columns, self._header, self._narrow = columns, header, narrow
        self._rows: Sequence[Row] = ()

    def compose(self) -> ComposeResult:
        if self._header:
            yield Static(classes="header")
        yield OptionList(compact=True, markup=False)

    @property
    def options(self) -> OptionList:
        """The list inside, which has the focus."""
        return self.query_one(OptionList)

    @property
    def key(self) -> str | None:
        """The key of the row under the cursor."""
        option = self.options.highlighted_option
        return option.id if option else None

    @property
    def keys(self) -> list[str]:
        """The keys of the rows that can be chosen, in order."""
        return [row.key for row in self._rows if row.key is not None]

    def focus(self, scroll_visible: bool = True) -> ChoiceTable:
        self.options.focus(scroll_visible)
        return self

    def show(self, rows: Sequence[Row], at: str | None = None) -> None:
        """Show `rows`; the cursor goes to the key `at`, else stays on its row, else goes to the first."""
        at = at or self.key
        same = [row.key for row in rows] == [row.key for row in self._rows]
        self._rows = rows
        if same and self.options.option_count == len(rows):
            self._draw()
        else:
            self.options.set_options(Option("", id=row.key, disabled=row.key is None) for row in rows)
            self._draw()
        if at in self.keys:
            self.move(at)
        elif self.options.highlighted is None and self.keys:
            self.move(self.keys[0])

    def move(self, key: str) -> None:
        """Put the cursor on the row `key`."""
        self.options.highlighted = self.options.get_option_index(key)

    @on(Resize)
    def _draw(self) -> None:
        width = self.size.width
        if not width:
            return
        columns = [(at, c) for at, c in enumerate(self._columns) if not (c.wide and width < self._narrow)]
        fixed = sum(c.width for _, c in columns if c.width is not None) + GAP * (len(columns) - 1)
        loose = [at for at, c in columns if c.width is None]
        # One cell on the right is the scrollbar's.
        share = max((width - 1 - fixed) // len(loose), 4) if loose else 0
        if self._header:
            titles = Row("", tuple(c.title for c in self._columns))
            self.query_one(".header", Static).update(self._line(titles, columns, share).stylize("dim"))
        for at, row in enumerate(self._rows):
            line = self._line(row, columns, share) if row.key is not None else self._heading(row, width - 1)
            self.options.replace_option_prompt_at_index(at, line)

    def _line(self, row: Row, columns: Sequence[tuple[int, Column]], share: int) -> Content:
        cells = []
        for at, column in columns:
            cell = row.cells[at] if at < len(row.cells) else ""
            content = cell if isinstance(cell, Content) else Content(cell)
            width = share if column.width is None else column.width
            content = content.truncate(width, ellipsis=True)
            short = width - content.cell_length
            cells.append(content.pad_left(short) if column.right else content.pad_right(short))
        return Content(" " * GAP).join(cells)

    @staticmethod
    def _heading(row: Row, width: int) -> Content:
        content = row.cells[0] if row.cells else ""
        if not isinstance(content, Content):
            content = Content.styled(content, "bold $text-primary")
        return content.truncate(width, ellipsis=True)

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Moved(self, event.option_id))

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Picked(self, event.option_id))
