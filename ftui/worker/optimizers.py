"""Optimizers that transformers does not make as a recipe means them: Muon with AdamW, and schedule-free AdamW."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

from ftui.errors import BadInput
from ftui.recipe.document import Recipe
from ftui.worker.arguments import betas

TABLES = ("Embedding",)


class MuonAndAdamW(torch.optim.Optimizer):
    """Muon (https://kellerjordan.github.io/posts/muon) for matrices, AdamW for all else, as one optimizer.

    Muon's steps are scaled to the root mean square of AdamW's (https://arxiv.org/abs/2502.16982 §2.2), so that both
    take one learning rate.
    """

    def __init__(self, muon: torch.optim.Muon | None, adamw: torch.optim.AdamW | None) -> None:
        self.parts: dict[str, Any] = {
            name: part for name, part in (("muon", muon), ("adamw", adamw)) if part is not None
        }
        super().__init__([{"params": group["params"]} for part in self.parts.values() for group in part.param_groups],
                         {})  # fmt: skip
        self._share_groups()

    @property
    def state(self) -> defaultdict[torch.Tensor, Any]:
        """What both keep, by parameter: who finds none takes a step to have some made, which would wear the moments."""
        both: dict[torch.Tensor, Any] = {}
        for part in self.parts.values():
            both |= part.state
        return defaultdict(dict, both)

    @state.setter
    def state(self, value: Any) -> None:
        """Begin anew, as after the trial step; the base class sets it before there are parts with anything in them."""
        if value:
            raise ValueError("the two states are loaded by load_state_dict")
        for part in self.parts.values():
            part.state = defaultdict(dict)

    def _share_groups(self) -> None:
        # A schedule writes the rate into these: they must be the parts' own.
        self.param_groups = [group for part in self.parts.values() for group in part.param_groups]

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step of each part."""
        for part in self.parts.values():
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Each part's, by its name."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        for name, part in self.parts.items():
            part.load_state_dict(state_dict[name])
        self._share_groups()


def muon(trainer: Any, recipe: Recipe) -> MuonAndAdamW:
    """Muon for the matrices inside the model or of its adapter, AdamW for tables, heads, vectors and anything else."""
    model, train = trainer.model, recipe.train
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    apart = {
        id(parameter) for module in model.modules() if type(module).__name__ in TABLES or module is head
        for parameter in module.parameters(recurse=False)
    }
    decayed = set(trainer.get_decay_parameter_names(model))
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        wide = parameter.ndim == 2 and min(parameter.shape) > 1 and id(parameter) not in apart
        (matrices if wide else rest if name in decayed else plain).append(parameter)
    rate = float(train.learning_rate)
    groups = [{"params": rest, "weight_decay": train.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if not hasattr(torch.optim, "Muon"):
        raise BadInput(f"torch {torch.__version__} has no Muon, which came with 2.9.",
                       "Run pip install --upgrade torch, or write train.optimizer: adamw.")
    return MuonAndAdamW(
        torch.optim.Muon(matrices, lr=rate, weight_decay=train.weight_decay, adjust_lr_fn="match_rms_adamw")
        if matrices else None,
        torch.optim.AdamW(groups, lr=rate, betas=betas(recipe), eps=train.epsilon or 1e-8, fused=True)
        if groups else None,
    )


def schedule_free(trainer: Any, recipe: Recipe) -> Any:
    """Schedule-free AdamW (https://arxiv.org/abs/2405.15682).

    Its warm-up is the schedule's: transformers would hand it the share of the steps as if it were their number.
    """
    from schedulefree import AdamWScheduleFree

    decayed, train = set(trainer.get_decay_parameter_names(trainer.model)), recipe.train
    trained = [(name, one) for name, one in trainer.model.named_parameters() if one.requires_grad]
    groups = [
        {"params": [one for name, one in trained if name in decayed], "weight_decay": train.weight_decay},
        {"params": [one for name, one in trained if name not in decayed], "weight_decay": 0.0},
    ]
    # Its list-wise kernels would make several copies of all that trains at once.
    return AdamWScheduleFree(
        [group for group in groups if group["params"]], lr=float(train.learning_rate), betas=betas(recipe),
        eps=train.epsilon or 1e-8, foreach=False,
    )


def set_own_optimizer(trainer: Any, recipe: Recipe) -> None:
    """Give `trainer` the optimizer that the recipe names, where transformers has none of that name."""
    match recipe.train.optimizer:
        case "muon":
            trainer.optimizer = muon(trainer, recipe)
        case "schedule_free":
            trainer.optimizer = schedule_free(trainer, recipe)
        case "galore":
            from ftui.worker.galore import optimizer_of

            trainer.optimizer = optimizer_of(trainer.model, recipe)
