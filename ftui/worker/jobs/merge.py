"""The `merge` job: a run's adapter and its base as one model, which needs no peft and can be a base itself.

`args` of run.json: `run`, whose result is merged.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.methods import ADAPTERS, OBJECTIVES, LoraOptions
from ftui.methods.lora import unmergeable
from ftui.paths import METADATA
from ftui.recipe.document import Recipe
from ftui.runs.asking import sees
from ftui.runs.folder import find, versions
from ftui.worker.base import choose_device, device_of, folder_of, load_model, load_tokenizer, set_threads
from ftui.worker.checkpoints import aside
from ftui.worker.context import JobContext


def run(context: JobContext) -> None:
    """Merge the adapter into its base, and save the model with its tokenizer."""
    trained = find(context.info.args["run"])
    recipe = trained.recipe()
    if recipe is None or not trained.output.is_dir():
        raise BadInput(f"The run {trained.id} has no result to merge.", f"See its state: ftui runs show {trained.id}")
    choose_device(recipe)
    folder = folder_of(context, recipe.model.base, recipe.model.revision)
    if folder is None:
        context.finish("Stopped before the base model was here; nothing was merged.")
        return
    context.progress("Merging the adapter into its base", 0, None, unit="row")
    tokenizer = load_tokenizer(trained.output, None)
    model = merged(recipe, folder, trained.output)
    with aside(context.output) as making:
        model.save_pretrained(str(making))
        tokenizer.save_pretrained(str(making))
        about = {"merged": trained.id, "base": recipe.model.base, "versions": versions()}
        (making / METADATA).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    context.finish(f"Merged the adapter of {trained.id} into its base.")


def merged(recipe: Recipe, base: Path, adapter: Path) -> Any:
    """The base model of `recipe`, from the folder `base`, with the adapter in the folder `adapter` in its weights.

    A quantized base is dequantized first, for the adapter was trained on those weights, and peft would round what it
    merges once more.  Raises BadInput for an adapter that can't become one with its base.
    """
    import torch
    from peft import PeftModel

    import ftui.tuners  # noqa: F401  # gives peft the kinds of adapter that it lacks
    from ftui.worker.precision import choose

    row, options = ADAPTERS[recipe.adapter.kind], recipe.adapter
    reason = unmergeable(options) if isinstance(options, LoraOptions) else None
    if row.saved == "model" or not row.mergeable or reason or OBJECTIVES[recipe.objective.kind].head == "scores":
        why = reason or ("it is a whole model" if row.saved == "model" else "it stays beside its base")
        raise BadInput(f"The result of {row.title} can't be merged: {why}.", "Use it as it is.")
    device, bf16 = device_of(recipe)
    precision = choose(recipe, cuda=device == "cuda", bf16=bf16)
    model: Any = load_model(recipe, base, precision, device, pictured=sees(adapter))
    set_threads(recipe, model.num_parameters())
    if getattr(model, "is_quantized", False):
        model = model.dequantize()
        # IA³ reads these, which dequantize() leaves.
        model.is_loaded_in_4bit = model.is_loaded_in_8bit = False
    model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    model.config.use_cache = True
    return model.to(getattr(torch, precision.weights))
