"""A finished adapter on its base again, to be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.methods import LoraOptions
from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import task_type


def continued(model: Any, recipe: Recipe) -> Any:
    """`model` with the adapter that lies in `adapter.start_from`, which trains on with the recipe's own dropout.

    Under a head of scores, to which an adapter of a language model may go over, the head is new and trains with it.
    Raises BadInput where the folder's adapter doesn't fit the base model.
    """
    from peft import PeftConfig, PeftModel, get_peft_model

    import ftui.tuners  # noqa: F401  # gives peft the kinds of adapter that it lacks

    options: Any = recipe.adapter
    folder = Path(options.start_from)
    try:
        config: Any = PeftConfig.from_pretrained(str(folder))
        head, config.task_type = config.task_type, task_type(recipe)
        if head == "SEQ_CLS" and config.task_type != head:
            raise BadInput(
                f"The adapter in {folder} ends in a head of scores, and {recipe.objective.kind} needs one of words.",
                "Start from the adapter of a language model.",
            )
        config.inference_mode = False
        if isinstance(options, LoraOptions):
            config.lora_dropout = float(options.dropout)
        if head == config.task_type:
            return PeftModel.from_pretrained(model, str(folder), is_trainable=True, config=config)
        adapted = get_peft_model(model, config)
        _fill(adapted, folder)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(
            f"The adapter in {folder} can't be put on the base model {recipe.model.base}: {said}",
            "Write the model.base that it was trained on; its adapter_config.json names it.",
        ) from error
    return adapted


def _fill(adapted: Any, folder: Path) -> None:
    """Give `adapted` what the file in `folder` holds; the head, which that doesn't know, stays as it was made."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from peft.utils import load_peft_weights

    made = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    set_peft_model_state_dict(adapted, {**made, **load_peft_weights(str(folder), device="cpu")})
