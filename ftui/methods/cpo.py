"""Contrastive preference optimization and SimPO: the objective's options and its row.  Names and defaults are trl
1.16's."""

from __future__ import annotations

from typing import Literal

from ftui.methods.row import ObjectiveRow
from ftui.methods.scoring import CompletionOptions, beta
from ftui.settings import setting


class CpoOptions(CompletionOptions):
    """Pairs of a better and a worse answer, without a reference model."""

    kind: Literal["cpo"] = setting(
        "cpo",
        title="Objective",
        help="Contrastive preference optimization: learns to prefer the chosen answer, without a reference model. "
        "With the loss simpo and no imitation it is SimPO.",
        why="It takes the memory of one model and the passes of one; trl calls it experimental.",
        term="CPO",
    )
    beta: float = beta(
        0.1, "How steeply the loss falls as the chosen answer gets likelier than the rejected one.",
        "SimPO's authors take 2 to 2.5, since it compares log-probabilities per token.",
    )
    loss_type: Literal["sigmoid", "hinge", "ipo", "simpo"] = setting(
        "sigmoid",
        title="Loss",
        help="The function of the two answers' log-probabilities, by trl's names.",
        why="'simpo' compares them per token and asks for a margin, so that long answers are not preferred.",
    )
    cpo_alpha: float = setting(
        1.0,
        title="Imitation",
        help="The weight of imitating the chosen answer beside preferring it.",
        why="0 with the loss simpo is SimPO as it was published; a little of it keeps answers fluent.",
        ge=0,
        le=100,
    )
    simpo_gamma: float = setting(
        0.5,
        title="SimPO's margin",
        help="By how much beta times the log-probability per token is to be higher; for the loss simpo only.",
        why="Its authors take 0.3 to 1.6.",
        advanced=True,
        ge=0,
        le=100,
    )
    label_smoothing: float = setting(
        0.0,
        title="Label smoothing",
        help="The share of pairs taken to be labelled the wrong way round.",
        why="Set about 0.1 for noisy labels, with the losses sigmoid and simpo.",
        advanced=True,
        ge=0,
        lt=0.5,
    )


ROW = ObjectiveRow(
    kind="cpo",
    title="Contrastive preference optimization",
    when="You have pairs of answers, and no memory or time for a reference model; SimPO is one of its losses.",
    data=("preference",),
    form="pair",
    options=CpoOptions,
    source="https://arxiv.org/abs/2401.08417",
)
