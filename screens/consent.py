"""Consent to a model's own Python code: whose it is, what it could do, to be read first; the answer starts at no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Log

from ftui.units import kib, plain

from . import lookups
from .background import Problem, attempt_for
from .page import Page
from .widgets.choice_table import ChoiceTable, Column, Row
from .widgets.static import Static
from .wizard.step import problem_text

if TYPE_CHECKING:
    from ftui.models.own_code import OwnCode

NO, YES, FILE = "no", "yes", "file:"
"""The keys of the rows; a file's name stands behind its own."""
WARNING = (
    "transformers lacks this model, and runs this code in its place, as you: it can read your files and tokens, change "
    "them, and reach the network. ftui can't hold it back. Read it, or trust its author, before you say yes."
)


class ConsentScreen(Page[str | None]):
    """Returns the hash of the code that was agreed to, None for no."""

    TITLE = "code of the model's own"
    CSS_PATH = "consent.tcss"

    def __init__(self, ref: str, revision: str | None) -> None:
        super().__init__()
        self._ref, self._revision = ref, revision
        self._code: OwnCode | None = None

    def compose_body(self) -> ComposeResult:
        yield Static(f"Looking at the code of {plain(self._ref)} …", id="about", markup=False)
        yield ChoiceTable(Column("", None), Column("", 11, right=True), id="answers", header=False)

    def on_mount(self) -> None:
        self.say(command=f"ftui models code {self._ref}")
        self._look()

    @work(exclusive=True)
    async def _look(self) -> None:
        found = await attempt_for(self, lookups.own_code, self._ref, self._revision)
        about = self.query_one("#about", Static)
        if isinstance(found, Problem):
            about.update(problem_text(found))
            self.say(next="Escape goes back.")
            return
        if found is None:
            about.update(Content(f"{plain(self._ref)} needs no code of its own."))
            self.say(next="Escape goes back.")
            return
        self._code = found
        about.update(_about(found))
        self.query_one(ChoiceTable).show([
            Row(NO, ("No, don't run it",)),
            Row(None, ("Read it first",)),
            *(Row(FILE + name, (f"  {plain(name)}", kib(len(text)))) for name, text in found.files.items()),
            Row(None, ("",)),
            Row(YES, ("Yes, exactly this code may run as me",)),
        ])
        self.query_one(ChoiceTable).options.focus()
        self.say(next="Enter takes what the cursor stands on; escape says no.")

    @on(ChoiceTable.Picked)
    def _picked(self, event: ChoiceTable.Picked) -> None:
        if self._code is None:
            return
        if event.key.startswith(FILE):
            name = event.key.removeprefix(FILE)
            self.app.push_screen(CodeScreen(self._ref, name, self._code.files[name]))
        elif event.key == YES:
            self._agree(self._code)
        else:
            self.dismiss(None)

    @work(exclusive=True)
    async def _agree(self, code: OwnCode) -> None:
        """Keep the consent to what was shown, not to what may lie there by now."""
        answer = await attempt_for(self, lookups.trust_code, code)
        if isinstance(answer, Problem):
            self.query_one("#about", Static).update(problem_text(answer))
            return
        self.dismiss(code.hash)


def _about(code: OwnCode) -> Content:
    kind, whose = ("digest", "owner") if code.hash.startswith("sha256:") else ("commit", "author")
    facts = (("model", code.ref), (whose, code.author), (kind, code.hash),
             ("loads", ", ".join(each.rpartition(".")[2] for each in code.classes.values())))
    lines = [Content.assemble((f"{label:<7}", "dim"), Content(plain(text))) for label, text in facts]
    only = "Your consent is for this " + kind + " alone: any change to the code asks anew."
    return Content("\n").join([*lines, Content(""), Content.styled(WARNING, "$text-warning"), Content(only)])


class CodeScreen(Page[None]):
    """One file of the code, with its line numbers and with every control character shown."""

    CSS_PATH = "consent.tcss"

    def __init__(self, ref: str, name: str, content: bytes) -> None:
        super().__init__()
        self._ref, self._file, self._content = ref, name, content

    def compose_body(self) -> ComposeResult:
        yield Log(highlight=False, auto_scroll=False)

    def on_mount(self) -> None:
        # Only these end a line for Python, too; whatever else would move the cursor is shown as its escape.
        text = self._content.decode("utf-8", "backslashreplace").replace("\r\n", "\n").expandtabs(4)
        lines = text.split("\n")
        wide = len(str(len(lines)))
        log = self.query_one(Log)
        log.write_lines([f"{number:>{wide}}  {plain(line)}" for number, line in enumerate(lines, 1)])
        log.focus()
        self.say(status=plain(self._file), next="The arrows and page up and down scroll; escape goes back.",
                 command=f"ftui models code {self._ref} --read {self._file}")
