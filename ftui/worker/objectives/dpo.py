"""Direct preference optimization: trl's DPOTrainer, fed with tokens and masks that `ftui.data.prepare()` made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer
from trl.trainer import dpo_trainer

from ftui.data import Prepared
from ftui.recipe.document import Recipe
from ftui.worker.arguments import arguments, offloads
from ftui.worker.collate_pairs import REFERENCE, PairCollator, least_width
from ftui.worker.precision import Precision
from ftui.worker.reference import ReferenceTrainer, reference_of
from ftui.worker.trainer import settled


class DpoTrainer(ReferenceTrainer, DPOTrainer):
    """trl's trainer, but the rows come as tokens."""

    reference_names = REFERENCE

    def __init__(self, model: Any, args: DPOConfig, prepared: Prepared, tokenizer: Any, collator: PairCollator) -> None:
        # trl looks at the first row and insists on a Dataset; the rows themselves stay where they are.
        first = Dataset.from_list([prepared.train[0]])
        super().__init__(
            model=model, args=args, train_dataset=first, processing_class=tokenizer, data_collator=collator
        )
        self.train_dataset, self.eval_dataset = prepared.train, prepared.validation


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> DpoTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go."""
    options: Any = recipe.objective
    losses, weights = [options.loss_type], [1.0]
    if options.imitation:
        losses, weights = [*losses, "sft"], [*weights, options.imitation]
    made = arguments(
        DPOConfig, recipe, precision, device, folder, activation_offloading=offloads(recipe, device), max_length=None,
        beta=options.beta, loss_type=losses, loss_weights=weights, label_smoothing=options.label_smoothing,
        f_divergence_type=options.divergence, ld_alpha=options.tail_weight, use_weighting=options.weighting,
        precompute_ref_log_probs=options.precompute_reference, router_aux_loss_coef=0.0,
    )
    collator = PairCollator(
        tokenizer.pad_token_id, multiple=8 if device == "cuda" else 1, width=least_width(recipe)
    )
    with settled(model, precision), reference_of(model, recipe, dpo_trainer):
        return DpoTrainer(model, made, prepared, tokenizer, collator)
