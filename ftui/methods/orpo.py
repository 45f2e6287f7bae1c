"""Odds-ratio preference optimization: the objective's options and its row.  Names and defaults are trl 1.16's."""

from __future__ import annotations

from typing import Literal

from ftui.methods.row import ObjectiveRow
from ftui.methods.scoring import CompletionOptions, beta
from ftui.settings import setting


class OrpoOptions(CompletionOptions):
    """Pairs of a better and a worse answer, learned in one go without a reference model."""

    kind: Literal["orpo"] = setting(
        "orpo",
        title="Objective",
        help="Odds-ratio preference optimization: learns the chosen answer and to prefer it, without a reference.",
        why="It joins supervised fine-tuning and preferences in one run; trl calls it experimental.",
        term="ORPO",
    )
    beta: float = beta(
        0.1, "The weight of the preference beside the imitation of the chosen answer.",
        "Raise it when the worse answer stays as likely as the better one.",
    )


ROW = ObjectiveRow(
    kind="orpo",
    title="Odds-ratio preference optimization",
    when="You have pairs of answers and a model that was not fine-tuned yet.",
    data=("preference",),
    form="pair",
    options=OrpoOptions,
    source="https://arxiv.org/abs/2403.07691",
)
