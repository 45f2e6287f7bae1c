"""What the evaluations show beside the training loss: overfitting, and a run that brings nothing any more."""

from __future__ import annotations

from typing import Any

from ftui.diagnosis.case import Case, rounded
from ftui.diagnosis.doctor import Chart
from ftui.diagnosis.finding import Finding

WORSE = 0.03
"""How far the validation loss must have risen above its best, as a share of it."""
LEAST = 0.01
"""The same as a share of the first training losses: what is next to nothing may well double."""
FELL = 0.03
"""How far the training loss must have fallen meanwhile."""
LOOKS = 4
"""Evaluations without a better one before a run is said to stand still."""
EXACT = 1e-3
"""How near to a whole number of labels accuracy and F1 must come, as they are written with five digits; of other
predictions one in some hundred does by chance, and three in a row none."""
STILL = 0.003
"""As a share of what the run has gained, or of the loss where that is more: less is no progress."""


def overfitting(case: Case, chart: Chart) -> Finding | None:
    """The training loss falls while the validation loss rises."""
    losses = [(step, values["loss"]) for step, values in chart.evaluations if "loss" in values]
    if not case.falls or len(losses) < 3:
        return None
    best_step, best = min(losses, key=lambda point: point[1])
    since = [loss for step, loss in losses if step > best_step]
    if len(since) < 2 or since[-1] < best * (1 + WORSE) or since[-2] < best * (1 + WORSE / 6):
        return None
    if since[-1] - best < LEAST * max(chart["loss"].first(4), default=0.0):
        return None
    stride = max(losses[-1][0] - losses[-2][0], 1)
    before = chart["loss"].mean(best_step - stride, best_step)
    now = chart["loss"].mean(chart.step - stride, chart.step)
    if before is None or now is None or now > before * (1 - FELL):
        return None
    change = _milder(case, best_step)
    return Finding(
        "overfitting",
        f"Overfitting: since step {best_step:,} the validation loss rose from {best:.3g} to {since[-1]:.3g} while the "
        f"training loss fell from {before:.3g} to {now:.3g}.",
        f"Stop at the best checkpoint, step {best_step:,}{f'; next time: {_words(case, change)}' if change else ''}.",
        {"best_step": float(best_step), "best": best, "now": since[-1], "train_before": before, "train_now": now},
        change,
    )


def standing_still(case: Case, chart: Chart) -> Finding | None:
    """Several evaluations in a row within a hair of each other, with much of the run still to come."""
    losses = [(step, values["loss"]) for step, values in chart.evaluations if "loss" in values]
    if not case.falls or len(losses) <= LOOKS or not case.steps or case.share(chart.step) > 0.75:
        return None
    if case.objective == "sft" and losses[-1][1] <= 0.01:
        return None
    reached = min(loss for _, loss in losses[:-LOOKS])
    newest = [loss for _, loss in losses[-LOOKS:]]
    gained = max(losses[0][1] - reached, 0.0)
    if min(newest) < reached - STILL * max(gained, reached) or max(newest) > reached * (1 + WORSE):
        return None
    since = losses[-LOOKS - 1][0]
    return Finding(
        "plateau",
        f"The validation loss stands still: {reached:.4g} by step {since:,}, {newest[-1]:.4g} now, with "
        f"{1 - case.share(chart.step):.0%} of the run to come.",
        f"Stop here and keep the best checkpoint; next time {since:,} steps are enough.",
        {"reached": reached, "now": newest[-1], "since": float(since)}, _shorter(case, since), "note",
    )


def one_class(case: Case, chart: Chart) -> Finding | None:
    """A classifier gives every text the same label.

    Accuracy and macro F1 tell it together: of one label given alone, accuracy p is its share of the rows, its F1 is
    2p / (1 + p), and all others have 0, so that 2p / (1 + p) over F1 is the number of labels, a whole one.
    """
    scores = [(step, values) for step, values in chart.evaluations if {"accuracy", "f1"} <= values.keys()]
    if case.objective != "classify" or len(scores) < LOOKS or getattr(case.recipe.objective, "multi_label", False):
        return None
    if not all(_gives_one(values["accuracy"], values["f1"]) for _, values in scores[-LOOKS + 1 :]):
        return None
    accuracy = scores[-1][1]["accuracy"]
    weights = getattr(case.recipe.objective, "class_weights", "balanced")
    change: dict[str, Any] = {"objective.class_weights": "balanced"} if weights == "none" else case.slower(3)
    return Finding(
        "one_class",
        f"Every held-out text gets the same label: the accuracy, {accuracy:.3g}, is that label's share of them.",
        "Weighing the labels by how rare they are makes the others count; check that the labels belong to their texts."
        if weights == "none" else "A third of the learning rate; check that the labels belong to their texts.",
        {"accuracy": accuracy, "f1": scores[-1][1]["f1"], "since": float(scores[-LOOKS + 1][0])}, change, "grave",
    )


def _gives_one(accuracy: float, f1: float) -> bool:
    if not 0 < accuracy < 1 or f1 <= 0:
        return False
    labels = 2 * accuracy / (1 + accuracy) / f1
    return labels > 1.5 and abs(labels - round(labels)) < EXACT * labels


def _shorter(case: Case, step: int) -> dict[str, Any]:
    """So many epochs or steps that the run ends about there."""
    train = case.recipe.train
    if train.max_steps is not None:
        return {"train.max_steps": step} if 0 < step < train.max_steps else {}
    enough = round(train.epochs * step / case.steps, 1) if case.steps else 0
    return {"train.epochs": enough} if 0 < enough < train.epochs else {}


def _milder(case: Case, best_step: int) -> dict[str, Any]:
    """Fewer epochs, half the rank, more dropout: what of it the recipe has."""
    recipe, change = case.recipe, _shorter(case, best_step)
    rank, dropout = getattr(recipe.adapter, "rank", None), getattr(recipe.adapter, "dropout", None)
    if isinstance(rank, int) and rank >= 4:
        change["adapter.rank"] = rank // 2
        alpha = getattr(recipe.adapter, "alpha", None)
        if isinstance(alpha, int | float):
            # The adapter's scale is alpha over the rank: it stays.
            change["adapter.alpha"] = alpha // 2 if isinstance(alpha, int) and alpha % 2 == 0 else alpha / 2
    if isinstance(dropout, int | float) and dropout < 0.1:
        change["adapter.dropout"] = 0.1 if dropout >= 0.05 else 0.05
    if rank is None and recipe.train.weight_decay < 0.1:
        change["train.weight_decay"] = rounded(max(0.01, 10 * recipe.train.weight_decay))
    return change


def _words(case: Case, change: dict[str, Any]) -> str:
    before = {"adapter": case.recipe.adapter, "train": case.recipe.train}
    parts = []
    for path, value in change.items():
        section, name = path.split(".")
        parts.append(f"{name.replace('_', ' ')} {getattr(before[section], name)} → {value}")
    return ", ".join(parts)


RULES = (overfitting, standing_still, one_class)
