"""Direct preference optimization: the objective's options and its row.  Names and defaults are trl 1.16's."""

from __future__ import annotations

from typing import Literal

from ftui.methods.row import ObjectiveRow
from ftui.methods.scoring import CompletionOptions, beta, precomputed_reference
from ftui.settings import setting


class DpoOptions(CompletionOptions):
    """Pairs of a better and a worse answer, held against the untrained model."""

    kind: Literal["dpo"] = setting(
        "dpo",
        title="Objective",
        help="Direct preference optimization: of two answers the model learns to prefer the chosen one.",
        why="It is the objective for pairs of a better and a worse answer, mostly after supervised fine-tuning.",
        term="DPO",
    )
    beta: float = beta(
        0.1, "How strongly the model is held to what it was before.",
        "Raise it when answers degrade, lower it when preferences are hardly learned.",
    )
    loss_type: Literal[
        "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
        "apo_zero", "apo_down", "discopop", "sigmoid_norm",
    ] = setting(
        "sigmoid",
        title="Loss",
        help="The function of the two answers' log-probabilities, by trl's names.",
        why="'ipo' for preferences that are certain, 'robust' for labels that are often wrong.",
        advanced=True,
    )
    label_smoothing: float = setting(
        0.0,
        title="Label smoothing",
        help="The share of pairs taken to be labelled the wrong way round.",
        why="Set about 0.1 for noisy labels, with the losses robust and exo_pair.",
        advanced=True,
        ge=0,
        lt=0.5,
    )
    imitation: float = setting(
        0.0,
        title="Imitation",
        help="The weight of imitating the chosen answer beside preferring it.",
        why="DPO may make both answers less likely; a weight about 1 keeps the chosen one likely, as RPO does.",
        advanced=True,
        ge=0,
        le=100,
    )
    divergence: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = setting(
        "reverse_kl",
        title="Divergence",
        help="How the distance to the untrained model is measured, by trl's names.",
        why="'js_divergence' and 'forward_kl' let answers vary more (https://arxiv.org/abs/2309.16240).",
        advanced=True,
    )
    tail_weight: float | None = setting(
        None,
        title="Weight of the tail",
        help="How much the longer answer's tokens count beyond the shorter one's length; empty counts them in full.",
        why="Lower it when answers get longer and longer (LD-DPO, https://arxiv.org/abs/2409.06411).",
        advanced=True,
        ge=0,
        le=1,
    )
    weighting: bool = setting(
        False,
        title="Weigh by likelihood",
        help="Weighs each pair by how likely the model is to write it.",
        why="For answers that other models wrote (WPO, https://arxiv.org/abs/2406.11827).",
        advanced=True,
    )
    precompute_reference: bool = precomputed_reference()


ROW = ObjectiveRow(
    kind="dpo",
    title="Direct preference optimization",
    when="You have pairs of a better and a worse answer to the same prompt.",
    data=("preference",),
    form="pair",
    options=DpoOptions,
    source="https://arxiv.org/abs/2305.18290",
)
