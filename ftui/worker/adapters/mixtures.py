"""Builders of adapters that mix several (`ftui.methods.mixtures`)."""

from __future__ import annotations

import shutil
import types
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import targeted, task_type, wrapped
from ftui.worker.adapters.tasks import default_to_first


def poly(model: Any, recipe: Recipe) -> Any:
    """Polytropon: a few LoRAs per module, of which each task mixes its own; rows without one are the first's."""
    from peft import PolyConfig

    options: Any = recipe.adapter
    config = PolyConfig(
        **targeted(recipe), r=options.rank, n_tasks=options.tasks, n_skills=options.skills, n_splits=options.splits
    )
    adapted = wrapped(model, config)
    default_to_first(adapted)
    return adapted


def xlora(model: Any, recipe: Recipe) -> Any:
    """X-LoRA: finished LoRAs, frozen, mixed token by token by a classifier of the base model's hidden states."""
    from peft import XLoraConfig

    options: Any = recipe.adapter
    folders = [Path(path).expanduser() for path in options.adapters]
    for folder in folders:
        if not (folder / "adapter_config.json").is_file():
            raise BadInput(
                f"adapter.adapters names {folder}, which holds no finished LoRA.",
                "Name the output folders of finished LoRA runs on this base model.",
            )
    config = XLoraConfig(
        task_type=task_type(recipe), hidden_size=model.get_input_embeddings().weight.shape[1],
        adapters={str(place): str(folder) for place, folder in enumerate(folders)},
        xlora_depth=options.depth, xlora_size=options.width, softmax_temperature=options.temperature,
        top_k_lora=options.top,
    )
    model.config.use_cache = False
    adapted = wrapped(model, config)
    adapted.save_pretrained = types.MethodType(_save_with_gate, adapted)
    return adapted


def _save_with_gate(adapted: Any, save_directory: str, **kwargs: Any) -> None:
    """The gate as peft would load it, and the adapters that it mixes in folders "0", "1" and so on beside it.

    peft 0.21 itself takes the gate's layer "0" for a part of the adapter of that name, leaves it out, and writes the
    base model's weights for each adapter.
    """
    from safetensors.torch import save_file

    config = adapted.peft_config["default"]
    paths = config.adapters
    # Where they lay on this machine means nothing elsewhere.
    config.adapters = {name: name for name in paths}
    type(adapted).save_pretrained(adapted, save_directory, **{**kwargs, "selected_adapters": ["default"]})
    config.adapters = paths
    gate = {
        name: parameter.detach().cpu().contiguous().clone()
        for name, parameter in adapted.named_parameters() if "internal_xlora_classifier" in name
    }
    save_file(gate, Path(save_directory) / "adapter_model.safetensors", metadata={"format": "pt"})
    for name, path in paths.items():
        beside = Path(save_directory) / name
        beside.mkdir(exist_ok=True)
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copyfile(Path(path) / file, beside / file)
