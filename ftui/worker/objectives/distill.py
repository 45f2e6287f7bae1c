"""Distillation: trl's DistillationTrainer on the student's own answers or the data's, mixed with hard labels."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import DistillationConfig, DistillationTrainer
from trl.trainer.distillation_trainer import _chunked_divergence_loss
from trl.trainer.utils import pad

from ftui.data import Prepared
from ftui.data.token_rows import UNTRAINED
from ftui.errors import BadInput
from ftui.recipe.document import Recipe
from ftui.worker.arguments import arguments
from ftui.worker.loss import scaling, token_losses, weight_of
from ftui.worker.online import GroupSampler
from ftui.worker.precision import Precision
from ftui.worker.reference import check_head
from ftui.worker.teacher import load_teacher
from ftui.worker.trainer import RunTrainer, settled


class DistillTrainer(RunTrainer, DistillationTrainer):
    """trl's trainer on ftui's prompts and answers.

    Each generation is the student's own with the probability `on_policy`, else the data's answers are read, where the
    plain loss on them counts `hard_labels` of the whole.  An evaluation reads the data's answers, and answers the
    prompts that have none by the likeliest tokens.
    """

    args: Any

    def __init__(
        self, model: Any, args: Any, prepared: Prepared, tokenizer: Any, teacher: Any, on_policy: float,
        hard_labels: float,
    ) -> None:
        # trl insists on a Dataset, and on a teacher whose vocabulary is padded to the same length.
        first = Dataset.from_list([{"prompt": "-"}])
        super().__init__(model=model, args=args, train_dataset=first, processing_class=tokenizer)
        self.train_dataset: Any = prepared.train
        self.eval_dataset: Any = prepared.validation
        self.teacher_model: Any = self.accelerator.prepare_model(teacher, evaluation_mode=True)
        self.on_policy, self.hard_labels = on_policy, hard_labels
        self.rows: Sequence[dict[str, Any]] = ()
        """The rows whose prompts are being answered."""
        if prepared.stop_ids:
            self.eos_token_ids = list(prepared.stop_ids)
            self.generation_kwargs["eos_token_id"] = self.generation_config.eos_token_id = self.eos_token_ids

    # --- answers --------------------------------------------------------------------------------------------------

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """The tokens that the data was prepared with."""
        return [row["prompt_ids"] for row in self.rows], None, {}

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        """As trl, in the number format that the training computes in."""
        with self.accelerator.autocast():
            return super()._generate_single_turn(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Tensor]:
        """Prompts and answers as tensors; `hard` is 1 on tokens that are the data's, and `scored` on those that count.

        Nothing of which answers are whose is drawn from the training's random numbers: it follows from the step.
        """
        training = bool(self.model.training)  # type: ignore[union-attr]
        own = training and random.Random(f"{self.args.seed}-{self.state.global_step}").random() < self.on_policy
        asked = [index for index, row in enumerate(inputs) if own or not any(row["completion_mask"])]
        answers = [row["completion_ids"] for row in inputs]
        masks = [row["completion_mask"] for row in inputs]
        if asked:
            self.rows = [inputs[index] for index in asked]
            sampled, self.generation_config.do_sample = self.generation_config.do_sample, training
            try:
                made = self._generate([None] * len(asked))[1]
            finally:
                self.generation_config.do_sample = sampled
            for index, ids in zip(asked, made, strict=True):
                answers[index], masks[index] = ids, [1] * len(ids)
        hard = [[0 if index in asked else each for each in mask] for index, mask in enumerate(masks)]
        batch = self._padded([row["prompt_ids"] for row in inputs], answers, masks, hard)
        return {**batch, "num_items_in_batch": batch["scored"].sum()}

    def _padded(
        self, prompts: Sequence[list[int]], answers: Sequence[list[int]], masks: Sequence[list[int]],
        hard: Sequence[list[int]],
    ) -> dict[str, Tensor]:
        """Prompts padded on the left, answers on the right."""
        token, device = self.processing_class.pad_token_id, self.accelerator.device  # type: ignore[union-attr]
        ones = [[1] * len(row) for row in answers]
        made = {}
        for name, rows, fill, side in (
            ("prompt_ids", prompts, token, "left"), ("prompt_mask", [[1] * len(row) for row in prompts], 0, "left"),
            ("completion_ids", answers, token, "right"), ("completion_mask", ones, 0, "right"),
            ("scored", masks, 0, "right"), ("hard", hard, 0, "right"),
        ):
            tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
            made[name] = pad(tensors, padding_value=fill, padding_side=side).to(device)
        return made

    # --- loss -----------------------------------------------------------------------------------------------------

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The summed loss over the answers' tokens, divided by those of the whole optimizer step."""
        self.tokens_seen += int(inputs["prompt_mask"].sum() + inputs["completion_mask"].sum())
        total, _ = self._summed(model, inputs)
        loss = total / inputs["num_items_in_batch"].clamp(min=1)
        return (loss, None) if return_outputs else loss

    def judge_batch(self, inputs: dict[str, Tensor]) -> tuple[float, int]:
        """By tokens of the answers."""
        total, count = self._summed(self._trained_model(), inputs)
        return float(total), count

    def _summed(self, model: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, int]:
        """(summed loss, how many tokens it is summed over)."""
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
        mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
        width, student = inputs["completion_ids"].shape[1], self.accelerator.unwrap_model(model)
        hidden = self._get_last_hidden_state(student, ids, mask, width)
        with torch.no_grad():
            beside = self._get_last_hidden_state(self.teacher_model, ids, mask, width)
        heads = [each.get_output_embeddings() for each in (student, self.teacher_model)]
        (cap, factor), (teacher_cap, teacher_factor) = (
            scaling(each.config.get_text_config()) for each in (student, self.teacher_model)
        )
        # One family's models pad one vocabulary to different lengths, and what is behind its end is no token.
        words = min(len(weight_of(head)) for head in heads)
        weights = [weight_of(head)[:words] for head in heads]
        biases = [None if getattr(head, "bias", None) is None else head.bias[:words] for head in heads]
        scored, hard = inputs["scored"], inputs["hard"]
        divergence, entropies, count = _chunked_divergence_loss(
            hidden, beside, weights[0], weights[1], scored, self.beta, num_items_in_batch=1,
            student_lm_head_bias=biases[0], teacher_lm_head_bias=biases[1], student_logit_scale=factor,
            teacher_logit_scale=teacher_factor, student_final_logit_softcapping=cap,
            teacher_final_logit_softcapping=teacher_cap, temperature=self.temperature,
        )
        tokens = int(count)
        self._tell(divergence=float(divergence.detach()) / max(1, tokens), entropy=float(entropies) / max(1, tokens))
        read = int(hard.sum())
        if not read or not self.hard_labels:
            return divergence, tokens
        labels = inputs["completion_ids"].masked_fill(hard == 0, UNTRAINED)
        losses = token_losses(hidden, labels, heads[0], student.config.get_text_config())
        self._tell(cross_entropy=float(losses.detach()) / read)
        return (1 - self.hard_labels) * divergence + self.hard_labels * losses, tokens

    def _tell(self, **values: float) -> None:
        mode = "train" if self.model.training else "eval"  # type: ignore[union-attr]
        for name, value in values.items():
            self._metrics[mode][name].append(value)

    # --- steps ----------------------------------------------------------------------------------------------------

    def _get_train_sampler(self, dataset: Any = None) -> GroupSampler:
        accumulated = self.args.gradient_accumulation_steps
        together = self.args.per_device_train_batch_size * accumulated
        if len(self.train_dataset) < together:
            raise BadInput(f"One step takes {together} prompts, and only {len(self.train_dataset)} train.",
                           "Lower train.effective_batch or data.validation, or add prompts.")
        return GroupSampler(
            self.train_dataset, mini_repeat_count=1, batch_size=together, repeat_count=accumulated, seed=self.args.seed
        )

    def count_tokens(self, inputs: Any) -> int:
        """None yet: a step is handed prompts, and counts in `compute_loss` what it trains on."""
        return 0

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """A micro-batch with answers for one of rows; that of the trial step has them already."""
        if isinstance(generation_batch, dict):
            return generation_batch
        return super()._prepare_inputs(generation_batch)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """One forward and backward; a trial step is none of those that say when to generate."""
        step = self._step
        loss = super().training_step(model, inputs, num_items_in_batch)
        if isinstance(inputs, dict):
            self._step = step
        return loss

    def longest_batch(self, rows: int) -> tuple[Any, Any]:
        """A micro-batch of the longest row, with as many random tokens as an answer may have where it writes any."""
        lengths = self.train_dataset.lengths()
        longest = self.train_dataset[lengths.index(max(lengths))]
        answers, masks = [longest["completion_ids"]] * rows, [longest["completion_mask"]] * rows
        if self.on_policy or not longest["completion_ids"]:
            width: Any = self.max_completion_length
            words = len(self.processing_class)  # type: ignore[arg-type]
            answers, masks = torch.randint(words, (rows, width)).tolist(), [[1] * width] * rows
        batch = self._padded([longest["prompt_ids"]] * rows, answers, masks, masks)
        return {**batch, "num_items_in_batch": batch["scored"].sum()}, None


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> DistillTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go.

    Raises BadInput where the data's answers are wanted and rows have none, and for an adapter on the head.
    """
    options: Any = recipe.objective
    rows: Any = prepared.train
    if options.on_policy < 1 and (missing := rows.unanswered()) and (missing == len(rows) or not options.on_policy):
        raise BadInput(f"objective.on_policy is {options.on_policy:g}, and {missing:,} of {len(rows):,} rows have no "
                       "answer to read.", "Write objective.on_policy: 1, or add a column with answers.")
    check_head(model)
    made = arguments(
        DistillationConfig, recipe, precision, device, folder, max_completion_length=options.max_completion_length,
        temperature=options.temperature, beta=options.beta,
    )
    teacher = load_teacher(recipe, precision, device)
    with settled(model, precision):
        return DistillTrainer(
            model, made, prepared, tokenizer, teacher, options.on_policy, options.hard_labels
        )
