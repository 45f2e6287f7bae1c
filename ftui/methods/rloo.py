"""REINFORCE leave-one-out: the objective's options and its row.  Names and defaults are trl 1.16's."""

from __future__ import annotations

from typing import Literal

from ftui.methods.row import ObjectiveRow
from ftui.methods.scoring import (
    CompletionOptions,
    beta,
    clipping,
    completion_length,
    eval_prompts,
    generation_steps,
    generations,
    iterations,
    rewards,
    runs_code,
    scorer_parameters,
    temperature,
    unfinished,
)
from ftui.settings import setting


class RlooOptions(CompletionOptions):
    """The model's own answers, each held against the mean reward of the others to the same prompt."""

    kind: Literal["rloo"] = setting(
        "rloo",
        title="Objective",
        help="REINFORCE leave-one-out: each sampled answer is held against the others' mean reward.",
        why="Simpler than GRPO, and enough with two answers to a prompt.",
        term="RLOO",
    )
    rewards: tuple[str, ...] = rewards()
    run_code: bool = runs_code()
    generations: int = generations(2)
    max_completion_length: int = completion_length()
    temperature: float = temperature()
    beta: float = beta(
        0.05, "How strongly the model is held to what it was before; 0 does without a reference.",
        "Raise it when answers drift away from language.",
    )
    epsilon: float = clipping("an answer's")
    steps_per_generation: int | None = generation_steps()
    iterations: int = iterations()
    mask_truncated: bool = unfinished()
    eval_prompts: int = eval_prompts()
    reward_parameters: float = scorer_parameters()


ROW = ObjectiveRow(
    kind="rloo",
    title="REINFORCE leave-one-out",
    when="You have prompts whose answers can be scored, and memory for few answers at once.",
    data=("prompt", "conversation", "preference"),
    form="prompt",
    best="reward",
    options=RlooOptions,
    source="https://arxiv.org/abs/2402.14740",
)
