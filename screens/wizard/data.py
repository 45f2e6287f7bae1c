"""The Data step: which file, what it holds, and how one of its rows looks to the model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.widgets import Input

from ftui.data.document import FormatName
from ftui.units import plain

from .. import lookups
from ..background import OneAtATime, Problem, attempt_for
from ..dialogs import MapColumns, Pick
from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.path_input import PathSuggester, near
from ..widgets.static import Static
from .checkup import wanted
from .checkup_words import look_of
from .data_facts import checked, facts, preview_lines
from .findings import Findings
from .state import WizardState
from .step import Assigned, CheckAsked, GoOn, LookAgain, Redrawn, Step, problem_text, said

if TYPE_CHECKING:
    from ftui.models.document import ModelShape
    from ftui.recipe import Recipe

CHECK_AFTER_SECONDS = 0.3
"""So long the step is shown before its data is checked: who only passes by need not wait for a process to start."""


class DataStep(Step):
    """The path above; below it the files that lie near, or, once one was read, what it holds and a row of it, or what
    the check-up found."""

    BINDINGS = [
        Binding("c", "check", "Check-up", tooltip="What would harm a training, and its repairs; and back"),
        Binding("escape", "facts", "Facts", show=False, tooltip="Back to what the data holds"),
        Binding("f", "format", "Format", tooltip="Read the rows as another format"),
        Binding("m", "map", "Columns", tooltip="Say which column plays which role"),
        Binding("n", "row(1)", "Next row", tooltip="Preview the next row"),
        Binding("p", "row(-1)", "Row before", show=False, tooltip="Preview the row before"),
        Binding("r", "again", "Read again", show=False, tooltip="Read the data anew: the file may have changed"),
        Binding("e", "edit", "Path", show=False, tooltip="Change the path"),
        Binding("enter", "go_on", "Go on", show=False, tooltip="Go on to the goal"),
    ]

    def __init__(self, state: WizardState) -> None:
        super().__init__(state)
        self._row = 1
        self._previewed: tuple[Any, ...] = ()
        """What the row that is shown, or on its way, depends on."""
        self._readable = False
        """Whether there is such a row: while all are read, their own reading is to say why not."""
        self._previews = OneAtATime()
        self._checked: object = None
        """What was asked to be checked last."""
        self._checking = False
        """Whether the findings are shown."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="line"):
            yield Static("data", id="label")
            yield Input(
                plain(", ".join(source.path for source in self.state.draft.data.sources)), id="path", compact=True,
                placeholder="a JSON, JSONL, CSV, Parquet or text file, a hub dataset, or demo",
                suggester=PathSuggester(), select_on_focus=False,
            )
        yield Static(classes="said")
        yield ChoiceTable(Column("Data files near here"), Column("", 24), id="near")
        with VerticalScroll(id="facts"):
            yield Static(id="profile")
        with VerticalScroll(id="preview", can_focus=False):
            yield Static(id="row")
        yield Findings(self.state, id="findings")

    def on_mount(self) -> None:
        super().on_mount()
        self._look_near()

    def show(self, state: WizardState) -> None:
        turned = ("data" in self.state.busy) != ("data" in state.busy)
        super().show(state)
        line = said(state, "data")
        self.query_one(".said", Static).update(line or "")
        self.query_one(".said").display = line is not None
        profile = state.profile
        reading, checking = "data" in state.busy, self._checking and bool(state.draft.data.sources)
        self.query_one("#near").display = profile is None and not reading and not checking
        # The first row and what was found so far stand there while the rest is read.
        self.query_one("#facts").display = (profile is not None or reading) and not checking
        self.query_one("#preview").display = (profile is not None or (reading and self._readable)) and not checking
        self.query_one(Findings).display = checking
        self._check_soon()
        if checking:
            self.query_one(Findings).show(state)
        elif profile or reading:
            lines = [*checked(state), *(facts(profile, self.size.width or 78) if profile else ())]
            self.query_one("#profile", Static).update(Content("\n").join(lines))
            self._preview()
        if turned:
            # What there is to do now goes by letters, which the input would take; and what was hidden lost the focus.
            self.set_focus()

    def set_focus(self) -> None:
        if self._checking:
            self.query_one(Findings).focus()
        elif self.state.profile or "data" in self.state.busy:
            self.query_one("#facts").focus()
        elif "data" in self.state.problems:
            self.query_one("#near", ChoiceTable).focus()
        else:
            self.query_one(Input).focus()

    # Choosing a file.

    @work(exclusive=True, group="near")
    async def _look_near(self) -> None:
        found = await attempt_for(self, near, Path.cwd())
        paths = [] if isinstance(found, Problem) else found
        rows = [Row(str(path), (plain(str(path.relative_to(Path.cwd()))), _size(path))) for path in paths]
        rows.append(Row("demo", ("demo", "the bundled rows")))
        self.query_one("#near", ChoiceTable).show(rows)

    @on(ChoiceTable.Picked, "#near")
    def _picked(self, event: ChoiceTable.Picked) -> None:
        self.query_one(Input).value = plain(event.key)
        self._take([event.key])

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        # A name is shown without what would steer the terminal; what was taken already is known by how it is shown.
        known = {plain(source.path): source.path for source in self.state.draft.data.sources}
        self._take([known.get(part.strip(), part.strip()) for part in event.value.split(",") if part.strip()])

    def _take(self, paths: list[str]) -> None:
        """Read these; the same once more goes on."""
        sources = {source.path: source for source in self.state.draft.data.sources}
        if paths == list(sources) and self.state.profile:
            self.post_message(GoOn())
        elif paths:
            self._row = 1
            known = {path: source.model_dump(exclude_unset=True) for path, source in sources.items()}
            self.post_message(Assigned({"data.sources": [known.get(path, {"path": path}) for path in paths]}))

    def on_key(self, event: Key) -> None:
        if event.key == "down" and self.query_one(Input).has_focus:
            event.stop()
            below = self.query_one("#near", ChoiceTable)
            (below.options if below.display else self.query_one("#facts")).focus()

    def action_again(self) -> None:
        self._previewed = ()
        self.post_message(LookAgain("data"))
        self.post_message(CheckAsked(again=True))

    def action_go_on(self) -> None:
        self.post_message(GoOn())

    def action_edit(self) -> None:
        self.query_one(Input).focus()

    # Reading it otherwise.

    def action_format(self) -> None:
        profile = self.state.profile
        if not profile or not profile.sources:
            return
        source = profile.sources[0]
        found = {each.format: f"{each.confidence:.0%}: {each.reason}" for each in source.alternatives}
        values = {"auto": "as detected"} | {name: found.get(name, "") for name in get_args(FormatName)}
        values[source.format] = f"{source.confidence:.0%}, as it is read now"
        self.app.push_screen(Pick(f"Read {plain(source.ref)} as", values, source.format), self._read_as)

    def _read_as(self, name: str | None) -> None:
        if name is not None:
            self._change_source({"format": name, "columns": {}})

    def action_map(self) -> None:
        profile = self.state.profile
        problem = self.state.problems.get("data")
        if not profile and not problem:
            return
        self._map()

    @work(exclusive=True, group="map")
    async def _map(self) -> None:
        from ftui.data.convert import FORMATS

        source = self.state.draft.data.sources[0]
        profiled = self.state.profile.sources[0] if self.state.profile else None
        name = profiled.format if profiled else "prompt-completion" if source.format == "auto" else source.format
        columns = profiled.available_columns if profiled else await attempt_for(self, lookups.columns, source)
        if isinstance(columns, Problem):
            self.query_one(".said", Static).update(problem_text(columns))
            return
        required, optional = FORMATS[name].required, FORMATS[name].optional
        now = dict(profiled.columns if profiled else source.columns)
        roles = {role: now.get(role, "") for role in (*required, *optional)}
        dialog = MapColumns(f"Columns of {plain(source.path)} as {name}", roles, columns, required)
        mapping = await self.app.push_screen_wait(dialog)
        if mapping is not None:
            self._change_source({"format": name, "columns": mapping})

    def _change_source(self, values: dict[str, Any]) -> None:
        first, *others = (source.model_dump(exclude_unset=True) for source in self.state.draft.data.sources)
        self.post_message(Assigned({"data.sources": [first | values, *others]}))

    # The check-up.

    def _check_soon(self) -> None:
        """Have the data checked once what it depends on is known, and again when that changes."""
        draft, shape = self.state.draft, self.state.shape
        asked = wanted(draft, shape, deep=False, against=())
        if draft.data.sources and "model" not in self.state.busy and asked != self._checked:
            self._checked = asked
            self.set_timer(CHECK_AFTER_SECONDS, lambda: self.post_message(CheckAsked()))

    def action_check(self) -> None:
        self._checking = not self._checking
        self.show(self.state)
        self.set_focus()
        self.refresh_bindings()
        self.post_message(Redrawn())

    def action_facts(self) -> None:
        self.action_check()

    # The preview.

    def action_row(self, by: int) -> None:
        if profile := self.state.profile:
            self._row = (self._row - 1 + by) % max(profile.rows, 1) + 1
            self._preview()

    def _preview(self) -> None:
        """Show the row of the number that is wanted, unless it stands there or is on its way."""
        draft, shape = self.state.draft, self.state.shape
        shown = self.state.resolved or draft
        asked = (draft.data, draft.objective, shown.data.max_length, shape.ref if shape else None, self._row)
        if asked != self._previewed:
            self._previewed = asked
            self._read_row(shown, shape)

    @work(exclusive=True, group="preview")
    async def _read_row(self, shown: Recipe, shape: ModelShape | None) -> None:
        found = await attempt_for(self, lookups.preview, shown, self._row, shape)
        self._readable = not isinstance(found, Problem)
        lines = [problem_text(found)] if isinstance(found, Problem) else preview_lines(found)
        self.show(self.state)
        self.query_one("#row", Static).update(Content("\n").join(lines))
        self.query_one("#preview").scroll_home(animate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "facts":
            return self._checking
        if action == "check":
            return bool(self.state.draft.data.sources)
        if self._checking and action in ("format", "map", "row", "again"):
            return False
        if action in ("map", "edit", "again") and "data" in self.state.problems:
            return True
        if action in ("format", "map", "row", "edit", "again", "go_on"):
            return self.state.profile is not None
        return True

    # The frame.

    def next_line(self) -> str:
        if self._checking:
            return "enter takes a repair or gives it back; your files stay as they are."
        if "data" in self.state.busy:
            return "The rows are being read; c shows the check-up so far, ctrl+n goes on meanwhile."
        if self.state.profile:
            return "c shows the check-up, n the next row; f and m read it anew; enter goes on."
        if "data" in self.state.problems:
            return "e changes the path; m says by hand which column plays which part."
        return "Type a path (→ completes) and press enter, or ↓ to choose a file near here."

    def command(self) -> str:
        draft = self.state.draft
        words = ["ftui", "data", "check" if self._checking else "show", *(source.path for source in draft.data.sources)]
        for source in draft.data.sources[:1]:
            words += [] if source.format == "auto" else ["--format", source.format]
            words += [word for role, name in source.columns.items() for word in ("--map", f"{role}={name}")]
        words += ["--model", draft.model.base] if draft.model.base else []
        if self._checking and (look := look_of(self.state)):
            words += ["--deep"] if look.wanted.deep else []
            words += [word for file in look.wanted.against for word in ("--against", file)]
            words += [word for name in self.query_one(Findings).taken for word in ("--repair", name)]
        return shlex.join(words) if draft.data.sources else f"{shlex.join(words)} FILE"

    def term(self) -> str | None:
        return "chat template"


def _size(path: Path) -> str:
    from ftui.units import gib

    try:
        return gib(path.stat().st_size)
    except OSError:
        return "?"
