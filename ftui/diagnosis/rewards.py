"""What the rewards show where a model answers while it trains."""

from __future__ import annotations

from typing import Any

from ftui.diagnosis.case import ONLINE, Case
from ftui.diagnosis.doctor import Chart
from ftui.diagnosis.finding import Finding

ALIKE = 0.9
"""Share of the groups whose answers all have one reward: they teach nothing."""
CUT = 0.8
"""Share of the answers that end because they may be no longer."""


def no_spread(case: Case, chart: Chart) -> Finding | None:
    """All answers to a prompt get the same reward: there is nothing to prefer."""
    name = "frac_reward_zero_std"
    if case.objective not in ONLINE or not chart.has(name, 16) or chart[name].now(16) < ALIKE:
        return None
    reward = chart["reward"].now(16) if chart.has("reward", 16) else None
    if reward is not None and chart["reward"].start() < reward - 0.05:
        # It has been learnt: every answer is right by now.
        return None
    return Finding(
        "no_reward_spread",
        f"In {chart[name].now(16):.0%} of the groups every answer gets the same reward"
        + (f" ({reward:.3g})" if reward is not None else "") + ": there is nothing to learn from.",
        "Choose prompts that are neither too hard nor too easy, a reward with steps in between, more answers to a "
        "prompt, or a higher temperature.",
        {"share": chart[name].now(16), "reward": reward},
    )


def answers_cut(case: Case, chart: Chart) -> Finding | None:
    """Most answers are cut off at their longest length."""
    name = "completions/clipped_ratio"
    if case.objective not in ONLINE or not chart.has(name, 16) or chart[name].now(16) < CUT:
        return None
    allowed = getattr(case.recipe.objective, "max_completion_length", None)
    change: dict[str, Any] = {"objective.max_completion_length": 2 * allowed} if isinstance(allowed, int) else {}
    return Finding(
        "answers_cut",
        f"{chart[name].now(16):.0%} of the answers are cut off at {allowed} tokens, before they come to an end.",
        "Allow longer answers, or ask for shorter ones (a length reward, a sentence in the prompt).",
        {"share": chart[name].now(16)}, change,
    )


RULES = (no_spread, answers_cut)
