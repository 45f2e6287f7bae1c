"""What the rewards and the answers show where a model answers while it trains."""

from __future__ import annotations

import math
from typing import Any

from ftui.diagnosis.case import ONLINE, Case
from ftui.diagnosis.doctor import Chart
from ftui.diagnosis.finding import Finding
from ftui.diagnosis.track import spread

ALIKE = 0.9
"""Share of the groups whose answers all have one reward: they teach nothing."""
SAME = 8
"""Logged rewards that are equal to the last digit, where nothing is said of groups: those of sampled answers differ."""
WIDER = 1.3
"""A sampling temperature at which answers to one prompt differ; beyond it small models write nonsense."""
CUT = 0.8
"""Share of the answers that end because they may be no longer."""
LONGER, TOKENS = 2.0, 16.0
"""Answers so many times as long as at the start, and by so many tokens: less is style."""
WITH_REWARD = 0.9
"""Correlation of length and reward over the run: the reward is then mostly one for length."""
FAR = 3.0
"""Nats by which a token of the answers is likelier to the model than to its reference; healthy runs stay below 0.2,
and a token that the reference finds as likely as any of twenty is at 3."""
LEFT = 0.3
"""Share of the first rewards that is lost: so much, and four times their spread, is no chance."""


def no_spread(case: Case, chart: Chart) -> Finding | None:
    """All answers to a prompt get the same reward: there is nothing to prefer."""
    if case.objective not in ONLINE or (share := _alike(chart)) is None or share < ALIKE:
        return None
    reward = chart["reward"].now(16) if chart.has("reward", SAME) else None
    if reward is not None and chart["reward"].start() < reward - 0.05:
        # It has been learnt: every answer is right by now.
        return None
    temperature = getattr(case.recipe.objective, "temperature", WIDER)
    change: dict[str, Any] = {"objective.temperature": WIDER} if temperature < WIDER else {}
    return Finding(
        "no_reward_spread",
        f"In {share:.0%} of the groups every answer gets the same reward"
        + (f" ({reward:.3g})" if reward is not None else "") + ": there is nothing to learn from.",
        "Choose prompts that are neither too hard nor too easy, a reward with steps in between (try it on an answer "
        "that should win), more answers to a prompt, or a higher temperature.",
        {"share": share, "reward": reward}, change, "grave",
    )


def _alike(chart: Chart) -> float | None:
    """The share of groups without a difference, as it was measured, else as rewards that never move tell it.

    RLOO's own share counts the price on the divergence as a difference; the spread of the rewards alone doesn't.
    """
    name = "frac_reward_zero_std"
    if chart.has(name, 16):
        spreads = chart["reward_std"].newest(16)
        return max(chart[name].now(16), sum(value <= 0 for value in spreads) / 16)
    if name in chart.tracks or not chart.has("reward", SAME):
        return None
    newest = chart["reward"].newest(16)
    return 1.0 if max(newest) == min(newest) else None


def answers_cut(case: Case, chart: Chart) -> Finding | None:
    """Most answers are cut off at their longest length."""
    name = "completions/clipped_ratio"
    if not _answers(case) or not chart.has(name, 16) or chart[name].now(16) < CUT:
        return None
    allowed = getattr(case.recipe.objective, "max_completion_length", None)
    change: dict[str, Any] = {"objective.max_completion_length": 2 * allowed} if isinstance(allowed, int) else {}
    return Finding(
        "answers_cut",
        f"{chart[name].now(16):.0%} of the answers are cut off at {allowed} tokens, before they come to an end.",
        "Allow longer answers, or ask for shorter ones (a length reward, a sentence in the prompt).",
        {"share": chart[name].now(16)}, change,
    )


