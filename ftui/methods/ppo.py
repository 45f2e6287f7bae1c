"""Proximal policy optimization: the objective's options and its row.  Defaults are those of trl's last PPO trainer,
which left trl in 2026, and of the papers it follows (https://arxiv.org/abs/1707.06347, /1909.08593 and /1506.02438)."""

from __future__ import annotations

from typing import Literal

from ftui.methods.row import ObjectiveRow
from ftui.methods.scoring import (
    CompletionOptions,
    clipping,
    completion_length,
    eval_prompts,
    iterations,
    rewards,
    runs_code,
    scorer_parameters,
    temperature,
)
from ftui.settings import setting


class PpoOptions(CompletionOptions):
    """An actor and a critic: the model writes answers, and a value head learns what reward to expect at each token."""

    kind: Literal["ppo"] = setting(
        "ppo",
        title="Objective",
        help="Proximal policy optimization: answers are held against what a value head expected of them, by token.",
        why="The classic of reinforcement learning from human feedback, where one answer to a prompt is affordable.",
        term="PPO",
    )
    rewards: tuple[str, ...] = rewards()
    run_code: bool = runs_code()
    max_completion_length: int = completion_length()
    temperature: float = temperature()
    kl: float = setting(
        0.05, title="KL coefficient",
        help="What a token costs, per unit of its divergence from the untrained model, at the beginning.",
        why="Raise it when answers drift away from language.", term="KL divergence", gt=0, le=100,
    )
    kl_target: float | None = setting(
        None, title="KL target",
        help="The divergence per answer that the coefficient is steered towards; empty keeps it as it is.",
        why="About 6 for answers of a few dozen tokens: it rises while answers drift further and falls otherwise.",
        term="KL divergence", gt=0, le=10_000,
    )
    kl_horizon: int = setting(
        10_000, title="KL horizon", help="Answers over which the coefficient is steered to its target.",
        why="Shorter steers harder.", advanced=True, ge=1, le=100_000_000,
    )
    gamma: float = setting(
        1.0, title="Discount", help="What a reward one token later is worth.",
        why="Below 1 only where early tokens should be blamed less for the end.", advanced=True, gt=0, le=1,
    )
    lam: float = setting(
        0.95, title="GAE lambda", help="How far an advantage looks ahead before it trusts the value head.",
        why="1 takes the whole answer's reward: no bias, more noise.", advanced=True, ge=0, le=1,
    )
    epsilon: float = clipping("a token's")
    value_epsilon: float = setting(
        0.2, title="Value clipping", help="How far a value may move from what it was when the answer was written.",
        why="Raise it for rewards far above 1.", advanced=True, gt=0, le=1000,
    )
    value_weight: float = setting(
        0.1, title="Value weight", help="The weight of the value head's loss beside the policy's.",
        why="Raise it when the explained variance stays near 0.", advanced=True, ge=0, le=100,
    )
    iterations: int = iterations(4)
    mini_batches: int = setting(
        1, title="Mini-batches", help="Optimizer steps in one pass over the generated answers: so many effective "
        "batches are generated at once.",
        why="More generate larger batches at once, which is faster, and take more cache.", advanced=True, ge=1, le=1024,
    )
    eval_prompts: int = eval_prompts()
    reward_parameters: float = scorer_parameters()


ROW = ObjectiveRow(
    kind="ppo",
    title="Proximal policy optimization",
    when="You have prompts whose answers can be scored and want an actor-critic; GRPO or RLOO are recommended before "
    "it: they need no value head, which is one more thing to tune and to go wrong, and reached better rewards with "
    "less memory on whole answers (https://arxiv.org/abs/2402.14740).",
    data=("prompt", "conversation", "preference"),
    form="prompt",
    best="reward",
    options=PpoOptions,
    source="https://arxiv.org/abs/1707.06347",
)
