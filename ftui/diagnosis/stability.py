"""What the training loss and the gradients show: divergence, spikes, a rate too high or too low, nothing learnt."""

from __future__ import annotations

import math
from statistics import median

from ftui.diagnosis.case import PAIRED, Case, rounded
from ftui.diagnosis.doctor import Chart
from ftui.diagnosis.finding import Finding
from ftui.diagnosis.track import Track, slope, spread

FEW, LEAST = 8, 24
"""Logged losses before a burst is spoken of, and before anything else is."""
BURST = 1.4
"""Times the first losses: five of sixteen get that high by too large steps only."""
LOST = 0.4
"""Share of what was gained: a healthy loss never gives so much back."""
GAINED = 0.1
"""Share of the first losses by which a training that diverges later has fallen before."""
LONG = 3.0
"""Times the gradients around it: as long is a spike's."""
NEAR = 0.03
"""As a share of the loss of pure chance: nearer than this is chance."""
ACCURACY = {"dpo": "rewards/accuracies", "orpo": "rewards/accuracies", "cpo": "rewards/accuracies",
            "reward": "accuracy"}
"""What the share of pairs is called of which the better answer is known; only where the data has the pairs."""
TOSSES, COIN = 40, 0.05
"""Logged accuracies, and how near to one half their mean must be, that of either half of them twice as near: a
preference that is being learnt passes one half on its way, and is at 0.6 and more after a third of a run."""
THROWN, STUCK, DIED = 1.5, 0.6, 0.1
"""Times the first losses, the share of them at which it has stayed, and the share of the first gradients that is left:
a loss that falls has none of the first, and who has learnt as little has gradients yet."""
EXPLODED = 1e4
"""Times the first gradients: of 26 recorded healthy runs none had a gradient of 13 times those."""
SPIKES = 3
"""So many spikes among the newest losses are no accident."""
FLAT = 0.002
"""As a share of the first losses: evaluations of the same rows that differ by less have seen no progress."""
CLIPPED = 10.0
"""Gradients so many times as long as they may be: nearly all of each step is cut off."""


def rising(case: Case, chart: Chart) -> Finding | None:
    """The loss is far above where it began, or has lost most of what it had gained, and stays there."""
    if not case.falls or not chart.has("loss", FEW) or case.recipe.data.curriculum is not None:
        # Rows in an order of their own win and lose as the order goes.
        return None
    loss = chart["loss"]
    start, now = loss.start(4), loss.now(6)
    lowest = min(_levels(loss), default=start)
    high = max(BURST * start, 1.2 * max(loss.first(3)))
    burst = start > 0 and sum(one > high for one in loss.newest(16)) >= 5
    later = loss.count >= LEAST
    # What it writes itself is another text as it learns, and no harder or easier than before.
    written = getattr(case.recipe.objective, "on_policy", 0) > 0
    fell = start > lowest and loss.now(16) > max(lowest + LOST * (start - lowest), 1.2 * lowest)
    lost = later and not written and fell
    above = later and chart.step > case.warmup_steps and loss.now(16) > 1.02 * start + spread(loss.newest(32))
    if not (burst or lost or above):
        return None
    evidence = {"first": start, "lowest": lowest, "now": now, "learning_rate": float(case.recipe.train.learning_rate)}
    if lowest < (1 - GAINED) * start:
        change = case.slower(3) | _longer_warmup(case)
        return Finding(
            "diverging",
            f"The training diverges: the loss fell from {start:.3g} to {lowest:.3g} and stands at {now:.3g}.",
            f"Stop, and start again with a third of the learning rate ({_rate(change)}) and a longer warm-up; the best "
            "checkpoint so far is kept.",
            evidence, change, "grave",
        )
    change = case.slower(5) | _longer_warmup(case)
    return Finding(
        "learning_rate_high",
        f"The loss rises from the start, from {start:.3g} to {now:.3g}: the learning rate of "
        f"{case.recipe.train.learning_rate:g} is too high.",
        f"Stop, and start again with a fifth of it: {_rate(change)}.",
        evidence, change, "grave",
    )


