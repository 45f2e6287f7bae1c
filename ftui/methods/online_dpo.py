"""Online direct preference optimization: the objective's options and its row."""

from __future__ import annotations

from typing import Literal

from ftui.methods.row import ObjectiveRow
from ftui.methods.scoring import (
    CompletionOptions,
    beta,
    completion_length,
    criterion,
    eval_prompts,
    generation_steps,
    judges,
    rewards,
    runs_code,
    scorer_parameters,
    temperature,
)
from ftui.settings import setting

PAIR = 2
"""Answers to a prompt: the better of them is preferred to the other."""


class OnlineDpoOptions(CompletionOptions):
    """Two answers of the model's own to each prompt: the one that judge or reward prefers is chosen."""

    kind: Literal["online_dpo"] = setting(
        "online_dpo",
        title="Objective",
        help="Online DPO: the model writes two answers to a prompt and learns to prefer the better rewarded one.",
        why="Preferences stay about what the model would say now, where a fixed set of pairs grows stale.",
        term="online DPO",
    )
    rewards: tuple[str, ...] = rewards()
    judge: tuple[str, ...] = judges()
    criterion: str = criterion()
    run_code: bool = runs_code()
    max_completion_length: int = completion_length()
    temperature: float = temperature()
    beta: float = beta(
        0.1, "How strongly the model is held to what it was before.",
        "Raise it when answers degrade, lower it when preferences are hardly learned.",
    )
    loss_type: Literal["sigmoid", "ipo"] = setting(
        "sigmoid",
        title="Loss",
        help="The function of the two answers' log-probabilities, by trl's names.",
        why="'ipo' for a reward that is certain.",
        advanced=True,
    )
    steps_per_generation: int | None = generation_steps()
    eval_prompts: int = eval_prompts()
    reward_parameters: float = scorer_parameters()

    @property
    def generations(self) -> int:
        """Answers to a prompt, under the name that other objectives let one set."""
        return PAIR

    @property
    def best(self) -> str:
        """The value of an evaluation by which the best checkpoint is known: a judge has no scale but who wins."""
        return "win_rate" if self.judge else "reward"


ROW = ObjectiveRow(
    kind="online_dpo",
    title="Online direct preference optimization",
    when="You have prompts and something that can tell the better of two answers, but no scores on a scale.",
    data=("prompt", "conversation", "preference"),
    form="prompt",
    best="reward",
    options=OnlineDpoOptions,
    source="https://arxiv.org/abs/2402.04792",
)
