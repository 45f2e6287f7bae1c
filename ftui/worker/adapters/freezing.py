"""Builders that train a part of the model's own weights (`ftui.methods.freezing`).  The result is a whole model."""

from __future__ import annotations

from typing import Any

from ftui.errors import BadInput
from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import linear_names, task_type


def freeze(model: Any, recipe: Recipe) -> Any:
    """`model` with only the chosen layers, or the chosen modules of them, to be trained."""
    options: Any = recipe.adapter
    model.requires_grad_(False)
    layers = decoder_layers(model)
    count = min(options.layers or len(layers), len(layers))
    chosen = layers[-count:] if options.end == "last" else layers[:count]
    if options.modules == "all":
        parts = chosen
    else:
        wanted = _names(options.modules)
        named = [(name.rpartition(".")[2], module) for layer in chosen for name, module in layer.named_modules()]
        parts = [module for name, module in named if name in wanted]
        if unknown := wanted - {name for name, _ in named}:
            raise BadInput(
                f"The layers that train have no module called {', '.join(sorted(unknown))} (adapter.modules).",
                f"Write adapter.modules: all, or some of: {', '.join(linear_names(model))}.",
            )
    for part in parts:
        part.requires_grad_(True)
    return _with_head(model, recipe)


def bitfit(model: Any, recipe: Recipe) -> Any:
    """`model` with only its biases to be trained."""
    model.requires_grad_(False)
    biases = [parameter for name, parameter in model.named_parameters() if name.rpartition(".")[2] == "bias"]
    if not biases:
        raise BadInput(f"{type(model).__name__} has no biases, so BitFit has nothing to train.",
                       "Write adapter: {kind: ln_tuning}, or adapter: {kind: lora}.")
    for bias in biases:
        bias.requires_grad_(True)
    return _with_head(model, recipe)


def decoder_layers(model: Any) -> list[Any]:
    """The decoder layers of `model` in their order: its longest list of modules."""
    from torch.nn import ModuleList

    lists = [module for module in model.modules() if isinstance(module, ModuleList)]
    return list(max(lists, key=len, default=[]))


def _names(modules: str | tuple[str, ...]) -> set[str]:
    return {name.strip() for name in modules.split(",")} if isinstance(modules, str) else set(modules)


def _with_head(model: Any, recipe: Recipe) -> Any:
    """A head for scores begins at random numbers, so it trains in any case."""
    if task_type(recipe) == "SEQ_CLS":
        model.score.requires_grad_(True)
    return model
