"""Asking the tuned and the base model the same thing: each question is a job, so that it outlives this page."""

from __future__ import annotations

import shlex

from rich.console import Group
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Input

from ftui.runs.asking import question, sees, tasks_of
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


class TryScreen(Page[None]):
    """A line to ask in, and the answers, newest first, the base model's beside the tuned one's."""

    TITLE = "try"
    ABOUT = "Asks the tuned model and its base the same thing. Each question loads both, which takes a while."
    CSS_PATH = "try_run.tcss"
    # With priority, for every screen scrolls by these keys, too.
    BINDINGS = [
        Binding("up", "recall(-1)", "Earlier prompt", priority=True, tooltip="Yours, then those of the training"),
        Binding("down", "recall(1)", "Later prompt", priority=True, show=False, tooltip="The prompt after it"),
        Binding("ctrl+t", "turn_task", "Task", priority=True, tooltip="The next of the tasks that it tells apart"),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._prompts: list[str] = []
        self._place = 0
        self._answers: list[Sample] = []
        self._asking = False
        self._all_tasks = tasks_of(run)
        # Tasks that trained apart have an adapter each, and one must be named; those of one adapter are all asked.
        self._for_task = self._all_tasks[0] if self._all_tasks and run.info.kind == "stages" else None

    def compose_body(self) -> ComposeResult:
        yield Input(placeholder="ask something and press enter", compact=True, id="prompt")
        yield Input(placeholder="the path of an image that it is about, or nothing", compact=True, id="image")
        yield Static(id="task", markup=False)
        yield Static(id="state", markup=False)
        with VerticalScroll():
            yield Static(id="answers")

    def on_mount(self) -> None:
        self.query_one("#prompt", Input).focus()
        self.query_one("#image").display = sees(self._run.output)
        self.query_one("#task").display = bool(self._all_tasks)
        self._say_task()
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
    def _say_command(self) -> None:
        """The command that would ask the same."""
        words, image = self.query_one("#prompt", Input).value, self.query_one("#image", Input).value.strip()
        options = [*(["--task", self._for_task] if self._for_task else []), *(["--image", image] if image else [])]
        self.say(command=shlex.join(["ftui", "try", self._run.id, *([words] if words else []), *options]))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self._all_tasks) if action == "turn_task" else super().check_action(action, parameters)

    def action_turn_task(self) -> None:
        """The next task; after the last one all, where one adapter knows them all."""
        choices = [*(() if self._run.info.kind == "stages" else (None,)), *self._all_tasks]
        self._for_task = choices[(choices.index(self._for_task) + 1) % len(choices)]
        self._say_task()
        self._say_command()

    def _say_task(self) -> None:
        chosen = plain(self._for_task) if self._for_task else f"each of {', '.join(map(plain, self._all_tasks))}"
        self.query_one("#task", Static).update(f"task  {chosen}")

    @on(Input.Submitted)
    def _submitted(self) -> None:
        field = self.query_one("#prompt", Input)
        prompt = field.value.strip()
        if not prompt:
            return
        if self._asking:
            self.query_one("#state", Static).update("One question at a time: the models are still at the last one.")
            return
        self._asking = True
        self._prompts.append(prompt)
        self._place = len(self._prompts)
        field.value = ""
        self._ask(prompt)

    def action_recall(self, by: int) -> None:
        self._place = min(max(self._place + by, 0), len(self._prompts))
        field = self.query_one("#prompt", Input)
        field.value = self._prompts[self._place] if self._place < len(self._prompts) else ""
        field.cursor_position = len(field.value)

    @work
    async def _ask(self, prompt: str) -> None:
        state = self.query_one("#state", Static)
        try:
            state.update(Content.assemble("… starting: ", (plain(prompt), "bold")))
            image = self.query_one("#image", Input).value.strip()
            job = await attempt(self._start, prompt, [image] if image else [])
            if isinstance(job, Problem):
                state.update(f"{job.what} {job.hint}")
                return
            await self._follow(job, prompt)
        finally:
            self._asking = False

    def _start(self, prompt: str, images: list[str]) -> Run:
        return question(self._run, [prompt], task=self._for_task, images=images).ask()

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
        self.query_one("#answers", Static).update(Group(*answers(self._answers, self.size.width)))

    def on_resize(self) -> None:
        self._draw()
