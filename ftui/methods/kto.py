"""Kahneman-Tversky optimization: the objective's options and its row.  Names and defaults are trl 1.16's."""

from __future__ import annotations

from typing import Any, Literal

from ftui.methods.row import ObjectiveRow
from ftui.methods.scoring import CompletionOptions, beta, precomputed_reference
from ftui.settings import setting


def _weight(title: str, kind: str) -> Any:
    return setting(
        1.0, title=title, help=f"The weight of {kind} answers in the loss.",
        why="Raise the rarer side's until both weigh about the same.", advanced=True, gt=0, le=1000,
    )


class KtoOptions(CompletionOptions):
    """Single answers with a thumb up or down, held against the untrained model."""

    kind: Literal["kto"] = setting(
        "kto",
        title="Objective",
        help="Kahneman-Tversky optimization: the model learns from single answers that are marked good or bad.",
        why="It is the objective for thumbs up and down, where no two answers to one prompt were compared.",
        term="KTO",
    )
    beta: float = beta(
        0.1, "How strongly the model is held to what it was before.",
        "Raise it when answers degrade, lower it when the marks are hardly learned.",
    )
    loss_type: Literal["kto", "apo_zero_unpaired"] = setting(
        "kto",
        title="Loss",
        help="The function of an answer's log-probability, by trl's names.",
        why="'apo_zero_unpaired' does without the divergence and so without its two forward passes.",
        advanced=True,
    )
    desirable_weight: float = _weight("Weight of the good", "good")
    undesirable_weight: float = _weight("Weight of the bad", "bad")
    precompute_reference: bool = precomputed_reference()


ROW = ObjectiveRow(
    kind="kto",
    title="Kahneman-Tversky optimization",
    when="You have single answers with a thumb up or down, not pairs.",
    data=("labelled", "preference"),
    form="labelled",
    options=KtoOptions,
    source="https://arxiv.org/abs/2402.01306",
)
