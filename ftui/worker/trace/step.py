"""One training step on fake tensors: a recipe's trainer, its micro-batches, the step as the trainer leads it."""

from __future__ import annotations

import gc
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ftui.methods import OBJECTIVES
from ftui.recipe.document import Recipe
from ftui.worker.precision import Precision, choose
from ftui.worker.trace.building import depth, layers_of, load
from ftui.worker.trace.fake import World, answer, world
from ftui.worker.trace.log import Log
from ftui.worker.trace.tracker import CPU_ROUNDING, CUDA_ROUNDING, Tracker
from ftui.worker.trace.workspace import cublas_bytes, hidden


def precision_of(recipe: Recipe, here: World) -> Precision:
    """The worker's choice; 16 bits are bfloat16 in the trace, which is as large as float16."""
    bf16 = here.capability >= (8, 0)
    found = choose(recipe, cuda=here.cuda, bf16=bf16)
    weights, compute, adapter = (
        "bfloat16" if name == "float16" else name for name in (found.weights, found.compute, found.adapter)
    )
    return Precision(weights, compute, adapter, "bf16" if found.autocast else None, found.reason)


def trainer_of(recipe: Recipe, config: Any, here: World, labels: int = 2) -> Any:
    """The trainer that the worker, or with train.trainer another library, would train `recipe` with; a classifier tells
    `labels` apart."""
    from ftui.worker.adapters import BUILDERS
    from ftui.worker.adapters.lora_start import sizes_only
    from ftui.worker.averages import WeightAverage
    from ftui.worker.base import quantization_config
    from ftui.worker.checkpointing import checkpoint_first
    from ftui.worker.optimizers import set_own_optimizer
    from ftui.worker.trace.trainers import BUILDERS as TRAINERS

    precision = precision_of(recipe, here)
    attention = {"auto": "sdpa", "flash_attention_2": "sdpa"}.get(recipe.model.attention, recipe.model.attention)
    quantization = quantization_config(recipe, precision) if recipe.adapter.kind != "none" else None
    base = load(config, dtype=precision.weights, attention=attention, quantization=quantization,
                upcast=recipe.model.upcast, head=OBJECTIVES[recipe.objective.kind].head,
                scores=labels if recipe.objective.kind == "classify" else 1)  # fmt: skip
    model = BUILDERS[recipe.adapter.kind](base, sizes_only(recipe))
    checkpoint_first(model, recipe)
    # Nothing is written there.
    with tempfile.TemporaryDirectory() as folder:
        trainer = TRAINERS[recipe.train.trainer](model, recipe, precision, Path(folder), labels)
    set_own_optimizer(trainer, recipe)
    if recipe.train.ema is not None:
        trainer.average = WeightAverage(trainer.model, recipe.train.ema)
    return trainer


def trace_trainer(
    make: Callable[[], Any], batches: Callable[[Any], list[dict[str, Any]]], here: World, *,
    adapter: bool, layers: int, setup: Callable[[Any, Tracker], None] | None = None,
) -> Log:
    """The log of one optimizer step of any transformers trainer on fake tensors.

    `make` builds the trainer (`Trainer`, trl's `DPOTrainer`, ...) from a model that it builds itself, for instance with
    `building.load`; `batches` gets the trainer and gives the micro-batches of the step as its collator would, each
    possibly with numbers of trained tokens in "labels".  Both are called on fake tensors.  `adapter` says that what
    trains is an adapter's; `layers` is the depth of the model.  `setup` may make the tracker count more, such as a
    reference model that the trainer holds.
    """
    with world(here), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = make()
        return measure(trainer, lambda: batches(trainer), _tracker(here), adapter=adapter, layers=layers, setup=setup,
                       here=here)  # fmt: skip


def _tracker(here: World) -> Tracker:
    here.tracker = Tracker(
        rounding=CUDA_ROUNDING if here.cuda else CPU_ROUNDING, hidden=hidden if here.cuda else None,
        answer=answer(here),
    )
    return here.tracker