def thrown_off(case: Case, chart: Chart) -> Finding | None:
    """Early steps threw the weights to where nothing is learnt any more, or gradients explode."""
    if not case.falls or not chart.has("loss", LEAST) or not chart.has("grad_norm", LEAST):
        return None
    loss, norm = chart["loss"], chart["grad_norm"]
    start, now, usual, lately = loss.start(4), loss.now(16), norm.start(4), median(norm.newest(16))
    high = [one for one in loss.first(32) if one > THROWN * start]
    exploded = [one for one in norm.newest(64) if one > EXPLODED * max(median(norm.first(16)), NEAR)]
    rate, change = float(case.recipe.train.learning_rate), case.slower(10) | _longer_warmup(case)
    evidence = {"first": start, "now": now, "gradient": lately, "learning_rate": rate}
    if len(high) >= 2 and now > STUCK * start and lately < DIED * usual:
        said = (f"The first steps threw the loss from {start:.3g} to {max(high):.3g}, and it stands at {now:.3g} with "
                f"gradients of {lately:.2g}, which were {usual:.2g}")
        evidence["highest"] = max(high)
    elif len(exploded) >= SPIKES:
        said = f"Gradients explode: {len(exploded)} of the newest {len(norm.newest(64))} reach {max(exploded):.2g}"
        evidence["longest"] = max(exploded)
    else:
        return None
    return Finding(
        "learning_rate_high", f"{said}: the learning rate of {rate:g} is too high.",
        f"Stop, and start again with a tenth of it: {_rate(change)}.", evidence, change, "grave",
    )


