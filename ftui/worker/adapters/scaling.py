"""Builders of trained scales, shifts and norms (`ftui.methods.scaling`)."""

from __future__ import annotations

from typing import Any

from ftui.errors import BadInput
from ftui.models.shape import Origin, build
from ftui.planner.geometry import chosen, geometry
from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import targeted, task_type, wrapped


def ia3(model: Any, recipe: Recipe) -> Any:
    """IA³: scales on the outputs of attention's modules, and on the inputs of the feed-forward part's."""
    from peft import IA3Config

    options: Any = recipe.adapter
    targets = chosen(geometry(build(model.config.to_dict(), Origin("the loaded model", "config"))), options.targets)
    feed_forward = [target.name for target in targets if target.place.startswith("mlp")]
    # peft wants the one list to hold the other, so its own word for all linear modules is written out.
    given = {**targeted(recipe), "target_modules": [target.name for target in targets]}
    return wrapped(model, IA3Config(**given, feedforward_modules=feed_forward))


def beft(model: Any, recipe: Recipe) -> Any:
    """BEFT: a bias added to each module's output."""
    from peft import BeftConfig

    return wrapped(model, BeftConfig(**targeted(recipe)))


def ln_tuning(model: Any, recipe: Recipe) -> Any:
    """LN tuning: all norms over the hidden width; BadInput for a model whose norms have no weights."""
    from peft import LNTuningConfig

    if not (names := norms(model)):
        raise BadInput("The base model has no norms with weights to train.", "Write adapter: {kind: lora}.")
    return wrapped(model, LNTuningConfig(task_type=task_type(recipe), target_modules=names))


def norms(model: Any) -> list[str]:
    """The last parts of the names of the modules that normalize over the model's hidden width."""
    hidden = model.get_input_embeddings().weight.shape[1]
    return sorted(
        {
            name.rsplit(".", 1)[-1]
            for name, module in model.named_modules()
            if "norm" in type(module).__name__.lower()
            and getattr(getattr(module, "weight", None), "shape", None) == (hidden,)
        }
    )
