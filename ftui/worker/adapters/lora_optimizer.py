"""Optimizers that belong to LoRA: they treat its two matrices differently.  All are peft's own (`peft.optimizers`)."""

from __future__ import annotations

from typing import Any

from ftui.methods.lora import LoraOptions
from ftui.recipe.document import Recipe
from ftui.worker.adapters.lora import keep_frozen


def set_optimizer(trainer: Any, recipe: Recipe) -> None:
    """Give `trainer` the optimizer that the adapter's update rule asks for; a plain one it makes itself."""
    options = recipe.adapter
    if not isinstance(options, LoraOptions) or options.update == "plain":
        return
    trainer.optimizer = optimizer_of(trainer.model, trainer.args, options, trainer)


def optimizer_of(model: Any, args: Any, options: LoraOptions, trainer: Any) -> Any:
    """LoRA+ (https://arxiv.org/abs/2402.12354) or the Riemannian update (https://arxiv.org/abs/2402.02347) around the
    recipe's own optimizer; LoRA-FA (https://arxiv.org/abs/2308.03303) is an AdamW of its own that freezes A.
    """
    from peft.optimizers import create_lorafa_optimizer, create_loraplus_optimizer, create_riemannian_optimizer

    kind, given = trainer.get_optimizer_cls_and_kwargs(args, model)
    match options.update:
        case "plus":
            return create_loraplus_optimizer(
                model, kind, loraplus_lr_ratio=options.plus_ratio, loraplus_weight_decay=args.weight_decay, **given
            )
        case "riemannian":
            return create_riemannian_optimizer(model, kind, weight_decay=args.weight_decay, **given)
        case _:
            # peft asks each module for its own scale; rank and alpha stand for those that have none.
            keep_frozen(model)
            return create_lorafa_optimizer(
                model, r=int(options.rank), lora_alpha=int(options.alpha), lr=args.learning_rate,
                weight_decay=args.weight_decay,
            )
