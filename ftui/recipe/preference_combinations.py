"""Options of objectives that trl refuses only after the model is loaded, or passes over in silence."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.methods import OBJECTIVES, ClassifyOptions, CpoOptions, DpoOptions, KtoOptions, OrpoOptions
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

SMOOTHED = ("robust", "exo_pair", "aot", "aot_unpaired")
"""trl's losses of DPO that take label smoothing."""
BY_DIFFERENCE = ("sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop")
"""Those in which only the difference of the two answers counts, as another divergence needs it."""
SORTED = ("aot", "aot_unpaired")


def wrong_preference(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that its preference objective can't be."""
    options, row = recipe.objective, OBJECTIVES[recipe.objective.kind]
    if row.form != "sequence" and (recipe.data.packing is True or recipe.data.padding == "free"):
        yield (f"{row.title} looks at each row by itself: its rows can't lie end to end in one sequence.",
               "Write data.packing: false and data.padding: longest.")
    if row.form in ("pair", "labelled") and getattr(recipe.adapter, "dropout", "auto") not in ("auto", 0):
        yield (f"trl switches dropout off for {row.kind}: two answers are compared, and noise on one of them would be "
               "taken for a preference.", "Write adapter.dropout: 0.")
    if isinstance(options, DpoOptions):
        yield from _dpo(options)
    if isinstance(options, DpoOptions | KtoOptions) and recipe.train.neftune:
        yield ("train.neftune puts noise into what is read, and the reference would read other noise than the model.",
               "Write train.neftune: null.")
    if isinstance(options, CpoOptions) and options.label_smoothing and options.loss_type in ("hinge", "ipo"):
        yield (f"The loss {options.loss_type} has no label smoothing, and trl would pass over it.",
               "Write objective.label_smoothing: 0, or objective.loss_type: sigmoid or simpo.")
    if isinstance(options, OrpoOptions | CpoOptions | ClassifyOptions) and recipe.train.activation_offload:
        yield (f"The trainer of {options.kind} offloads no activations.", "Write train.activation_offload: false.")
    if row.head == "scores" and recipe.evaluate.prompts:
        yield (f"{row.title} makes a model that gives scores and answers no prompts.", "Leave out evaluate.prompts.")


def _dpo(options: DpoOptions) -> Iterator[Wrong]:
    loss = options.loss_type
    if loss == "exo_pair" and not options.label_smoothing:
        yield ("The loss exo_pair divides by the label smoothing, which is 0.",
               "Write objective.label_smoothing: 0.001, as its authors do.")
    if options.label_smoothing and loss not in SMOOTHED:
        yield (f"The loss {loss} has no label smoothing in trl, which would pass over it.",
               "Write objective.loss_type: robust, or objective.label_smoothing: 0.")
    if options.divergence != "reverse_kl" and loss not in BY_DIFFERENCE:
        yield (f"The loss {loss} looks at each answer by itself, which goes with the divergence reverse_kl only.",
               "Write objective.divergence: reverse_kl, or objective.loss_type: sigmoid.")
    if options.weighting and loss in SORTED:
        yield (f"The loss {loss} sorts the pairs of a batch, so that their weights would be others'.",
               "Write objective.weighting: false, or objective.loss_type: sigmoid.")
