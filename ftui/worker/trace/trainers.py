"""A trainer for a model on fake tensors, by the library whose training step a recipe means."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.precision import Precision


def ftui(model: Any, recipe: Recipe, precision: Precision, folder: Path, labels: int = 2) -> Any:
    """The worker's own, by the objective's builder; a classifier tells `labels` apart."""
    from ftui.worker.objectives import builder
    from ftui.worker.trace.batches import rows_of
    from ftui.worker.trace.companions import companions

    rows: Any = rows_of(recipe, labels)
    with companions(model):
        # Everything says "cpu" here, so the arguments must as well.
        return builder(recipe.objective.kind)(model, recipe, rows, tokenizer(), precision, "cpu", folder)


def trl(model: Any, recipe: Recipe, precision: Precision, folder: Path, labels: int = 2) -> Any:
    """trl's SFTTrainer as it is, with its fused head unless the recipe says that all logits are built."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    arguments = _arguments(SFTConfig, recipe, precision, folder)
    arguments.max_length, arguments.packing = None, False
    arguments.dataset_kwargs = {"skip_prepare_dataset": True}
    trainer: Any = SFTTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list([{"input_ids": [0, 1]}]),
        processing_class=tokenizer(), data_collator=_untouched,
    )
    if recipe.train.loss in ("full", "chunked"):
        _plain_loss(trainer)
    return trainer


def transformers(model: Any, recipe: Recipe, precision: Precision, folder: Path, labels: int = 2) -> Any:
    """transformers' Trainer and its loss: float32 logits of every token."""
    from transformers import Trainer, TrainingArguments

    return Trainer(
        model=model, args=_arguments(TrainingArguments, recipe, precision, folder), data_collator=_untouched,
        processing_class=tokenizer(),
    )


BUILDERS: dict[str, Callable[..., Any]] = {
    "ftui": ftui, "trl": trl, "transformers": transformers,
}


def _arguments(kind: Any, recipe: Recipe, precision: Precision, folder: Path) -> Any:
    """The worker's arguments, as an object of another library's class."""
    from ftui.worker.objectives.sft import config

    ours = config(recipe, precision, "cpu", folder)
    names = (
        "output_dir", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "optim",
        "weight_decay", "max_grad_norm", "gradient_checkpointing", "gradient_checkpointing_kwargs", "bf16", "use_cpu",
        "neftune_noise_alpha", "max_steps",
    )
    return kind(
        **{name: getattr(ours, name) for name in names}, report_to=[], eval_strategy="no", save_strategy="no",
        disable_tqdm=True, remove_unused_columns=False, dataloader_pin_memory=False,
    )


def _untouched(rows: Any) -> Any:
    """No row is ever collated."""
    return rows


def _plain_loss(trainer: Any) -> None:
    """Let transformers compute the loss, as trl did before it had a fused head."""
    from transformers import Trainer

    trainer.compute_loss = types.MethodType(Trainer.compute_loss, trainer)
    trainer.model_accepts_loss_kwargs = True


def tokenizer() -> Any:
    """A tokenizer of three words: trainers want one, and nothing is tokenized."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<eos>": 1, "<unk>": 2}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")), unk_token="<unk>", pad_token="<pad>",
        eos_token="<eos>",
    )
