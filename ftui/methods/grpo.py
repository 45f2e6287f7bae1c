"""Group relative policy optimization: the objective's options and its row.  Names and defaults are trl 1.16's."""

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


class GrpoOptions(CompletionOptions):
    """The model's own answers, several to a prompt, scored by a reward and held against their group."""

    kind: Literal["grpo"] = setting(
        "grpo",
        title="Objective",
        help="Group relative policy optimization: the model writes several answers, and better ones become likelier.",
        why="It is the objective where answers can be checked or scored, as in mathematics, code and games.",
        term="GRPO",
    )
    rewards: tuple[str, ...] = rewards()
    run_code: bool = runs_code()
    generations: int = generations(8)
    max_completion_length: int = completion_length()
    temperature: float = temperature()
    beta: float = beta(
        0.0, "How strongly the model is held to what it was before; 0 does without a reference.",
        "0.001 to 0.04 where answers drift away from language.",
    )
    loss_type: Literal["grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = setting(
        "dapo",
        title="Loss",
        help="How tokens and answers are weighed, by trl's names.",
        why="'dr_grpo' takes away the reward for length; 'grpo' is the first paper's.",
        advanced=True,
    )
    scale_rewards: Literal["group", "batch", "none"] = setting(
        "group",
        title="Scale",
        help="By whose spread a reward's distance from its group's mean is divided, by trl's names.",
        why="'none' keeps prompts that are all but solved from weighing as much as those where there is most to learn.",
        advanced=True,
    )
    epsilon: float = clipping("a token's")
    steps_per_generation: int | None = generation_steps()
    iterations: int = iterations()
    mask_truncated: bool = unfinished()
    eval_prompts: int = eval_prompts()
    reward_parameters: float = scorer_parameters()


ROW = ObjectiveRow(
    kind="grpo",
    title="Group relative policy optimization",
    when="You have prompts whose answers can be checked or scored by a program or a reward model.",
    data=("prompt", "conversation", "preference"),
    form="prompt",
    best="reward",
    options=GrpoOptions,
    source="https://arxiv.org/abs/2402.03300",
)
