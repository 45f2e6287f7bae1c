"""Which modules of a base model an adapter is put on, in peft's words, and what to say where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftui.errors import BadInput
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe.document import Recipe


def task_type(recipe: Recipe) -> str:
    """peft's word for the head that the objective trains under: SEQ_CLS for scores, which train with the adapter."""
    return "SEQ_CLS" if OBJECTIVES[recipe.objective.kind].head == "scores" else "CAUSAL_LM"


def targeted(recipe: Recipe) -> dict[str, Any]:
    """What the configurations of all adapters on chosen modules begin with."""
    options: Any = recipe.adapter
    return {"task_type": task_type(recipe), "target_modules": target_modules(options.targets)}


def target_modules(targets: str | Sequence[str]) -> str | list[str]:
    """What peft takes: its own word for every linear layer, or names as a list."""
    if isinstance(targets, str):
        return targets if targets == "all-linear" else [name.strip() for name in targets.split(",")]
    return list(targets)


def linear_names(model: Any, part: Any = None) -> list[str]:
    """The last parts of the names of all linear modules but the head: what can be a target; or those of a part."""
    heads = (model.get_output_embeddings(), getattr(model, "score", None))
    linear = ("Linear", "Linear4bit", "Linear8bitLt", "Conv1D")
    return sorted(
        {
            name.rsplit(".", 1)[-1]
            for name, module in (part or model).named_modules()
            if all(module is not head for head in heads) and type(module).__name__ in linear
        }
    )


def wrapped(model: Any, config: Any) -> Any:
    """`model` with the adapter that `config` describes, everything else frozen.

    Raises BadInput that names the modules there are where none is the target, and with peft's own sentence where it
    refuses the model for another reason.
    """
    from peft import get_peft_model

    try:
        return get_peft_model(model, config)
    except (ValueError, TypeError, NotImplementedError) as error:
        if "target modules" not in str(error).lower():
            kind = getattr(config.peft_type, "value", config.peft_type).lower()
            title = next((row.title for row in ADAPTERS.values() if row.kind == kind), kind)
            said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise BadInput(
                f"{title} can't be put on this base model: {said}",
                "Change the adapter's settings or targets, or write adapter: {kind: lora}.",
            ) from error
        raise BadInput(
            f"The base model has none of the modules that adapter.targets names: {config.target_modules}.",
            f"Use all-linear, or some of: {', '.join(linear_names(model))}.",
        ) from error
