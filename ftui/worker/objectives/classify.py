"""Classification: transformers' Trainer on a model with a head of scores, fed with tokens of `ftui.data.prepare()`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import Trainer, TrainingArguments

from ftui.data import Prepared
from ftui.errors import BadInput
from ftui.files import write_atomic
from ftui.recipe.document import Recipe
from ftui.worker.arguments import arguments
from ftui.worker.class_scores import CLASSES, Tally
from ftui.worker.collate import task_ids
from ftui.worker.collate_pairs import least_width, padded
from ftui.worker.precision import Precision
from ftui.worker.trainer import RunTrainer, settled


@dataclass(frozen=True)
class ClassCollator:
    """Texts padded on the right, and their labels: numbers, or (rows, labels) of 0 and 1 where a text has several."""

    pad_id: int
    multiple: int = 1
    width: int = 0
    """The least width of a micro-batch, whatever its rows."""
    tasks: bool = False
    """Say which task each text belongs to, where the rows say it."""

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        ids = [row["input_ids"] for row in rows]
        batch = padded(ids, [[0] * len(each) for each in ids], self.pad_id, self.multiple, self.width)
        batch.pop("completion_mask")
        wanted = torch.tensor([row["label"] for row in rows])
        return {**batch, "wanted": wanted, **(task_ids(rows) if self.tasks else {})}


class ClassifyTrainer(RunTrainer, Trainer):
    """transformers' trainer with class weights that mean the same in every batch, and figures by label."""

    def __init__(
        self, model: Any, args: TrainingArguments, prepared: Prepared, tokenizer: Any, collator: ClassCollator,
        weights: torch.Tensor | None, smoothing: float,
    ) -> None:
        rows: Any = prepared.train
        super().__init__(
            model=model, args=args, train_dataset=rows, eval_dataset=prepared.validation or None,
            processing_class=tokenizer, data_collator=collator,
        )
        # Else the loss would be taken for a sum over the whole step's rows.
        self.model_accepts_loss_kwargs = False
        self.labels, self.weights, self.smoothing = prepared.labels, weights, smoothing
        self.tally = Tally(len(self.labels))
        self.table: list[dict[str, Any]] = []
        """The last evaluation's figures by label."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean over the micro-batch's rows of the (binary) cross-entropy, in float32."""
        task = {name: value for name, value in inputs.items() if name == "task_ids"}
        output = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], **task)
        scores, wanted = output.logits.float(), inputs["wanted"]
        weights = None if self.weights is None else self.weights.to(scores.device)
        if wanted.dim() == 2:
            loss = binary_cross_entropy_with_logits(scores, wanted, pos_weight=weights)
        else:
            # Its own mean would divide by the weights of the rows at hand, and a batch of rare labels count no more.
            loss = cross_entropy(scores, wanted, weight=weights, reduction="none", label_smoothing=self.smoothing)
        loss = loss.mean()
        if not self._trained_model().training:
            self.tally.add(scores, wanted)
        return (loss, output) if return_outputs else loss

    def measured(self, mode: str, counts: Sequence[int] = ()) -> dict[str, float]:
        """Accuracy and macro F1 of the held-out rows."""
        if mode != "eval" or not self.tally.seen:
            return {}
        values, self.table = self.tally.values(), self.tally.table(self.labels)
        self.tally = Tally(len(self.labels))
        return values

    def keep_beside(self, folder: Path) -> None:
        """The figures by label, where rows were held out."""
        super().keep_beside(folder)
        if self.table:
            write_atomic(folder / CLASSES, json.dumps(self.table, indent=1, ensure_ascii=False) + "\n")

    def load_weights(self, checkpoint: Path) -> None:
        """With the figures that its weights had."""
        super().load_weights(checkpoint)
        if (kept := checkpoint / CLASSES).exists():
            self.table = json.loads(kept.read_text(encoding="utf-8"))


def class_weights(prepared: Prepared) -> torch.Tensor:
    """What each label's rows count, so that all labels count the same in sum: rows / (labels · its rows).

    Where a text may have several labels, how much having a label counts: the rows without it over those with it.
    """
    rows: Any = prepared.train
    counts = torch.tensor(rows.label_counts(), dtype=torch.float32)
    if prepared.multi_label:
        return (len(rows) - counts) / counts.clamp(min=1)
    return len(rows) / (len(counts) * counts.clamp(min=1))


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> ClassifyTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go.

    Raises BadInput where there is nothing to tell apart, and for label smoothing where a text may have several labels.
    """
    options: Any = recipe.objective
    if len(prepared.labels) < 2:
        raise BadInput(f"All rows have the label {prepared.labels[0]}: there is nothing to tell apart.",
                       "Add rows of other labels, or name another column as the label.")
    if prepared.multi_label and options.label_smoothing:
        raise BadInput("Label smoothing is for texts with one label each, and these may have several.",
                       "Write objective.label_smoothing: 0.")
    # The score is that of the last token that is no padding.
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    model.config.problem_type = ("multi" if prepared.multi_label else "single") + "_label_classification"
    made = arguments(TrainingArguments, recipe, precision, device, folder)
    collator = ClassCollator(
        tokenizer.pad_token_id, multiple=8 if device == "cuda" else 1, width=least_width(recipe),
        tasks=hasattr(recipe.adapter, "tasks"),
    )
    weights = class_weights(prepared) if options.class_weights == "balanced" else None
    with settled(model, precision):
        return ClassifyTrainer(model, made, prepared, tokenizer, collator, weights, options.label_smoothing)
