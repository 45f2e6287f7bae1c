"""Builders of adapters, one for each row of `ftui.methods.ADAPTERS` that trains: what of a loaded base model trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ftui.errors import BadInput
from ftui.recipe.document import Recipe

if TYPE_CHECKING:
    from peft import PeftModel

Builder = Callable[[Any, Recipe], Any]
"""(loaded base model, resolved recipe) -> the model to train."""


def lora(model: Any, recipe: Recipe) -> PeftModel:
    """`model` with LoRA matrices beside its target modules, everything else frozen (https://arxiv.org/abs/2106.09685)."""
    from peft import LoraConfig, TaskType, get_peft_model

    options = recipe.adapter
    if options.kind != "lora" or "auto" in (options.rank, options.alpha, options.dropout):
        raise ValueError(f"not a resolved LoRA recipe: {options}")
    targets = options.targets if isinstance(options.targets, str) else list(options.targets)
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=int(options.rank),
        lora_alpha=options.alpha,  # type: ignore[arg-type]  # peft takes fractions as well
        lora_dropout=float(options.dropout),
        target_modules=_target_modules(targets),
        use_rslora=options.rslora,
        use_dora=options.dora,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        if "target modules" not in str(error).lower():
            raise
        raise BadInput(
            f"The base model has none of the modules that adapter.targets names: {targets}.",
            f"Use all-linear, or some of: {', '.join(_linear_names(model))}.",
        ) from error


def none(model: Any, recipe: Recipe) -> Any:
    """`model` as it is: every weight trains."""
    return model.requires_grad_(True)


BUILDERS: dict[str, Builder] = {"lora": lora, "none": none}


def _target_modules(targets: str | list[str]) -> str | list[str]:
    """What peft takes: its own word for every linear layer, or names as a list."""
    if isinstance(targets, str) and targets != "all-linear":
        return [name.strip() for name in targets.split(",")]
    return targets


def _linear_names(model: Any) -> list[str]:
    head = model.get_output_embeddings()
    return sorted(
        {
            name.rsplit(".", 1)[-1]
            for name, module in model.named_modules()
            if module is not head and type(module).__name__ in ("Linear", "Linear4bit", "Linear8bitLt", "Conv1D")
        }
    )
