"""Builders of adapters, one for each row of `ftui.methods.ADAPTERS` that trains: what of a loaded base model trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.adapters.adalora import Budget, adalora
from ftui.worker.adapters.bottleneck import bottleneck, compacter, lora_bottleneck, lora_prompt
from ftui.worker.adapters.continued import continued
from ftui.worker.adapters.freezing import bitfit, freeze
from ftui.worker.adapters.lora import lora
from ftui.worker.adapters.lora_start import started
from ftui.worker.adapters.lowrank import deft, delora, glora, gralora, hira, lily, miss, peanut
from ftui.worker.adapters.mixtures import poly, xlora
from ftui.worker.adapters.products import loha, lokr
from ftui.worker.adapters.prompts import (
    adaption_prompt,
    cartridge,
    cpt,
    multitask_prompt_tuning,
    p_tuning,
    prefix_tuning,
    prompt_tuning,
    trainable_tokens,
)
from ftui.worker.adapters.rotations import boft, hra, oft, psoft, road
from ftui.worker.adapters.scaling import beft, ia3, ln_tuning
from ftui.worker.adapters.shared import frod, pvera, randlora, tinylora, unilora, vblora, vera
from ftui.worker.adapters.sparse import osf, shira, supertuning
from ftui.worker.adapters.spectral import c3a, fourierft, waveft

Builder = Callable[[Any, Recipe], Any]
"""(loaded base model, resolved recipe) -> the model to train."""


def none(model: Any, recipe: Recipe) -> Any:
    """`model` as it is: every weight trains."""
    return model.requires_grad_(True)


BUILDERS: dict[str, Builder] = {
    "lora": lora, "none": none, "adalora": adalora, "delora": delora, "hira": hira, "gralora": gralora, "lily": lily,
    "miss": miss, "glora": glora, "deft": deft, "peanut": peanut, "loha": loha, "lokr": lokr, "oft": oft, "boft": boft,
    "hra": hra, "road": road, "psoft": psoft, "vera": vera, "pvera": pvera, "randlora": randlora, "vblora": vblora,
    "unilora": unilora, "tinylora": tinylora, "frod": frod, "fourierft": fourierft, "waveft": waveft, "c3a": c3a,
    "shira": shira, "supertuning": supertuning, "osf": osf, "ia3": ia3, "beft": beft, "ln_tuning": ln_tuning,
    "prompt_tuning": prompt_tuning, "multitask_prompt_tuning": multitask_prompt_tuning, "p_tuning": p_tuning,
    "prefix_tuning": prefix_tuning, "cartridge": cartridge, "cpt": cpt, "adaption_prompt": adaption_prompt,
    "trainable_tokens": trainable_tokens, "poly": poly, "xlora": xlora, "bottleneck": bottleneck,
    "compacter": compacter, "lora_bottleneck": lora_bottleneck, "lora_prompt": lora_prompt, "freeze": freeze,
    "bitfit": bitfit,
}


def adapted(model: Any, recipe: Recipe, rows: Sequence[Any], tokenizer: Any, kept: Path) -> Any:
    """The model to train, from the loaded base model and what some starts read besides.

    `rows` are the prepared ones; in the folder `kept` a start that can't be made twice is kept for later attempts.
    """
    if getattr(recipe.adapter, "start_from", None) is not None:
        return continued(model, recipe)
    if recipe.adapter.kind == "lora":
        return started(model, recipe, rows, tokenizer, kept)
    return BUILDERS[recipe.adapter.kind](model, recipe)


def callbacks(model: Any) -> list[Any]:
    """What the trainer of an adapted model has to call besides: AdaLoRA's budget, for others nothing."""
    configs = getattr(model, "peft_config", {}).values()
    return [Budget(model)] if any(config.peft_type == "ADALORA" for config in configs) else []
