"""Training on from a finished adapter: where it lies, what it is, and a recipe that agrees with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ftui.errors import BadInput, FtuiError, Refused
from ftui.methods import AdapterOptions, LoraOptions, NoAdapterOptions
from ftui.methods.lora import as_saved
from ftui.paths import METADATA
from ftui.recipe import assign, parse
from ftui.recipe.document import Recipe
from ftui.recipe.start_combinations import TRAINING
from ftui.runs.folder import find

CONFIG = "adapter_config.json"
STAGE = "stage:"
"""Before the name of a stage whose result there isn't yet."""


def continued(recipe: Recipe) -> Recipe:
    """`recipe` with `adapter.start_from` as an absolute folder, and its adapter's settings those of what lies there.

    What the recipe leaves open is taken over, its base model among it; `recipe` itself where it starts from no adapter.
    Raises Refused where it asks for something that the finished adapter is not.
    """
    wanted = getattr(recipe.adapter, "start_from", None)
    if wanted is None or wanted.startswith(STAGE):
        return recipe
    folder = folder_of(wanted)
    found, base = _read(folder)
    if found.kind != recipe.adapter.kind:
        raise Refused(
            f"adapter.kind is {recipe.adapter.kind}, and the adapter in {folder} is {found.kind}.",
            f"Write adapter.kind: {found.kind}, or start from another adapter.",
        )
    recipe = with_adapter(recipe, found, str(folder))
    return recipe if recipe.model.base or not base else assign(recipe, {"model.base": base})


def with_adapter(recipe: Recipe, found: Any, start: str) -> Recipe:
    """`recipe` with what the adapter `found` is, starting from `start`; Refused where it asks for something else."""
    own, asked = recipe.adapter, recipe.adapter.model_fields_set
    taken: dict[str, object] = {"adapter.start_from": start}
    for name in type(own).model_fields:
        if name in TRAINING:
            continue
        value, there = getattr(own, name), getattr(found, name)
        if name in asked and value not in ("auto", there):
            raise Refused(
                f"adapter.{name} is {_shown(value)}, and the adapter that it starts from has {_shown(there)}.",
                f"Leave out adapter.{name}, or train a new adapter (no adapter.start_from).",
            )
        taken[f"adapter.{name}"] = list(there) if isinstance(there, tuple) else there
    return assign(recipe, taken)


def folder_of(wanted: str) -> Path:
    """The folder with the finished adapter that a run's id, its folder or its result's folder names."""
    path = Path(wanted).expanduser()
    if not path.is_dir():
        run = find(wanted)
        if not run.output.is_dir():
            raise Refused(f"The run {run.id} has no result yet.", f"See its state: ftui runs show {run.id}")
        path = run.output
    if not (path / CONFIG).is_file() and (path / "output" / CONFIG).is_file():
        path = path / "output"
    if not (path / CONFIG).is_file():
        whole = (path / "config.json").is_file()
        raise Refused(
            f"{path} holds no adapter: it has no {CONFIG}.",
            f"It is a whole model: write model.base: {path}." if whole else "Name a run, or the folder of its result.",
        )
    return path.absolute()


def _read(folder: Path) -> tuple[AdapterOptions | LoraOptions | NoAdapterOptions, str]:
    """(what the finished adapter in `folder` is, as options; its base model, as written)."""
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        base = str(config.get("base_model_name_or_path") or "")
        if (folder / METADATA).is_file():
            made = json.loads((folder / METADATA).read_text(encoding="utf-8"))
            recipe = parse(made["recipe"], f"The recipe in {folder / METADATA}")
            options = recipe.adapter
            return (as_saved(options) if isinstance(options, LoraOptions) else options), recipe.model.base or base
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"The adapter in {folder} can't be read: {error}.", "Name the folder of a result.") from error
    if config.get("peft_type") != "LORA":
        raise Refused(
            f"The adapter in {folder} is {config.get('peft_type')} and was not made by ftui, which can tell the "
            "settings of LoRA only.", "Start from an adapter that ftui has trained, or from a LoRA.",
        )
    return _lora(config, folder), base


def _lora(config: dict[str, Any], folder: Path) -> LoraOptions:
    """A LoRA of peft's own configuration as options."""
    replicated, layers = config.get("layer_replication"), config.get("layers_to_transform")
    targets = config.get("target_modules") or ()
    try:
        return LoraOptions.model_validate({
            "rank": config["r"], "alpha": config["lora_alpha"], "dropout": config.get("lora_dropout") or 0.0,
            "targets": f"re:{targets}" if isinstance(targets, str) and targets != "all-linear" else targets,
            "layers": ", ".join(map(str, [layers] if isinstance(layers, int) else layers)) if layers else None,
            "parameters": config.get("target_parameters") or (), "rank_pattern": config.get("rank_pattern") or {},
            "alpha_pattern": config.get("alpha_pattern") or {}, "rslora": bool(config.get("use_rslora")),
            "dora": bool(config.get("use_dora")), "bias": bool(config.get("lora_bias")),
            "tokens": config.get("trainable_token_indices") or (),
            "modules_to_save": config.get("modules_to_save") or (),
            "layer_replication": ", ".join(f"{first}-{end - 1}" for first, end in replicated) if replicated else None,
        })
    except (FtuiError, ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"The LoRA in {folder} has settings that ftui's doesn't know: {str(error).splitlines()[0]}.",
            "Merge it into its base, and write the result as model.base.",
        ) from error


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
