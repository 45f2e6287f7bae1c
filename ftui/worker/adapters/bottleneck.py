"""Builders of what stands around blocks, and of hybrids with LoRA (`ftui.methods.bottleneck`, `ftui.tuners`)."""

from __future__ import annotations

from typing import Any

from ftui.errors import BadInput
from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import linear_names, target_modules, task_type, wrapped


def bottleneck(model: Any, recipe: Recipe) -> Any:
    """A narrow network behind or beside the blocks of every layer."""
    return wrapped(model, _blocks(model, recipe))


def compacter(model: Any, recipe: Recipe) -> Any:
    """The same, of Kronecker products whose left factors the whole model shares."""
    from ftui.tuners import CompacterConfig

    options: Any = recipe.adapter
    hidden = model.config.get_text_config().hidden_size
    for width, what in ((hidden, "the model's width"), (options.width, "adapter.width")):
        if width % options.products:
            raise BadInput(f"adapter.products {options.products} does not divide {what}, {width:,}.",
                           "Write adapter.products: 4, or another divisor of both widths.")
    _need_blocks(model, options.placement)
    return wrapped(
        model,
        CompacterConfig(
            task_type=task_type(recipe), width=options.width, placement=options.placement, products=options.products,
            rank=options.rank, activation=options.activation, scale=options.scale,
        ),
    )


def lora_bottleneck(model: Any, recipe: Recipe) -> Any:
    """LoRA on the target modules, and a narrow network around the blocks that hold them."""
    from ftui.tuners import HybridConfig

    parts = [_lora(model, recipe), _blocks(model, recipe)]
    return wrapped(model, HybridConfig(task_type=task_type(recipe), parts=parts))


def lora_prompt(model: Any, recipe: Recipe) -> Any:
    """LoRA on the target modules, and vectors before the text that begin as tokens' drawn at random."""
    from ftui.tuners import HybridConfig, SoftPromptConfig

    options: Any = recipe.adapter
    parts = [_lora(model, recipe), SoftPromptConfig(task_type=task_type(recipe), virtual_tokens=options.virtual_tokens)]
    return wrapped(model, HybridConfig(task_type=task_type(recipe), parts=parts))


def _blocks(model: Any, recipe: Recipe) -> Any:
    from ftui.tuners import BottleneckConfig

    options: Any = recipe.adapter
    _need_blocks(model, options.placement)
    return BottleneckConfig(
        task_type=task_type(recipe), width=options.width, placement=options.placement, activation=options.activation,
        scale=options.scale,
    )


def _lora(model: Any, recipe: Recipe) -> Any:
    """LoRA on linear modules alone: peft's word for all of them would take a mixture's fused experts along."""
    from peft import LoraConfig

    options: Any = recipe.adapter
    targets = linear_names(model) if options.targets == "all-linear" else target_modules(options.targets)
    return LoraConfig(
        task_type=task_type(recipe), r=options.rank, lora_alpha=options.alpha,
        target_modules=targets,
    )


def _need_blocks(model: Any, placement: str) -> None:
    """BadInput where the layers hold no such blocks under a usual name (OPT has its MLP in the layer itself)."""
    from ftui.tuners.wrapping import sublayers

    attention, mlp = sublayers(model)
    if not mlp or (placement == "houlsby" and not attention):
        missing = "an MLP block" if not mlp else "an attention block"
        raise BadInput(
            f"The layers of {type(model).__name__} hold no module that is {missing}, which adapter.placement "
            f"{placement} needs.", "Write adapter: {kind: lora}.",
        )
