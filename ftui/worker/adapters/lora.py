"""LoRA's builder (https://arxiv.org/abs/2106.09685); on a base of 4 bits it is QLoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import target_modules, wrapped

if TYPE_CHECKING:
    from peft import PeftModel


def lora(model: Any, recipe: Recipe) -> PeftModel:
    """`model` with LoRA matrices beside its target modules, everything else frozen."""
    from peft import LoraConfig, TaskType

    options = recipe.adapter
    if options.kind != "lora" or "auto" in (options.rank, options.alpha, options.dropout):
        raise ValueError(f"not a resolved LoRA recipe: {options}")
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=int(options.rank),
        lora_alpha=options.alpha,  # type: ignore[arg-type]  # peft takes fractions as well
        lora_dropout=float(options.dropout),
        target_modules=target_modules(options.targets),
        use_rslora=options.rslora,
        use_dora=options.dora,
    )
    adapted: PeftModel = wrapped(model, config)
    return adapted
