"""The Data step's findings: what would harm a training, where it stands, why it matters, and a key that mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content

from ftui.data.document import Finding
from ftui.units import count, plain

from ..dialogs import Ask
from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.static import Static
from .checkup_words import SIGNS, how_far, look_of, repair_line
from .state import WizardState
from .step import Assigned, CheckAsked, CheckStopped

_IN_RECIPE = "recipe:"
"""Begins the keys of repairs that no finding offers."""


class Findings(Vertical):
    """Errors first; below the list what the one under the cursor means.  What is taken goes into the draft's recipe."""

    BINDINGS = [
        Binding("space", "repair", "Repair", key_display="enter", tooltip="Take this repair, or take it back"),
        Binding("a", "all", "All", tooltip="Take the repairs of all errors and warnings, or take them back"),
        Binding("d", "deep", "Deeper", tooltip="Look for near copies, leaks, personal data and secrets as well"),
        Binding("b", "against", "Test file", tooltip="Look for rows that stand in a test file or benchmark"),
        Binding("x", "stop", "Stop", tooltip="End the check-up; what it has found stays"),
        Binding("r", "again", "Again", show=False, tooltip="Look through the data once more"),
    ]

    def __init__(self, state: WizardState, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state = state

    def compose(self) -> ComposeResult:
        yield Static(id="how-far")
        yield ChoiceTable(
            Column("", 1), Column("Found"), Column("Name", 18, wide=True), Column("Rows", 9, right=True, wide=True),
            Column("Repair", 26), id="found", header=False,
        )  # fmt: skip
        with VerticalScroll(id="about", can_focus=False):
            yield Static(id="meaning")

    def on_mount(self) -> None:
        self.show(self._state)

    def focus(self, scroll_visible: bool = True) -> Findings:
        self.query_one(ChoiceTable).focus(scroll_visible)
        return self

    def show(self, state: WizardState) -> None:
        """Draw the findings of `state` with the repairs that its recipe holds."""
        self._state = state
        self.query_one("#how-far", Static).update(Content("\n").join(how_far(state)))
        self.query_one(ChoiceTable).show([*self._rows(), *self._others()])
        self._explain()
        self.refresh_bindings()

    @property
    def _findings(self) -> Sequence[tuple[str, Finding]]:
        """Each finding with a key that stays while more are found."""
        seen: Counter[str] = Counter()
        found = []
        for finding in look.findings if (look := look_of(self._state)) else ():
            seen[finding.name] += 1
            found.append((f"{finding.name}/{seen[finding.name]}", finding))
        return found

    @property
    def taken(self) -> list[str]:
        """The names of the findings whose repairs the recipe holds."""
        from ftui.data.choosing import holds

        entries = self._state.draft.data.prepare
        return [finding.name for _, finding in self._findings if finding.repair and holds(entries, finding.repair)]

    def _rows(self) -> list[Row]:
        rows = []
        for key, finding in self._findings:
            sign, style = SIGNS[finding.severity]
            rows.append(
                Row(key, (Content.styled(sign, style), plain(finding.text), finding.name, count(finding.count),
                          self._box(finding.repair)))
            )  # fmt: skip
        return rows

    def _others(self) -> list[Row]:
        """The recipe's repairs that stand beside no finding: each can be taken out here, too."""
        from ftui.data.choosing import holds

        offered = [finding.repair for _, finding in self._findings if finding.repair]
        others = [
            Row(f"{_IN_RECIPE}{at}", ("", Content.styled(plain(repair_line(entry)), "dim"), "", "", self._box(entry)))
            for at, entry in enumerate(self._state.draft.data.prepare) if not holds(offered, entry)
        ]  # fmt: skip
        return [Row(None, ("Also in the recipe",)), *others] if others else []

    def _box(self, repair: dict[str, object] | None) -> Content:
        from ftui.data.choosing import holds

        if repair is None:
            return Content.styled("by hand", "dim")
        taken = holds(self._state.draft.data.prepare, repair)
        return Content.styled(f"[{'x' if taken else ' '}] {next(iter(repair))}", "$text-success" if taken else "")

    @on(ChoiceTable.Moved)
    def _explain(self) -> None:
        lines = self._about(self.query_one(ChoiceTable).key)
        self.query_one("#meaning", Static).update(Content("\n").join(lines))

    def _about(self, key: str | None) -> list[Content]:
        from ftui.data.choosing import holds
        from ftui.data.repairs import REPAIRS

        finding = dict(self._findings).get(key or "")
        if finding is None:
            entry = self._entry(key)
            return [Content(REPAIRS[next(iter(entry))].help)] if entry else []
        _, style = SIGNS[finding.severity]
        lines = [
            Content.assemble((finding.severity, style), "  ", (plain(finding.text), "bold")),
            Content(f"{plain(finding.why)} {plain(finding.hint)}"),
        ]
        if finding.repair:
            name = next(iter(finding.repair))
            taken = holds(self._state.draft.data.prepare, finding.repair)
            doing = "taken; enter takes it back" if taken else "enter takes it"
            mends = f"{name} ({doing}): {REPAIRS[name].help}"
        else:
            mends = "none: the file is to be changed by hand, or another setting chosen"
        lines.append(Content.assemble(("repair  ", "dim"), Content(mends)))
        several = len({example.source for example in finding.examples}) > 1
        for example in finding.examples:
            where = f"line {count(example.line)}" + (f" of {plain(example.source)}" if several else "")
            lines.append(Content.assemble((f"{where}  ", "dim"), Content(plain(example.reason).replace("\n", " "))))
        return lines

    # What can be done.

    def _entry(self, key: str | None) -> dict[str, object] | None:
        """The repair of the row with this key."""
        if key is None:
            return None
        if key.startswith(_IN_RECIPE):
            entries, at = self._state.draft.data.prepare, int(key.removeprefix(_IN_RECIPE))
            return entries[at] if at < len(entries) else None
        finding = dict(self._findings).get(key)
        return finding.repair if finding else None

    @on(ChoiceTable.Picked)
    def action_repair(self) -> None:
        from ftui.data.choosing import added, holds, removed

        if entry := self._entry(self.query_one(ChoiceTable).key):
            now = self._state.draft.data.prepare
            self._take(removed(now, entry) if holds(now, entry) else added(now, entry))

    def action_all(self) -> None:
        from ftui.data.choosing import added, advised, holds, removed

        now, wanted = self._state.draft.data.prepare, advised(finding for _, finding in self._findings)
        self._take(removed(now, *wanted) if all(holds(now, each) for each in wanted) else added(now, *wanted))

    def _take(self, entries: tuple[dict[str, object], ...]) -> None:
        self.post_message(Assigned({"data.prepare": list(entries)}))

    def action_deep(self) -> None:
        self.post_message(CheckAsked(deep=True))

    @work(exclusive=True, group="against")
    async def action_against(self) -> None:
        hint = "A JSON, JSONL, CSV, Parquet or text file whose rows may not stand in the training data."
        file = await self.app.push_screen_wait(Ask("Compare with which test file?", hint=hint, paths=True))
        if file and file.strip():
            self.post_message(CheckAsked(against=file.strip()))

    def action_stop(self) -> None:
        self.post_message(CheckStopped())

    def action_again(self) -> None:
        self.post_message(CheckAsked(again=True))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        look = look_of(self._state)
        if action == "stop":
            return look is not None and look.running
        if action == "deep":
            return look is None or not look.wanted.deep
        if action == "all":
            return any(finding.repair and finding.severity != "note" for _, finding in self._findings)
        return True
