"""Asking the tuned and the base model the same thing: each question is a job, so that it outlives this page."""

from __future__ import annotations

import shlex

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Input

from ftui.runs import control
from ftui.runs.folder import Run
from ftui.runs.follow import Follower, history
from ftui.runs.status import RunStatus
from ftui.units import plain

from .background import Problem, attempt
from .monitor_picture import Picture, Sample
from .page import Page
from .widgets.sample_view import answers
from .widgets.static import Static

LOOK_SECONDS = 0.5
NEW_TOKENS = 128


class TryScreen(Page[None]):
    """A line to ask in, and the answers, newest first, the base model's beside the tuned one's."""

    TITLE = "try"
    ABOUT = "Asks the tuned model and its base the same thing. Each question loads both, which takes a while."
    CSS_PATH = "try_run.tcss"
    # With priority, for every screen scrolls by these keys, too.
    BINDINGS = [
        Binding("up", "recall(-1)", "Earlier prompt", priority=True, tooltip="Yours, then those of the training"),
        Binding("down", "recall(1)", "Later prompt", priority=True, show=False, tooltip="The prompt after it"),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._prompts: list[str] = []
        self._place = 0
        self._answers: list[Sample] = []
        self._asking = False

    def compose_body(self) -> ComposeResult:
        yield Input(placeholder="ask something and press enter", compact=True, id="prompt")
        yield Static(id="state", markup=False)
        with VerticalScroll():
            yield Static(id="answers")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self.say(
            status=plain(self._run.info.name), next="Enter asks; up brings the prompts of the training back.",
            command=f"ftui try {self._run.id}",
        )
        self._read_prompts()

    @work
    async def _read_prompts(self) -> None:
        """The prompts that the training answered at its evaluations, to be asked again."""
        events = await attempt(history, self._run)
        if not isinstance(events, Problem):
            asked = dict.fromkeys(str(e.data.get("prompt", "")) for e in events if e.kind == "sample")
            self._prompts = [prompt for prompt in asked if prompt] + self._prompts
            self._place = len(self._prompts)

    @on(Input.Changed)
    def _command(self, event: Input.Changed) -> None:
        self.say(command=shlex.join(["ftui", "try", self._run.id, *([event.value] if event.value else [])]))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        prompt = event.value.strip()
        if not prompt:
            return
        if self._asking:
            self.query_one("#state", Static).update("One question at a time: the models are still at the last one.")
            return
        self._asking = True
        self._prompts.append(prompt)
        self._place = len(self._prompts)
        event.input.value = ""
        self._ask(prompt)

    def action_recall(self, by: int) -> None:
        self._place = min(max(self._place + by, 0), len(self._prompts))
        field = self.query_one(Input)
        field.value = self._prompts[self._place] if self._place < len(self._prompts) else ""
        field.cursor_position = len(field.value)

    @work
    async def _ask(self, prompt: str) -> None:
        state = self.query_one("#state", Static)
        try:
            state.update(Content.assemble("… starting: ", (plain(prompt), "bold")))
            job = await attempt(
                control.start_job, "generate",
                {"run": self._run.id, "prompts": [prompt], "max_new_tokens": NEW_TOKENS}, f"try-{self._run.info.name}",
                parent=self._run.id, command=shlex.join(["ftui", "try", self._run.id, prompt]),
            )
            if isinstance(job, Problem):
                state.update(f"{job.what} {job.hint}")
                return
            await self._follow(job, prompt)
        finally:
            self._asking = False

    async def _follow(self, job: Run, prompt: str) -> None:
        """Say what the job does until it is over, then show its answers or why there are none."""
        from asyncio import sleep

        state, follower, picture = self.query_one("#state", Static), Follower(job), Picture()
        while True:
            status = await attempt(job.status)
            events = await attempt(follower.poll)
            if isinstance(status, Problem) or isinstance(events, Problem):
                problem = status if isinstance(status, Problem) else events
                assert isinstance(problem, Problem)
                state.update(f"{problem.what} {problem.hint}")
                return
            picture.take(events)
            if status.over:
                break
            state.update(Content.assemble(f"… {picture.doing or plain(status.text)}: ", (plain(prompt), "bold")))
            await sleep(LOOK_SECONDS)
        self._show(job, status, picture)

    def _show(self, job: Run, status: RunStatus, picture: Picture) -> None:
        state = self.query_one("#state", Static)
        given = [sample for at_step in picture.samples.values() for sample in at_step.values()]
        if not given:
            state.update(f"✗ {plain(status.text)} {plain(status.hint or '')}\nIts log: ftui runs log {job.id}")
            return
        state.update("")
        self._answers = given + self._answers
        self._draw()

    def _draw(self) -> None:
        self.query_one("#answers", Static).update(answers(self._answers, self.size.width))

    def on_resize(self) -> None:
        self._draw()
