"""Supervised fine-tuning: trl's SFTTrainer, fed with tokens and masks that `ftui.data.prepare()` made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from ftui.data import Prepared
from ftui.recipe.document import Recipe
from ftui.worker.arguments import arguments, offloads
from ftui.worker.collate import Collator
from ftui.worker.loss import Weighting, add_loss
from ftui.worker.pictures import pictures_of
from ftui.worker.precision import Precision
from ftui.worker.trainer import RunTrainer, settled


class SftTrainer(RunTrainer, SFTTrainer):
    """trl's trainer, but the rows come as tokens, and the loss is the one that the recipe names: by default it builds
    no logits beyond a chunk of the trained ones, and neither entropies nor token accuracies.
    """

    loss_is_scaled_for_ga: bool | None = True  # type: ignore[assignment]  # trl says None, transformers takes both

    def __init__(
        self, model: Any, args: SFTConfig, prepared: Prepared, tokenizer: Any, collator: Collator, loss: str,
        weighting: Weighting,
    ) -> None:
        # trl looks at the first row and insists on a Dataset; the rows themselves stay where they are, five bytes a
        # token in place of the twenty-four of an Arrow table.  Images are the collator's alone: trl would want to
        # process them itself.
        row = prepared.train[0]
        first = Dataset.from_list([{name: values for name, values in row.items() if name != "images"}])
        with _plain_head(model):
            super().__init__(
                model=model, args=args, train_dataset=first, processing_class=tokenizer, data_collator=collator
            )
        self.train_dataset = prepared.train
        self.eval_dataset = prepared.validation
        # The trained tokens of a whole optimizer step are counted before it, and `compute_loss` divides by them.
        self.model_accepts_loss_kwargs = True
        wrapped: Any = self.model
        add_loss(wrapped.get_base_model() if hasattr(wrapped, "get_base_model") else wrapped, loss, weighting)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The summed loss over the trained tokens, divided by those of the whole optimizer step."""
        output = model(**inputs, summed_loss=True)
        count = output.count if num_items_in_batch is None else num_items_in_batch
        loss = output.loss / torch.as_tensor(count, device=output.loss.device).clamp(min=1)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes
        return (loss, output) if return_outputs else loss

    def judge_batch(self, inputs: dict[str, Any]) -> tuple[float, int]:
        """By tokens: whatever the batches, the same mean, which a mean of means is not."""
        output = self.model_wrapped(**inputs, summed_loss=True)
        return output.loss.item(), int(output.count)


@contextlib.contextmanager
def _plain_head(model: Any) -> Iterator[None]:
    """Around the making of trl's trainer: trained tokens in a tied head are out of its sight.

    trl refuses any adapter there, for its own loss would read the head's weight past it; ftui's reads the whole.
    """
    head = model.get_output_embeddings()
    if not hasattr(head, "get_merged_weights"):
        yield
        return
    model.get_output_embeddings = lambda: head.base_layer
    try:
        yield
    finally:
        del model.get_output_embeddings


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> SftTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go."""
    collator = collator_of(recipe, tokenizer.pad_token_id, device, packed=prepared.packed)
    if prepared.pictured:
        collator = replace(collator, pictures=pictures_of(model))
    made = config(recipe, precision, device, folder)
    options: Any = recipe.objective
    weighting = Weighting(options.loss_type == "dft", options.label_smoothing)
    with settled(model, precision):
        return SftTrainer(model, made, prepared, tokenizer, collator, recipe.train.loss, weighting)


def collator_of(recipe: Recipe, pad_id: int, device: str, *, packed: bool) -> Collator:
    """How rows become a micro-batch: as data.padding says; packed sequences lie end to end as they are."""
    flash, free = recipe.model.attention == "flash_attention_2", recipe.data.padding == "free" and not packed
    return Collator(
        pad_id=pad_id, packed=packed or free, flatten=free or (packed and flash), boundaries=flash,
        width=int(recipe.data.max_length) if recipe.data.padding == "max_length" else 0,
        multiple=8 if device == "cuda" and not free else 1, tasks=hasattr(recipe.adapter, "tasks"),
    )


def config(recipe: Recipe, precision: Precision, device: str, folder: Path) -> SFTConfig:
    """trl's arguments for a resolved recipe: the rows come prepared, so that it has nothing to cut or pack."""
    made: SFTConfig = arguments(
        SFTConfig, recipe, precision, device, folder, activation_offloading=offloads(recipe, device), max_length=None,
        packing=False, router_aux_loss_coef=0.0, dataset_kwargs={"skip_prepare_dataset": True},
    )
    return made
