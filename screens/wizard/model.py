"""The Model step: a base model from the catalogue, the hub, a folder, or the embedded one, with its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Key
from textual.widgets import Input

from ftui.models.document import ModelShape
from ftui.units import count, gib, plain

from .. import lookups
from ..background import Problem, attempt_for
from ..widgets.choice_table import ChoiceTable, Column, Row
from ..widgets.static import Static
from .catalogue_fit import NOT_YET, Judged, judge, suggested
from .state import WizardState
from .step import Assigned, GoOn, LookAgain, Step, problem_text, said

if TYPE_CHECKING:
    from ftui.models import Entry, Found

DEMO = "demo"


class ModelStep(Step):
    """Typing filters the list; enter takes the row under the cursor, or what was typed when it names something else."""

    BINDINGS = [
        Binding("ctrl+f", "search", "Search the hub", tooltip="Look for what was typed on the Hugging Face hub"),
        Binding("ctrl+r", "code", "Its code", tooltip="The code that the model brings along, and whether it may run"),
        Binding("ctrl+t", "login", "Log in", show=False, tooltip="Log in to the hub for gated models"),
    ]

    def __init__(self, state: WizardState) -> None:
        super().__init__(state)
        self._catalogue: tuple[Entry, ...] = ()
        self._found: list[Found] = []
        self._judged: dict[str, Judged] = {}

    def compose(self) -> ComposeResult:
        with Horizontal(id="line"):
            yield Static("model", id="label")
            yield Input(
                self.state.draft.model.base, id="ref", compact=True, select_on_focus=True,
                placeholder="type to filter; or a hub id such as Qwen/Qwen3-8B, or a folder",
            )
        yield ChoiceTable(
            Column("", 1), Column("Base model"), Column("Size", 6, right=True), Column("Fits here by", 17),
            Column("Licence", 13), Column("Good at", 30, wide=True), id="models", narrow=100,
        )
        yield Static(classes="said")
        yield Static(id="facts")

    def on_mount(self) -> None:
        super().on_mount()
        self._read_catalogue()

    def show(self, state: WizardState) -> None:
        machine_changed = state.hardware != self.state.hardware
        super().show(state)
        line = said(state, "model")
        self.query_one(".said", Static).update(line or "")
        self.query_one(".said").display = line is not None
        lines = facts(state.shape, state.draft.model.trust_code) if state.shape else []
        self.query_one("#facts", Static).update(Content("\n").join(lines))
        self.refresh_bindings()
        self._draw()
        if state.shape and state.shape.remote_code and state.draft.model.trust_code is None:
            self._recall()
        if machine_changed:
            self._judge()

    def set_focus(self) -> None:
        self.query_one(Input).focus()

    # The list.

    @work(exclusive=True, group="catalogue")
    async def _read_catalogue(self) -> None:
        found = await attempt_for(self, lookups.catalogue)
        if not isinstance(found, Problem):
            self._catalogue = found
            self._draw()
            self._judge()

    @work(exclusive=True, group="fits")
    async def _judge(self) -> None:
        """Ask the planner about each entry; the whole list takes it about a second."""
        if self.state.hardware is None:
            return
        self._judged.clear()
        for entry in self._catalogue:
            judged = await attempt_for(self, judge, self.state.hardware, entry, self.state.draft)
            self._judged[entry.id] = NOT_YET if isinstance(judged, Problem) else judged
        self._draw()
        best = self._suggested()
        if best and not self.state.draft.model.base and not self.query_one(Input).value:
            self.query_one(ChoiceTable).move(best)

    def _draw(self) -> None:
        typed = self.query_one(Input).value.strip().lower()
        base = self.state.draft.model.base
        words = [] if typed == base.lower() else typed.split()
        best = self._suggested()
        rows = []
        if not words or all(word in "demo embedded tiny" for word in words):
            rows.append(self._row(DEMO, "demo: the embedded tiny model", "1 M", "any machine", "–", "trying ftui out"))
        entries = [
            entry for entry in self._catalogue
            if all(word in f"{entry.id} {entry.title} {entry.good_at}".lower() for word in words)
        ]
        first = [entry for entry in entries if entry.id == best]
        if first:
            task = self.state.draft.goal.task
            rows += [Row(None, (f"Suggested for your goal ({task})",)), self._entry_row(first[0])]
            rows.append(Row(None, ("Others, smallest first",)))
        rows += [self._entry_row(entry) for entry in entries if entry not in first]
        if self._found:
            rows.append(Row(None, ("On the hub",)))
            rows += [self._row(f"hub:{each.id}", plain(each.id), "", "", "", _popularity(each)) for each in self._found]
        self.query_one(ChoiceTable).show(rows)

    def _suggested(self) -> str | None:
        return suggested(self._catalogue, self._judged, self.state.draft.goal.task)

    def _entry_row(self, entry: Entry) -> Row:
        licence = f"{'gated, ' if entry.gated else ''}{entry.licence}"
        fits = self._judged[entry.id].words if entry.id in self._judged else "…"
        return self._row(entry.id, entry.id, count(entry.shape.parameters), fits, licence, entry.good_at)

    def _row(self, key: str, title: str, size: str, fits: str, licence: str, good_at: str) -> Row:
        chosen = key.removeprefix("hub:") == self.state.draft.model.base
        style = "$text-error" if fits == "none" else "$text-success" if fits not in ("…", "?") else "dim"
        return Row(key, ("●" if chosen else " ", title, size, Content.styled(fits, style), licence, good_at))

    # Choosing.

    @on(Input.Changed)
    def _typed(self) -> None:
        self._draw()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        table = self.query_one(ChoiceTable)
        named = text in table.keys or "/" in text or text.startswith((".", "~")) or not table.keys
        self._take(text if named else table.key or text)

    @on(ChoiceTable.Picked)
    def _picked(self, event: ChoiceTable.Picked) -> None:
        self._take(event.key.removeprefix("hub:"))

    def _take(self, ref: str) -> None:
        """Look at `ref`; the same once more goes on."""
        if not ref:
            return
        if ref == self.state.draft.model.base and self.state.shape:
            self.post_message(GoOn())
            return
        with self.query_one(Input).prevent(Input.Changed):
            self.query_one(Input).value = ref
        anew = {"model.trust_code": None, "model.revision": None} if self.state.draft.model.trust_code else {}
        self.post_message(Assigned({"model.base": ref, **anew}))

    def on_key(self, event: Key) -> None:
        if event.key == "down" and self.query_one(Input).has_focus:
            event.stop()
            self.query_one(ChoiceTable).focus()

    @work(exclusive=True, group="search")
    async def action_search(self) -> None:
        line = self.query_one(".said", Static)
        line.display = True
        line.update("… asking the hub")
        found = await attempt_for(self, lookups.search, self.query_one(Input).value.strip(), 12)
        if isinstance(found, Problem):
            line.update(problem_text(found))
            return
        self._found = list(found)
        line.update("" if found else "The hub knows no such model.")
        self._draw()
        self.query_one(ChoiceTable).focus()

    def action_login(self) -> None:
        from ..login import LoginDialog

        self.app.push_screen(LoginDialog(), self._logged_in)

    def _logged_in(self, done: bool | None) -> None:
        if done:
            self.post_message(LookAgain("model"))

    # The code that it may bring along.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "code" or (self.state.shape is not None and self.state.shape.remote_code)

    def action_code(self) -> None:
        from ..consent import ConsentScreen

        model, shape = self.state.draft.model, self.state.shape
        if shape is not None:
            self.app.push_screen(ConsentScreen(model.base, model.revision or shape.revision), self._agreed)

    def _agreed(self, hash: str | None) -> None:
        if hash is not None:
            commit = {} if hash.startswith("sha256:") else {"model.revision": hash}
            self.post_message(Assigned({"model.trust_code": hash, **commit}))

    @work(exclusive=True, group="code")
    async def _recall(self) -> None:
        """Take over a consent that was given before."""
        draft, shape = self.state.draft, self.state.shape
        if shape is None:
            return
        found = await attempt_for(self, lookups.agreed_code, draft, shape)
        if not isinstance(found, Problem) and found.model.trust_code and self.state.draft == draft:
            self._agreed(found.model.trust_code)

    # The frame.

    def next_line(self) -> str:
        if self.state.shape and self.state.shape.remote_code and not self.state.draft.model.trust_code:
            return "It needs Python code of its own to run: ctrl+r shows it, and asks."
        if "gated" in (problem.what if (problem := self.state.problems.get("model")) else ""):
            return "ctrl+t logs in to the hub, once its page has given you access."
        if self.state.shape and self.state.shape.gated and not self.state.shape.path:
            return "Its licence must be accepted on the hub; ctrl+t logs in, enter goes on."
        if self.state.shape:
            return "Enter once more, or ctrl+n, goes on to the data."
        return "Type to filter, ↓ to move, enter to take; ctrl+f searches the hub."

    def command(self) -> str:
        base = self.state.draft.model.base
        return f"ftui models show {base}" if base else "ftui models search"

    def term(self) -> str | None:
        return "base model"


def _popularity(found: Found) -> str:
    return f"{count(found.downloads)} downloads" if found.downloads is not None else found.reason or ""


def facts(shape: ModelShape, trusted: str | None = None) -> list[Content]:
    """What the chosen model is, in three lines; `trusted` is the hash of its own code that may run."""
    size = f"{count(shape.parameters)} parameters{'' if shape.exact else ' (about)'}"
    built = f"{shape.layers} layers of {shape.hidden}, vocabulary {count(shape.vocab)}"
    if shape.experts:
        built += f", {shape.experts_per_token} of {shape.experts} experts"
    stored = f"{shape.dtype}{f', {shape.quantization}' if shape.quantization else ''}"
    weights = f", {gib(shape.weight_bytes)}" if shape.weight_bytes else ""
    template = "chat template" if shape.chat_template else "no chat template" if shape.chat_template_known else ""
    gate = "gated" if shape.gated else ""
    here = "on this disk" if shape.path else "to be downloaded at launch"
    rest = ", ".join(word for word in (plain(shape.licence or ""), gate, template, here) if word)
    lines = [
        Content.assemble((plain(shape.name), "bold"), f"  {plain(shape.architecture)}, {size}; {built}"),
        Content.assemble(("context ", "dim"), count(shape.context_length), ("  stored ", "dim"),
                         stored + weights, "  ", rest),
    ]
    if shape.inexact_reason:
        lines.append(Content.styled(plain(shape.inexact_reason), "$text-warning"))
    if shape.remote_code and trusted:
        lines.append(Content(f"Its own code may run, as you agreed: {plain(trusted)[:23]}…"))
    elif shape.remote_code:
        lines.append(Content.styled("It needs Python code of its own, to which nobody has agreed here.", "$text-error"))
    return lines
