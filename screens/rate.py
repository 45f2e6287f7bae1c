"""Rating: two answers to one question side by side, and a key that says which is better."""

from __future__ import annotations

import shlex

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content

from ftui.data.rating import Choice, Rating, journal_of, say
from ftui.units import count, plain

from .page import Page
from .widgets.static import Static

SAID = {"1": "1 is better", "2": "2 is better", "tie": "a tie", "skip": "skipped"}
_BAR = 20


class RateScreen(Page[None]):
    """Which answer came first in the file, or from which model, is not shown: a seed has mixed the sides."""

    TITLE = "rate answers"
    ABOUT = (
        "Two answers to one question, in an order that says nothing of where they come from. Each verdict is on disk "
        "at once; leave whenever you like, and the same file goes on where you were. What was skipped comes again then."
    )
    CSS_PATH = "rate.tcss"
    BINDINGS = [
        Binding("1", "choose('1')", "Left is better", id="rate.1", tooltip="The answer on the left is better"),
        Binding("2", "choose('2')", "Right is better", id="rate.2", tooltip="The answer on the right is better"),
        Binding("t", "choose('tie')", "Tie", id="rate.tie", tooltip="Neither is better; it makes no pair"),
        Binding("s", "choose('skip')", "Skip", id="rate.skip", tooltip="Leave it for the next time"),
        Binding("u", "undo", "Undo", id="rate.undo", tooltip="Take the last verdict back"),
        Binding("up", "scroll_both(-1)", "Up", show=False, priority=True, tooltip="Scroll both answers"),
        Binding("down", "scroll_both(1)", "Down", show=False, priority=True, tooltip="Scroll both answers"),
        Binding("pageup", "scroll_both(-8)", "Page up", show=False, priority=True, tooltip="Scroll both answers"),
        Binding("pagedown,space", "scroll_both(8)", "Page down", show=False, priority=True,
                tooltip="Scroll both answers"),
        Binding("k", "scroll_question(-1)", "Question up", show=False, tooltip="Scroll the question"),
        Binding("j", "scroll_question(1)", "Question down", show=False, tooltip="Scroll the question"),
    ]  # fmt: skip

    def __init__(self, rating: Rating) -> None:
        super().__init__()
        self._rating = rating
        self._last = ""

    def compose_body(self) -> ComposeResult:
        yield Static(id="progress")
        with VerticalScroll(id="question", can_focus=False):
            yield Static(id="asked")
        with Horizontal(id="answers"):
            for side in ("1", "2"):
                with VerticalScroll(id=f"side-{side}", classes="side", can_focus=False):
                    yield Static(id=f"answer-{side}")

    def on_mount(self) -> None:
        for side in ("1", "2"):
            self.query_one(f"#side-{side}").border_title = side
        self.query_one("#question").border_title = "question"
        words = ["ftui", "data", "rate", self._rating.ratings.file, "--out", str(self._rating.pairs), "--rater",
                 self._rating.ratings.rater]  # fmt: skip
        self.say(command=shlex.join(words), status=f"rated by {plain(self._rating.ratings.rater)}")
        self._show()

    def on_unmount(self) -> None:
        self._rating.close()

    def _show(self) -> None:
        rating, item = self._rating, self._rating.current
        self.query_one("#progress", Static).update(self._progress())
        self.query_one("#answers").display = item is not None
        shown = rating.shown
        if item is None or shown is None:
            self.query_one("#asked", Static).update(self._finished())
            self.say(next=f"{self._last}All are rated. u takes the last one back, escape leaves.")
        else:
            self.query_one("#asked", Static).update(Content(plain(say(item.prompt))))
            for side, answer in zip(("1", "2"), shown, strict=True):
                self.query_one(f"#answer-{side}", Static).update(Content(plain(answer)))
            self.say(next=f"{self._last}Which is better, 1 or 2? t for a tie, s to skip it.")
        for scrolled in self.query(VerticalScroll):
            scrolled.scroll_home(animate=False)
        self.refresh_bindings()

    def _progress(self) -> Content:
        rating, counts = self._rating, self._rating.counts
        done, total = sum(counts.values()), len(rating.items)
        full = _BAR * done // total
        numbers = {"pairs": counts["first"] + counts["second"], "ties": counts["tie"], "skipped": counts["skip"]}
        parts = ", ".join(f"{count(number)} {name}" for name, number in numbers.items())
        text = f"  {count(done)} of {count(total)} rated   ({parts})"
        return Content.assemble(("━" * full, "$text-primary"), ("─" * (_BAR - full), "dim"), text)

    def _finished(self) -> Content:
        pairs = str(self._rating.pairs)
        lines = [
            f"Every pair is rated. DPO trains on {plain(pairs)} as it is:", "",
            f"  ftui launch --model MODEL --set objective.kind=dpo --data {plain(shlex.quote(pairs))}", "",
            "How far another rater agrees, once there is one:", "",
            f"  ftui data agree {plain(shlex.quote(str(journal_of(self._rating.pairs))))} OTHER.ratings.jsonl",
        ]  # fmt: skip
        return Content("\n".join(lines))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "choose":
            return self._rating.current is not None
        if action == "undo":
            return self._rating.may_undo
        return super().check_action(action, parameters)

    def action_choose(self, choice: Choice) -> None:
        try:
            self._rating.choose(choice)
        except OSError as error:
            self.notify(f"It can't be written: {error.strerror}. Nothing was taken.", severity="error", timeout=8)
            return
        self._last = f"Last: {SAID[choice]}. "
        self._show()

    def action_undo(self) -> None:
        try:
            taken = self._rating.undo()
        except OSError as error:
            self.notify(f"It can't be written: {error.strerror}.", severity="error", timeout=8)
            return
        if taken is not None:
            self._last = f"Taken back: {SAID[taken]}. "
            self._show()

    def action_scroll_both(self, lines: int) -> None:
        for side in self.query(".side"):
            side.scroll_relative(y=lines, animate=False)

    def action_scroll_question(self, lines: int) -> None:
        self.query_one("#question").scroll_relative(y=lines, animate=False)
