"""transformers' training arguments for a resolved recipe: what the trainers of all objectives have in common."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.precision import Precision

OPTIMIZERS = {
    "auto": "adamw_torch_fused",
    "adamw": "adamw_torch_fused",
    "adamw_8bit": "adamw_8bit",
    "paged_adamw": "paged_adamw_32bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
    "lion": "lion_32bit",
    "lion_8bit": "lion_8bit",
    "paged_lion_8bit": "paged_lion_8bit",
    "sgd": "sgd",
    "rmsprop": "rmsprop",
    "ademamix": "ademamix",
    "ademamix_8bit": "ademamix_8bit",
    "muon": "adamw_torch",
    "schedule_free": "schedule_free_adamw",
    "galore": "adamw_torch",
}
"""transformers' names; Muon, GaLore and schedule-free AdamW are made by `ftui.worker.optimizers`."""

SCHEDULES = {
    "wsd": "warmup_stable_decay",
    "restarts": "cosine_with_restarts",
}
"""transformers' names where they are others."""

LION_BETAS = (0.9, 0.99)
"""Lion's own (https://arxiv.org/abs/2302.06675); transformers would give it AdamW's."""
ADAM_BETAS = (0.9, 0.999)


def betas(recipe: Recipe) -> tuple[float, float]:
    """What the recipe says, else the optimizer's own."""
    train = recipe.train
    first, second = LION_BETAS if "lion" in train.optimizer else ADAM_BETAS
    return first if train.beta1 is None else train.beta1, second if train.beta2 is None else train.beta2


def schedule(recipe: Recipe) -> tuple[str, dict[str, float]]:
    """transformers' name of the schedule and its arguments; of wsd the falling steps are a share, see `RunTrainer`."""
    train = recipe.train
    name, least = SCHEDULES.get(train.schedule, train.schedule), train.min_rate
    match train.schedule:
        case "cosine" if least:
            return "cosine_with_min_lr", {"min_lr_rate": least}
        case "wsd":
            return name, {"decay_share": train.decay_share, "min_lr_ratio": least}
        case "restarts":
            return name, {"num_cycles": train.cycles}
        case "polynomial":
            return name, {"lr_end": least * float(train.learning_rate), "power": train.power}
    return name, {}


def arguments(kind: Any, recipe: Recipe, precision: Precision, device: str, folder: Path, **own: Any) -> Any:
    """The arguments as an object of `kind` (trl's SFTConfig, DPOConfig, ...); `own` are what the objective adds.

    `folder` is where checkpoints go.  Evaluating, saving and stopping are led by ftui's own callback.
    """
    train = recipe.train
    micro, effective = int(train.micro_batch), int(train.effective_batch)
    scheduled, scheduled_by = schedule(recipe)
    first, second = betas(recipe)
    common: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": micro,
        "per_device_eval_batch_size": recipe.evaluate.batch or micro,
        "gradient_accumulation_steps": max(1, -(-effective // micro)),
        "num_train_epochs": train.epochs,
        "max_steps": train.max_steps or -1,
        "learning_rate": float(train.learning_rate),
        "lr_scheduler_type": scheduled,
        "lr_scheduler_kwargs": scheduled_by,
        "warmup_steps": train.warmup,
        "optim": OPTIMIZERS[train.optimizer],
        "adam_beta1": first,
        "adam_beta2": second,
        "adam_epsilon": train.epsilon or 1e-8,
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "gradient_checkpointing": bool(train.checkpointing),
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if train.checkpointing else None,
        "neftune_noise_alpha": train.neftune,
        "seed": train.seed,
        "data_seed": train.seed,
        "full_determinism": train.deterministic,
        "train_sampling_strategy": "group_by_length" if train.group_by_length
        else "random" if recipe.data.curriculum is None else "sequential",
        "torch_compile": train.compile,
        "tf32": True if train.tf32 else None,
        "bf16": precision.autocast == "bf16",
        "fp16": precision.autocast == "fp16",
        "use_cpu": device == "cpu",
        "logging_steps": train.logging_steps,
        "logging_nan_inf_filter": False,
        "eval_strategy": "no",
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": device == "cuda",
        "dataloader_num_workers": recipe.compute.data_workers,
    }
    with warnings.catch_warnings():
        # Names that transformers or trl will drop in their next major version.
        warnings.simplefilter("ignore", FutureWarning)
        return kind(**common | own)


def offloads(recipe: Recipe, device: str) -> bool:
    """Whether activations wait in host memory; on a CPU what the backward pass needs is there as it is."""
    return recipe.train.activation_offload and device == "cuda"