def measure(
    trainer: Any, batches: Callable[[], list[dict[str, Any]]], tracker: Tracker, *, adapter: bool, layers: int,
    setup: Callable[[Any, Tracker], None] | None = None, here: World | None = None, states: bool = True,
) -> Log:
    """The log of one optimizer step of `trainer`, on real tensors as well as on fake ones.

    The optimizer's states exist before it: the step is any but the first one.  (`states=False`: the trainer has taken a
    step already, nothing is to be made.)
    """
    begin(trainer)
    model, optimizer = trainer.model, trainer.optimizer
    inner = getattr(optimizer, "optimizer", optimizer)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    tracker.follow(model, *layers_of(model, layers))
    tracker.adopt_model(model, adapter=adapter)
    for name in ("ref_model", "teacher_model"):
        if isinstance(other := trainer.__dict__.get(name), torch.nn.Module):
            tracker.adopt_model(other, adapter=False, part="reference")
    if (average := trainer.__dict__.get("average")) is not None:
        for parameter, mean in average.held():
            tracker.adopt(mean, "optimizer", tracker.layer_of(parameter))
    if setup is not None:
        setup(trainer, tracker)
    with tracker.watching():
        if here is not None and here.cuda:
            tracker.keep(cublas_bytes(here.capability), "workspace", "cuBLAS, forward")
            tracker.keep(cublas_bytes(here.capability), "workspace", "cuBLAS, backward")
        tracker.phase = "setup"
        # When Python looks for cycles is chance, and the log shall be the same each time.
        gc.collect()
        gc.disable()
        try:
            if states:
                _make_states(inner, parameters, tracker)
            tracker.adopt_states(inner)
            lead(trainer, batches(), tracker)
        finally:
            gc.enable()
    return tracker.log


def begin(trainer: Any) -> None:
    """What `Trainer.train` does before its first step: checkpointing, the optimizer, accelerate's wrapping."""
    arguments = trainer.args
    if arguments.gradient_checkpointing:
        trainer.model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs=dict(arguments.gradient_checkpointing_kwargs or {}) or None
        )
    trainer._prepare_for_training(1, None, None)
    trainer.accelerator.gradient_state._set_sync_gradients(True)


def _make_states(optimizer: Any, parameters: list[Any], tracker: Tracker) -> None:
    """The first optimizer step, on gradients that were never computed."""
    for parameter in parameters:
        with tracker.ignoring():
            parameter.grad = torch.zeros_like(parameter)
        tracker.adopt(parameter.grad, "gradients", tracker.layer_of(parameter))
    if hasattr(optimizer, "train"):
        optimizer.train()
    optimizer.step()
    tracker.adopt_states(optimizer)
    optimizer.zero_grad(set_to_none=True)


def lead(trainer: Any, batches: list[dict[str, Any]], tracker: Tracker) -> None:
    """One optimizer step in the order of `Trainer._run_epoch`."""
    arguments, model = trainer.args, trainer.model_wrapped
    for batch in batches:
        for value in batch.values():
            if isinstance(value, torch.Tensor):
                tracker.adopt(value, "activations")
    trainer.current_gradient_accumulation_steps = len(batches)
    backward = trainer.accelerator.backward

    def going_back(loss: Any, **keywords: Any) -> None:
        tracker.phase = "loss backward"
        backward(loss, **keywords)

    trainer.accelerator.backward = going_back
    try:
        tracker.phase = "forward"
        count = None
        if "labels" in batches[0]:
            count = torch.stack([batch["labels"].ne(-100).sum() for batch in batches]).sum()
        for batch in batches:
            tracker.phase = "forward"
            trainer.training_step(model, batch, count)
    finally:
        trainer.accelerator.backward = backward
    tracker.phase = "optimizer step"
    if arguments.max_grad_norm > 0:
        trainer._clip_grad_norm(model)
    trainer.optimizer.step()
    model.zero_grad()


def depth_of(trainer: Any) -> int:
    """Decoder layers of a trainer's model."""
    return depth(trainer.model.config.get_text_config(decoder=True))