def answers_grow(case: Case, chart: Chart) -> Finding | None:
    """The reward is won by talking on: it rises with the length of the answers, step by step."""
    name = "completions/mean_length"
    if case.objective not in ONLINE or not chart.has(name, 40) or not chart.has("reward", 40):
        return None
    length, reward = chart[name], chart["reward"]
    before, now = length.start(8), length.now(16)
    if now < LONGER * before or now < before + TOKENS or reward.now(16) <= reward.start(8):
        return None
    alike = _correlation([s.mean for s in length.stretches()], [s.mean for s in reward.stretches()])
    if alike < WITH_REWARD:
        return None
    limit, rewards = round(1.5 * before), getattr(case.recipe.objective, "rewards", ())
    priced = any("length:" in text for text in rewards)
    change: dict[str, Any] = {} if priced else {"objective.rewards": [*rewards, f"0.5*length:<{limit}"]}
    return Finding(
        "answers_grow",
        f"The answers have grown from {before:.0f} to {now:.0f} tokens, and the reward, from {reward.start(8):.3g} to "
        f"{reward.now(16):.3g}, with them: it may be one for length.",
        "Read the samples: if they are longer and no better, a price on length keeps the reward honest.",
        {"before": before, "now": now, "reward_before": reward.start(8), "reward": reward.now(16),
         "correlation": round(alike, 3)},
        change, "note",
    )


def drifts_off(case: Case, chart: Chart) -> Finding | None:
    """The model has left its reference far behind, or the reward that it had."""
    if case.objective not in ONLINE or not chart.has("reward", 24):
        return None
    reward = chart["reward"]
    before, now = reward.start(3), reward.now(16)
    # A model can lose in a few steps what it came with: the first rewards are few, and each must have been higher.
    noise = min(spread(reward.first(16)), spread(reward.newest(16)))
    lost = min(reward.first(3)) > now and before - now > max(LEFT * abs(before), 4 * noise)
    divergence = _divergence(case, chart)
    if not lost and (divergence is None or divergence < FAR):
        return None
    change = case.slower(5)
    said = f"the reward fell from {before:.3g} to {now:.3g}" if lost else f"the reward is {now:.3g}"
    far = f", {divergence:.3g} nats a token away from the reference" if divergence is not None else ""
    return Finding(
        "drifts_off",
        f"The model drifts off: {said}{far}.",
        f"Stop, and start again with a fifth of the learning rate ({change['train.learning_rate']:g}); the best "
        "checkpoint so far is kept." + ("" if divergence is not None else " A price on the divergence holds it, too."),
        {"before": before, "now": now, "divergence": divergence}, change | _priced(case), "grave",
    )


def _divergence(case: Case, chart: Chart) -> float | None:
    """Nats a token by which the answers are likelier to the model than to its reference; None where it isn't told."""
    if not chart.has("kl", 16):
        return None
    # trl's trainers tell it by token; that of PPO is an answer's.
    tokens = max(chart["completions/mean_length"].now(16), 1.0) if case.objective == "ppo" else 1.0
    return chart["kl"].now(16) / tokens


def _priced(case: Case) -> dict[str, Any]:
    """A price on the divergence where there is none, at the size that RLOO has by default."""
    free = case.objective == "grpo" and not getattr(case.recipe.objective, "beta", 0)
    return {"objective.beta": 0.05} if free else {}


def _answers(case: Case) -> bool:
    return case.objective in ONLINE or getattr(case.recipe.objective, "on_policy", 0) > 0


def _correlation(first: list[float], second: list[float]) -> float:
    """Pearson's of two curves measured at the same steps; 0 where one of them doesn't move."""
    count = min(len(first), len(second))
    means = [math.fsum(values[:count]) / count for values in (first, second)]
    left = [[value - mean for value in values[:count]] for values, mean in zip((first, second), means, strict=True)]
    across = math.sqrt(math.prod(math.fsum(value * value for value in values) for values in left))
    return math.fsum(a * b for a, b in zip(*left, strict=True)) / across if across else 0.0


RULES = (no_spread, answers_cut, answers_grow, drifts_off)
