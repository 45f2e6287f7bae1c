"""Kahneman-Tversky optimization: trl's KTOTrainer, fed with labelled answers that `ftui.data.prepare()` made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import KTOConfig, KTOTrainer
from trl.trainer import kto_trainer

from ftui.data import Prepared
from ftui.recipe.document import Recipe
from ftui.worker.arguments import arguments, offloads
from ftui.worker.collate_pairs import REFERENCE_LABELLED, LabelledCollator, least_width
from ftui.worker.mismatched import Mismatched
from ftui.worker.precision import Precision
from ftui.worker.reference import ReferenceTrainer, reference_of
from ftui.worker.trainer import settled


class KtoTrainer(ReferenceTrainer, KTOTrainer):
    """trl's trainer, but the rows come as tokens, in an order that was drawn before the first epoch."""

    def __init__(
        self, model: Any, args: KTOConfig, prepared: Prepared, tokenizer: Any, collator: LabelledCollator
    ) -> None:
        wanted = args.per_device_train_batch_size
        # trl refuses single rows, since each would be its own stranger; here the stranger comes from another batch.
        args.per_device_train_batch_size = max(2, wanted)
        first = Dataset.from_list([prepared.train[0]])
        super().__init__(
            model=model, args=args, train_dataset=first, processing_class=tokenizer, data_collator=collator
        )
        args.per_device_train_batch_size = wanted
        strangers: bool = self.calculate_KL
        self.reference_names = REFERENCE_LABELLED if strangers else REFERENCE_LABELLED[:1]
        self.train_dataset = Mismatched(prepared.train, wanted, args.seed, strangers=strangers)
        # An evaluation may have smaller batches than a step, and its strangers come from within them, too.
        self.eval_dataset = Mismatched(
            prepared.validation, args.per_device_eval_batch_size, args.seed, strangers=strangers
        )


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> KtoTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go."""
    options: Any = recipe.objective
    made = arguments(
        KTOConfig, recipe, precision, device, folder, activation_offloading=offloads(recipe, device), max_length=None,
        beta=options.beta, loss_type=options.loss_type, desirable_weight=options.desirable_weight,
        undesirable_weight=options.undesirable_weight, precompute_ref_log_probs=options.precompute_reference,
        # The rows come shuffled, and each block with its own strangers.
        router_aux_loss_coef=0.0, train_sampling_strategy="sequential",
    )
    collator = LabelledCollator(
        tokenizer.pad_token_id, int(recipe.data.max_length), multiple=8 if device == "cuda" else 1,
        width=least_width(recipe),
    )
    with settled(model, precision), reference_of(model, recipe, kto_trainer):
        return KtoTrainer(model, made, prepared, tokenizer, collator)
