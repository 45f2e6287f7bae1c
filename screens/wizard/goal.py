"""The Goal step: what the tuned model is for, and what to prefer where quality, time and memory pull apart."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from ..widgets.choice_table import ChoiceTable, Column, Row
from .state import WizardState
from .step import Assigned, GoOn, Step

TASKS: dict[str, tuple[str, str]] = {
    "instruct": ("Follow instructions", "one task, one answer: rewrite, extract, sum up"),
    "chat": ("Hold a conversation", "several turns in a tone of your own"),
    "classify": ("Sort into classes", "short, fixed answers: categories, sentiment"),
    "domain": ("Learn a field's language", "plain text, continued: law, your documents"),
    "code": ("Write code", "programs completed or changed; long rows"),
    "reasoning": ("Reason step by step", "worked solutions: mathematics, planning"),
}
PRIORITIES: dict[str, tuple[str, str]] = {
    "balanced": ("Balanced", "good quality in a reasonable time"),
    "quality": ("Best quality", "takes more of the card, and more time"),
    "speed": ("Fastest", "shortest time to a usable result"),
    "memory": ("Least memory", "leaves room on the card for others"),
}


class GoalStep(Step):
    """Two short lists; enter in the first goes to the second, enter in the second goes on."""

    def compose(self) -> ComposeResult:
        yield Static("What is the tuned model for?", classes="question")
        yield ChoiceTable(Column("", 1), Column("", 26), Column(""), header=False, id="task")
        yield Static("What matters most?", classes="question")
        yield ChoiceTable(Column("", 1), Column("", 26), Column(""), header=False, id="priority")

    def show(self, state: WizardState) -> None:
        super().show(state)
        goal = state.draft.goal
        self.query_one("#task", ChoiceTable).show(_rows(TASKS, goal.task))
        self.query_one("#priority", ChoiceTable).show(_rows(PRIORITIES, goal.priority))

    def on_mount(self) -> None:
        super().on_mount()
        goal = self.state.draft.goal
        self.query_one("#task", ChoiceTable).move(goal.task)
        self.query_one("#priority", ChoiceTable).move(goal.priority)

    def set_focus(self) -> None:
        self.query_one("#task", ChoiceTable).focus()

    @on(ChoiceTable.Picked, "#task")
    def _task_picked(self, event: ChoiceTable.Picked) -> None:
        if event.key != self.state.draft.goal.task:
            self.post_message(Assigned({"goal.task": event.key}))
        self.query_one("#priority", ChoiceTable).focus()

    @on(ChoiceTable.Picked, "#priority")
    def _priority_picked(self, event: ChoiceTable.Picked) -> None:
        if event.key != self.state.draft.goal.priority:
            self.post_message(Assigned({"goal.priority": event.key}))
        self.post_message(GoOn())

    def next_line(self) -> str:
        return "Enter chooses; after the second list it goes on to the plan."

    def command(self) -> str:
        goal = self.state.draft.goal
        return f"ftui plan … --set goal.task={goal.task} --set goal.priority={goal.priority}"


def _rows(choices: dict[str, tuple[str, str]], chosen: str) -> list[Row]:
    return [Row(key, ("●" if key == chosen else "○", *words)) for key, words in choices.items()]
