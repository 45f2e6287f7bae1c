"""The Data step: which file, what it holds, and how one of its rows looks to the model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, get_args

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.widgets import Input, Static

from ftui.data.document import FormatName

from .. import lookups
from ..background import Problem, attempt_for
from ..dialogs import MapColumns, Pick
from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.path_input import PathSuggester, near
from .data_facts import facts, preview_lines
from .state import WizardState
from .step import Assigned, GoOn, LookAgain, Step, problem_text, said


class DataStep(Step):
    """The path above; below it the files that lie near, or, once one was read, what it holds and a row of it."""

    BINDINGS = [
        Binding("f", "format", "Format", tooltip="Read the rows as another format"),
        Binding("m", "map", "Columns", tooltip="Say which column plays which role"),
        Binding("n", "row(1)", "Next row", tooltip="Preview the next row"),
        Binding("p", "row(-1)", "Row before", show=False, tooltip="Preview the row before"),
        Binding("r", "again", "Read again", show=False, tooltip="Read the data anew: the file may have changed"),
        Binding("e", "edit", "Path", tooltip="Change the path"),
        Binding("enter", "go_on", "Go on", show=False, tooltip="Go on to the goal"),
    ]

    def __init__(self, state: WizardState) -> None:
        super().__init__(state)
        self._row = 1
        self._previewed: tuple[Any, ...] = ()

    def compose(self) -> ComposeResult:
        with Horizontal(id="line"):
            yield Static("data", id="label")
            yield Input(
                ", ".join(source.path for source in self.state.draft.data.sources), id="path", compact=True,
                placeholder="a JSON, JSONL, CSV, Parquet or text file, a hub dataset, or demo",
                suggester=PathSuggester(), select_on_focus=False,
            )
        yield Static(classes="said")
        yield ChoiceTable(Column("Data files near here"), Column("", 24), id="near")
        with VerticalScroll(id="facts"):
            yield Static(id="profile")
        with VerticalScroll(id="preview", can_focus=False):
            yield Static(id="row")

    def on_mount(self) -> None:
        super().on_mount()
        self._look_near()

    def show(self, state: WizardState) -> None:
        answered = "data" in self.state.busy and "data" not in state.busy
        super().show(state)
        line = said(state, "data")
        self.query_one(".said", Static).update(line or "")
        self.query_one(".said").display = line is not None
        profile = state.profile
        self.query_one("#near").display = profile is None and "data" not in state.busy
        self.query_one("#facts").display = self.query_one("#preview").display = profile is not None
        if profile:
            lines = facts(profile, self.size.width or 78)
            self.query_one("#profile", Static).update(Content("\n").join(lines))
            self._preview()
        if answered and (self.screen.focused is None or self.query_one(Input).has_focus):
            # What there is to do now goes by letters, which the input would take; and a page that is read anew was
            # hidden meanwhile and has lost the focus.
            self.set_focus()

    def set_focus(self) -> None:
        if self.state.profile:
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
        rows = [Row(str(path), (str(path.relative_to(Path.cwd())), _size(path))) for path in paths]
        rows.append(Row("demo", ("demo", "the bundled rows")))
        self.query_one("#near", ChoiceTable).show(rows)

    @on(ChoiceTable.Picked, "#near")
    def _picked(self, event: ChoiceTable.Picked) -> None:
        self.query_one(Input).value = event.key
        self._take(event.key)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self._take(event.value)

    def _take(self, text: str) -> None:
        """Read what `text` names; the same once more goes on."""
        paths = [part.strip() for part in text.split(",") if part.strip()]
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
        self.post_message(LookAgain("data"))

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
        self.app.push_screen(Pick(f"Read {source.ref} as", values, source.format), self._read_as)

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
        dialog = MapColumns(f"Columns of {source.path} as {name}", roles, columns, required)
        mapping = await self.app.push_screen_wait(dialog)
        if mapping is not None:
            self._change_source({"format": name, "columns": mapping})

    def _change_source(self, values: dict[str, Any]) -> None:
        first, *others = (source.model_dump(exclude_unset=True) for source in self.state.draft.data.sources)
        self.post_message(Assigned({"data.sources": [first | values, *others]}))

    # The preview.

    def action_row(self, by: int) -> None:
        if profile := self.state.profile:
            self._row = (self._row - 1 + by) % max(profile.rows, 1) + 1
            self._preview()

    @work(exclusive=True, group="preview")
    async def _preview(self) -> None:
        draft, shape = self.state.draft, self.state.shape
        wanted = (draft.data, draft.objective, shape.ref if shape else None, self._row)
        if wanted == self._previewed:
            return
        found = await attempt_for(self, lookups.preview, self.state.resolved or draft, self._row, shape)
        self._previewed = wanted
        lines = [problem_text(found)] if isinstance(found, Problem) else preview_lines(found)
        self.query_one("#row", Static).update(Content("\n").join(lines))
        self.query_one("#preview").scroll_home(animate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("map", "edit", "again") and "data" in self.state.problems:
            return True
        if action in ("format", "map", "row", "edit", "again", "go_on"):
            return self.state.profile is not None
        return True

    # The frame.

    def next_line(self) -> str:
        if "data" in self.state.busy:
            return "The rows are being read; you may go on meanwhile with ctrl+n."
        if self.state.profile:
            return "n shows the next row, f and m read it otherwise; enter goes on."
        if "data" in self.state.problems:
            return "e changes the path; m says by hand which column plays which part."
        return "Type a path (→ completes) and press enter, or ↓ to choose a file near here."

    def command(self) -> str:
        draft = self.state.draft
        words = ["ftui", "data", "show", *(source.path for source in draft.data.sources)]
        for source in draft.data.sources[:1]:
            words += [] if source.format == "auto" else ["--format", source.format]
            words += [word for role, name in source.columns.items() for word in ("--map", f"{role}={name}")]
        words += ["--model", draft.model.base] if draft.model.base else []
        return shlex.join(words) if draft.data.sources else f"{shlex.join(words)} FILE"

    def term(self) -> str | None:
        return "chat template"


def _size(path: Path) -> str:
    from ftui.units import gib

    try:
        return gib(path.stat().st_size)
    except OSError:
        return "?"
