"""Direct preference optimization: trl's DPOTrainer, fed with tokens and masks that `ftui.data.prepare()` made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from ftui.data import Prepared
from ftui.recipe.document import Recipe
from ftui.worker.arguments import arguments, offloads
from ftui.worker.collate_pairs import REFERENCE, PairCollator
from ftui.worker.precision import Precision
from ftui.worker.reference import Referenced, leave_out_copy
from ftui.worker.trainer import RunTrainer, settled


class DpoTrainer(RunTrainer, DPOTrainer):
    """trl's trainer, but the rows come as tokens, and the reference is asked beforehand where the recipe says so."""

    def __init__(self, model: Any, args: DPOConfig, prepared: Prepared, tokenizer: Any, collator: PairCollator,
                 *, precomputed: bool) -> None:
        # trl looks at the first row and insists on a Dataset; the rows themselves stay where they are.
        first = Dataset.from_list([prepared.train[0]])
        super().__init__(
            model=model, args=args, train_dataset=first, processing_class=tokenizer, data_collator=collator
        )
        if precomputed:
            self.ref_model = None
        leave_out_copy(self.model)
        self.train_dataset, self.eval_dataset = prepared.train, prepared.validation
        self.precomputed = precomputed

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Ask the reference about all rows first, where its answers are kept; the model is its own reference then."""
        if self.precomputed and not self.precompute_ref_logps:
            self.train_dataset = self._with_reference(self.train_dataset)
            self.eval_dataset = self._with_reference(self.eval_dataset)
            self.precompute_ref_logps = True
        return super().train(*args, **kwargs)

    def _with_reference(self, rows: Any) -> Referenced:
        answers = torch.empty(len(rows), len(REFERENCE))
        trained = self._trained_model()
        model = self.accelerator.prepare_model(trained, evaluation_mode=True)
        size = self.args.per_device_eval_batch_size
        was_training = trained.training
        trained.eval()
        for start in range(0, len(rows), size):
            batch = self.data_collator([rows[index] for index in range(start, min(start + size, len(rows)))])
            batch.pop("tokens")
            sides = self.compute_ref_log_probs(model, self._prepare_inputs(batch))
            answers[start : start + size] = torch.stack(sides, dim=1).float().cpu()
        trained.train(was_training)
        return Referenced(rows, REFERENCE, answers)


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> DpoTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go."""
    options: Any = recipe.objective
    made = arguments(
        DPOConfig, recipe, precision, device, folder, activation_offloading=offloads(recipe, device), max_length=None,
        beta=options.beta, loss_type=[options.loss_type], label_smoothing=options.label_smoothing,
        # The reference is no second model then; its answers are kept by ftui, whose rows are no Dataset.
        precompute_ref_log_probs=False, router_aux_loss_coef=0.0,
    )
    collator = PairCollator(tokenizer.pad_token_id, multiple=8 if device == "cuda" else 1)
    with settled(model, precision):
        return DpoTrainer(model, made, prepared, tokenizer, collator, precomputed=options.precompute_reference)
