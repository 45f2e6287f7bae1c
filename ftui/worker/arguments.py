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
    "galore": "adamw_torch",
}
"""transformers' names; GaLore's optimizer is made by `ftui.worker.galore`."""


def arguments(kind: Any, recipe: Recipe, precision: Precision, device: str, folder: Path, **own: Any) -> Any:
    """The arguments as an object of `kind` (trl's SFTConfig, DPOConfig, ...); `own` are what the objective adds.

    `folder` is where checkpoints go.  Evaluating, saving and stopping are led by ftui's own callback.
    """
    train = recipe.train
    micro, effective = int(train.micro_batch), int(train.effective_batch)
    common: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": micro,
        "per_device_eval_batch_size": micro,
        "gradient_accumulation_steps": max(1, -(-effective // micro)),
        "num_train_epochs": train.epochs,
        "max_steps": train.max_steps or -1,
        "learning_rate": float(train.learning_rate),
        "lr_scheduler_type": train.schedule,
        "warmup_steps": train.warmup,
        "optim": OPTIMIZERS[train.optimizer],
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "gradient_checkpointing": bool(train.checkpointing),
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if train.checkpointing else None,
        "neftune_noise_alpha": train.neftune,
        "seed": train.seed,
        "data_seed": train.seed,
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
    }
    with warnings.catch_warnings():
        # Names that transformers or trl will drop in their next major version.
        warnings.simplefilter("ignore", FutureWarning)
        return kind(**common | own)


def offloads(recipe: Recipe, device: str) -> bool:
    """Whether activations wait in host memory; on a CPU what the backward pass needs is there as it is."""
    return recipe.train.activation_offload and device == "cuda"
