"""The model that a preference objective holds the trained one against: adapter off, a copy, or asked beforehand."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ftui.errors import BadInput
from ftui.methods.lora import LoraOptions
from ftui.recipe.document import Recipe
from ftui.worker.adapters.lora_start import changes_base
from ftui.worker.recovery import during
from ftui.worker.trainer import RunTrainer

COPY = "ref"
"""What trl calls the adapter that it takes for the reference."""


class Referenced(Sequence[dict[str, Any]]):
    """Rows with the log-probabilities that the reference gave them: `answers` is (rows, names), float32."""

    def __init__(self, rows: Any, names: Sequence[str], answers: torch.Tensor) -> None:
        self.rows, self.names, self.answers = rows, names, answers

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return {**self.rows[index], **dict(zip(self.names, self.answers[index].tolist(), strict=True))}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rows, name)


class ReferenceTrainer(RunTrainer):
    """A mixin before trl's DPO and KTO trainers: where their arguments say so, the reference is asked once about every
    row, and its answers are kept here, for ftui's rows are none of the Datasets that trl writes them into.

    `reference_names` are the names under which the trainer's collator finds the answers.
    """

    reference_names: tuple[str, ...] = ()

    def _precompute_ref_logps(self, dataset: Any, *_: Any) -> Any:
        """Not while the trainer is made, when it knows of one row only."""
        return dataset

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Ask the reference about all rows first, where its answers are kept.

        The model is its own reference then: on a resume, too, the checkpoint is loaded only afterwards.
        """
        if self.args.precompute_ref_log_probs:  # type: ignore[attr-defined]
            self.train_dataset = self._with_reference(self.train_dataset)
            self.eval_dataset = self._with_reference(self.eval_dataset)
        return super().train(*args, **kwargs)

    def _with_reference(self, rows: Any) -> Referenced:
        answers = torch.zeros(len(rows), len(self.reference_names))
        model: Any = self.model
        collate: Any = self.data_collator
        ask: Any = getattr(self, "compute_ref_log_probs")  # noqa: B009  (the trl trainer's, which mypy can't see here)
        was_training, size = model.training, self.args.per_device_eval_batch_size
        model.eval()
        for start in range(0, len(rows), size):
            self.session.context.progress("Asking the reference", start, len(rows), unit="row")
            batch = collate([rows[index] for index in range(start, min(start + size, len(rows)))])
            batch.pop("tokens")
            with during("evaluation"):
                sides = [side for side in ask(model, self._prepare_inputs(batch)) if side is not None]
            answers[start : start + size] = torch.stack(sides, dim=1).float().cpu()
        model.train(was_training)
        return Referenced(rows, self.reference_names, answers)


@contextlib.contextmanager
def reference_of(model: Any, recipe: Recipe, library: Any = None) -> Iterator[None]:
    """Around the making of one of trl's trainers: its reference is as this recipe needs it.

    trl copies every adapter.  But while one was only just put on, the reference is the model with its adapter switched
    off, which takes no memory, and also stands for the adapters of which peft can't hold two.  Where the start took
    from the base what it put into the adapter, the base alone is another model, and the copy is made here: trl's own
    would start anew and take from the base a second time.
    """
    check_head(model)
    with contextlib.ExitStack() as stack:
        if library is not None:
            stack.enter_context(_unhashed(library))
        if hasattr(model, "peft_config"):
            stack.enter_context(_uncopied(model, recipe))
        yield


def check_head(model: Any) -> None:
    """BadInput where an adapter sits on the head, past which trl computes its probabilities."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    if isinstance(model.get_output_embeddings(), BaseTunerLayer):
        raise BadInput(
            "This adapter sits on the model's head, past which probabilities are computed: it would never train.",
            "Leave the head out of the adapter's targets; where it is the embedding, too, no single token can train.",
        )


@contextlib.contextmanager
def _unhashed(library: Any) -> Iterator[None]:
    """trl's module `library` hashes all weights, only to name a file that isn't written here."""
    hashed, library.hash_module = library.hash_module, lambda _: ""
    try:
        yield
    finally:
        library.hash_module = hashed


@contextlib.contextmanager
def _uncopied(model: Any, recipe: Recipe) -> Iterator[None]:
    if starts_elsewhere(recipe) and COPY not in model.peft_config:
        keep_start(model)
    parameter = model.get_parameter
    # What trl then copies, name by name, is each parameter onto itself.
    model.add_adapter = lambda *_, **__: None
    model.get_parameter = lambda name: parameter(name.replace(f".{COPY}.", ".default."))
    try:
        yield
    finally:
        del model.add_adapter, model.get_parameter


def starts_elsewhere(recipe: Recipe) -> bool:
    """Whether the model that is trained from is not what is left with the adapter switched off."""
    goes_on = getattr(recipe.adapter, "start_from", None) is not None
    return goes_on or changes_base(recipe) or (
        isinstance(recipe.adapter, LoraOptions) and recipe.adapter.init == "loftq"
    )


def keep_start(model: Any) -> None:
    """Put beside the adapter a frozen copy of it as it is now."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    config = copy.deepcopy(model.peft_config["default"])
    config.init_lora_weights, config.inference_mode = True, True
    model.add_adapter(COPY, config)
    start = get_peft_model_state_dict(model, adapter_name="default", save_embedding_layers=False)
    set_peft_model_state_dict(model, start, adapter_name=COPY)
    model.set_adapter("default")
    for name, parameter in model.named_parameters():
        if f".{COPY}." in name:
            parameter.requires_grad_(False)
