"""What the training loss and the gradients show: divergence, spikes, a rate too high or too low, nothing learnt."""

from __future__ import annotations

import math
from statistics import median

from ftui.diagnosis.case import PAIRED, Case, rounded
from ftui.diagnosis.doctor import Chart
from ftui.diagnosis.finding import Finding
from ftui.diagnosis.track import slope, spread

LEAST = 24
"""Logged losses before anything is said of them."""
NEAR = 0.03
"""As a share of the loss of pure chance: nearer than this is chance."""
SPIKES = 3
"""So many spikes among the newest losses are no accident."""
CLIPPED = 10.0
"""Gradients so many times as long as they may be: nearly all of each step is cut off."""


def rising(case: Case, chart: Chart) -> Finding | None:
    """The loss is above where it began: the rate was too high from the start, or the training left its way later."""
    if not case.falls or not chart.has("loss", LEAST) or chart.step <= case.warmup_steps:
        return None
    loss = chart["loss"]
    start, now = loss.start(), loss.now()
    noise = spread(loss.newest(32))
    # What was reached in between, by the means kept of longer stretches; the newest one may be a part only.
    means = [stretch.mean for stretch in loss.stretches()]
    width = max(1, 8 // max(1, loss.count // len(means)))
    lowest = min(
        (median(means[at : at + width]) for at in range(max(1, len(means) - width))), default=start,
    )
    gained, lost = start - lowest, now - lowest
    if now <= start * 1.02 + noise or lost <= 0.2 * abs(lowest) + 2 * noise:
        return None
    rate = float(case.recipe.train.learning_rate)
    evidence = {"first": start, "lowest": lowest, "now": now, "learning_rate": rate}
    if gained > max(0.02 * abs(start), noise):
        change = case.slower(3) | _longer_warmup(case)
        return Finding(
            "diverging",
            f"The training diverges: the loss fell from {start:.3g} to {lowest:.3g} and stands at {now:.3g}.",
            f"Stop, and start again with a third of the learning rate ({_rate(change)}) and a longer warm-up; the best "
            "checkpoint so far is kept.",
            evidence, change,
        )
    change = case.slower(5) | _longer_warmup(case)
    return Finding(
        "learning_rate_high",
        f"The loss rises from the start, from {start:.3g} to {now:.3g}: the learning rate of {rate:g} is too high.",
        f"Stop, and start again with a fifth of it: {_rate(change)}.",
        evidence, change,
    )


def spikes(case: Case, chart: Chart) -> Finding | None:
    """Some batches throw the loss up, and the gradient with it."""
    if not case.falls or not chart.has("loss", 64) or not chart.has("grad_norm", 64):
        return None
    loss, norm = chart["loss"].newest(128), chart["grad_norm"].newest(128)
    if len(loss) != len(norm):
        return None
    level, length = median(loss), median(norm)
    high = level + max(8 * spread(loss), 0.5 * abs(level))
    found = [
        step for step, one, long in zip(chart["loss"].steps(128), loss, norm, strict=True)
        if one > high and long > 4 * length and step > case.warmup_steps
    ]
    if len(found) < SPIKES:
        return None
    limit = case.recipe.train.max_grad_norm
    tighter = rounded(min(limit or math.inf, 2 * length))
    return Finding(
        "spikes",
        f"{len(found)} of the newest {len(loss)} losses are spikes, lately at step {found[-1]:,} (above {high:.3g} "
        f"where {level:.3g} is usual), with gradients over {4 * length:.2g} long.",
        "Look for broken rows (`ftui data check --deep`); clipping gradients "
        f"at {tighter:g} keeps one such batch from undoing many good ones.",
        {"spikes": float(len(found)), "usual_loss": level, "usual_norm": length, "newest": float(found[-1])},
        {"train.max_grad_norm": tighter},
    )


def clipped(case: Case, chart: Chart) -> Finding | None:
    """Nearly all gradients are cut to a small part of their length, while the loss doesn't fall."""
    limit = case.recipe.train.max_grad_norm
    if not limit or not case.falls or not chart.has("grad_norm", 96) or not chart.has("loss", 96):
        return None
    norms = chart["grad_norm"].newest(96)
    share = sum(norm > limit for norm in norms) / len(norms)
    loss = chart["loss"]
    falling = loss.mean(-math.inf, chart.step / 2) or 0.0
    if share < 0.95 or median(norms) < CLIPPED * limit or loss.now(32) < falling - spread(loss.newest(64)):
        return None
    change = case.slower(3)
    return Finding(
        "clipped",
        f"{share:.0%} of the newest gradients were clipped, from {median(norms):.3g} to {limit:g}, and the loss "
        "doesn't fall any more.",
        f"A learning rate of {_rate(change)} is steadier; check the rows for broken ones, too.",
        {"share": share, "norm": median(norms), "limit": limit}, change, "note",
    )


def at_chance(case: Case, chart: Chart) -> Finding | None:
    """The loss is that of a model that guesses, long after the start."""
    if case.chance is None or not chart.has("loss", 40) or (case.steps and case.share(chart.step) < 0.15):
        return None
    now = chart["loss"].now(16)
    if case.objective == "sft":
        if now < 0.85 * case.chance:
            return None
    elif abs(now - case.chance) > NEAR * case.chance or _tells_apart(case, chart):
        return None
    what = {
        "sft": "Check the chat template and the tokenizer (`ftui data preview`): text in a foreign template looks so.",
        "classify": "Check that the labels belong to their texts, and raise the learning rate or the rank.",
    }.get(case.objective, "Check that chosen and rejected are the right way round, and raise the learning rate.")
    faster = {"train.learning_rate": rounded(3 * float(case.recipe.train.learning_rate))}
    change = {} if case.objective == "sft" else faster
    return Finding(
        "chance",
        f"The loss, {now:.3g}, is that of guessing ({case.chance:.3g}): nothing was learnt in {chart.step:,} steps.",
        what, {"loss": now, "chance": case.chance}, change,
    )


def _tells_apart(case: Case, chart: Chart) -> bool:
    """Whether the better answer is known more often than by chance, though the loss hardly shows it."""
    name = "rewards/accuracies" if case.objective == "dpo" else "accuracy"
    return case.objective in PAIRED and chart.has(name, 8) and chart[name].now(16) >= 0.6


def learns_nothing(case: Case, chart: Chart) -> Finding | None:
    """A third of the run has brought next to nothing, though it isn't at the end of its schedule."""
    if not case.falls or not chart.has("loss", 40) or case.share(chart.step) < 1 / 3:
        return None
    loss = chart["loss"]
    start, now = loss.start(16), loss.now(32)
    if start <= 0 or now < 0.98 * start or now > 1.02 * start or now < 0.05:
        return None
    steep, error = slope(((s.first + s.last) / 2, s.mean) for s in loss.stretches(case.warmup_steps))
    if steep + 2 * error < -0.02 * start / max(chart.step, 1):
        return None
    rate = float(case.recipe.train.learning_rate)
    change = {"train.learning_rate": rounded(10 * rate)}
    return Finding(
        "learning_rate_low",
        f"The loss has hardly moved in {chart.step:,} steps: {start:.4g} at the start, {now:.4g} now.",
        f"Raise the learning rate, {rate:g}, tenfold; if that changes nothing, look at what is trained "
        "(`ftui data preview` shows the trained tokens).",
        {"first": start, "now": now, "learning_rate": rate}, change,
    )


def dead(case: Case, chart: Chart) -> Finding | None:
    """Loss and gradient are exactly zero: there is nothing left in the rows to train on."""
    if not case.falls or not chart.has("loss", 12):
        return None
    losses, norms = chart["loss"].newest(8), chart["grad_norm"].newest(8)
    if any(abs(loss) > 1e-9 for loss in losses) or not norms or any(norms):
        return None
    return Finding(
        "dead",
        "The loss and its gradient have been exactly zero for several steps: no token of these rows is trained.",
        "The answers may lie beyond data.max_length, or the mask leaves nothing: `ftui data preview` shows it.",
        {"loss": 0.0, "gradient": 0.0},
    )


def _longer_warmup(case: Case) -> dict[str, float]:
    warmup = case.recipe.train.warmup
    return {"train.warmup": 0.1} if warmup < 0.1 else {}


def _rate(change: dict[str, float]) -> str:
    return f"{change['train.learning_rate']:g}"


RULES = (rising, spikes, clipped, at_chance, learns_nothing, dead)