def _levels(loss: Track) -> list[float]:
    """The medians of what eight losses or more were, all through the run."""
    means = loss.stretches()
    width = max(1, 8 * len(means) // max(1, loss.count))
    return [
        median(stretch.mean for stretch in means[at : at + width]) for at in range(0, len(means) - width + 1)
    ]


def spikes(case: Case, chart: Chart) -> Finding | None:
    """Some batches throw the loss far above those around them, and the gradient with it."""
    if not case.falls or not chart.has("loss", 64) or not chart.has("grad_norm", 64):
        return None
    loss, norm = chart["loss"].newest(128), chart["grad_norm"].newest(128)
    if len(loss) != len(norm):
        return None
    around, lengths = _middles(loss), _middles(norm)
    scale = max(map(abs, chart["loss"].first(4)))
    usual = spread([one - middle for one, middle in zip(loss, around, strict=True)])
    found = [
        at for at, step in enumerate(chart["loss"].steps(128))
        if step > case.warmup_steps and norm[at] > LONG * lengths[at]
        and loss[at] > around[at] + max(8 * usual, 0.5 * abs(around[at]), 0.25 * scale)
    ]
    if len(found) < SPIKES:
        return None
    newest, step = found[-1], chart["loss"].steps(128)[found[-1]]
    limit = case.recipe.train.max_grad_norm
    # Twice what is usual here, or tighter than what lets them through now.
    tighter = rounded(min(limit / 2 if limit else math.inf, 2 * lengths[newest]))
    return Finding(
        "spikes",
        f"{len(found)} of the newest {len(loss)} losses are spikes, lately {loss[newest]:.3g} at step {step:,} where "
        f"{around[newest]:.3g} is usual, with gradients over {LONG:g} times as long.",
        "Look for broken rows (`ftui data check --deep`); clipping gradients "
        f"at {tighter:g} keeps one such batch from undoing many good ones.",
        {"spikes": float(len(found)), "usual": around[newest], "newest": float(step)},
        {"train.max_grad_norm": tighter},
    )


def _middles(values: list[float]) -> list[float]:
    """The median around each value."""
    return [median(values[max(at - 7, 0) : at + 8]) for at in range(len(values))]


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
    """The loss is that of a model that guesses, long after the start; of two answers it is right every other time."""
    if not chart.has("loss", 40) or (case.steps and case.share(chart.step) < 0.15):
        return None
    if case.chance is None:
        return _coin(case, chart)
    now = chart["loss"].now(16)
    if case.objective == "sft":
        if now < 0.85 * case.chance:
            return None
    elif abs(now - case.chance) > NEAR * case.chance or _tells_apart(case, chart):
        return _coin(case, chart)
    what = {
        "sft": "Check the chat template and the tokenizer (`ftui data preview`): text in a foreign template looks so.",
        "classify": "Check that the labels belong to their texts, and raise the learning rate or the rank.",
    }.get(case.objective, "Check that chosen and rejected are the right way round, and raise the learning rate.")
    own = {} if case.recipe.data.template == "auto" else {"data.template": "auto"}
    change = own if case.objective == "sft" else _faster(case)
    return Finding(
        "chance",
        f"The loss, {now:.3g}, is that of guessing ({case.chance:.3g}): nothing was learnt in {chart.step:,} steps.",
        what, {"loss": now, "chance": case.chance}, change, "grave",
    )


def _tells_apart(case: Case, chart: Chart) -> bool:
    """Whether the better answer is known more often than by chance, though the loss hardly shows it."""
    name = ACCURACY.get(case.objective, "")
    return case.objective in PAIRED and chart.has(name, 8) and chart[name].now(16) >= 0.6


def _coin(case: Case, chart: Chart) -> Finding | None:
    """The better answer is known as often as by tossing a coin, after a third of the run, whatever the loss says."""
    name = ACCURACY.get(case.objective, "")
    if not chart.has(name, TOSSES) or case.share(chart.step) < 1 / 3:
        return None
    newest = chart[name].newest(TOSSES)
    right = math.fsum(newest) / len(newest)
    halves = [math.fsum(half) / len(half) for half in (newest[: TOSSES // 2], newest[TOSSES // 2 :])]
    if abs(right - 0.5) > COIN or any(abs(half - 0.5) > 2 * COIN for half in halves):
        return None
    return Finding(
        "chance",
        f"Of two answers the model knows the better one {right:.0%} of the time, as by tossing a coin, after "
        f"{chart.step:,} steps.",
        "Check that chosen and rejected are the right way round and differ in what you want, and raise the learning "
        "rate.",
        {"accuracy": right}, _faster(case), "grave",
    )


def _faster(case: Case) -> dict[str, float]:
    return {"train.learning_rate": rounded(3 * float(case.recipe.train.learning_rate))}


def learns_nothing(case: Case, chart: Chart) -> Finding | None:
    """A third of the run has brought next to nothing, though it isn't at the end of its schedule."""
    if not case.falls or not chart.has("loss", 40) or case.share(chart.step) < 1 / 3:
        return None
    loss = chart["loss"]
    start, now = loss.start(16), loss.now(32)
    if start <= 0 or now < 0.05:
        return None
    if not _flat(chart, start):
        if now < 0.98 * start or now > 1.02 * start:
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


def _flat(chart: Chart, start: float) -> bool:
    """Whether the held-out loss, which no choice of rows makes noisy, stands where the training began."""
    losses = [values["loss"] for _, values in chart.evaluations if "loss" in values]
    noise = spread(chart["loss"].first(32))
    return len(losses) >= 3 and max(losses) - min(losses) <= FLAT * start and abs(losses[0] - start) <= noise


def dead(case: Case, chart: Chart) -> Finding | None:
    """Loss and gradient are exactly zero: there is nothing left in the rows to train on."""
    if not case.falls or not chart.has("loss", 12):
        return None
    losses, norms = chart["loss"].newest(8), chart["grad_norm"].newest(8)
    if any(abs(loss) > 1e-9 for loss in losses) or not norms or any(norms):
        return None
    length = case.recipe.data.max_length
    return Finding(
        "dead",
        "The loss and its gradient have been exactly zero for several steps: no token of these rows is trained.",
        "The answers may lie beyond data.max_length, or the mask leaves nothing: `ftui data preview` shows it.",
        {"loss": 0.0, "gradient": 0.0}, {"data.max_length": 2 * length} if isinstance(length, int) else {}, "grave",
    )


def _longer_warmup(case: Case) -> dict[str, float]:
    warmup = case.recipe.train.warmup
    return {"train.warmup": 0.1} if warmup < 0.1 else {}


def _rate(change: dict[str, float]) -> str:
    return f"{change['train.learning_rate']:g}"


RULES = (rising, thrown_off, spikes, clipped, at_chance, learns_nothing, dead)
