"""Adapters that ask for each row's task: rows that name none belong to the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ftui.data import Prepared
from ftui.errors import BadInput
from ftui.recipe.document import Recipe
from ftui.recipe.task_combinations import miscounted
from ftui.runs.asking import tasks_in


class Told:
    """The tasks that the last call of a model named, for the layers that are computed again going backward: those come
    past the adapter, which would give them their tasks."""

    def __init__(self) -> None:
        self.tasks: torch.Tensor | None = None

    def listen(self, model: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.tasks = named.get("task_ids")

    def to_router(self, router: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if named.get("task_ids") is None:
            rows = named["input_ids"]
            # Only what is computed with gradients can be such a layer; a generation is not.
            again = torch.is_grad_enabled() and self.tasks is not None and len(self.tasks) == len(rows)
            named["task_ids"] = self.tasks if again else _first(rows)
        return given, named


def default_to_first(model: Any) -> None:
    """Let rows without `task_ids` be the first task's in `model`; nothing for adapters that know no tasks."""
    told = Told()
    for name, module in model.named_modules():
        if hasattr(module, "prefix_task_cols"):
            module.register_forward_pre_hook(_for_prompts, with_kwargs=True)
        elif name.rpartition(".")[0].endswith("poly_router"):
            module.register_forward_pre_hook(told.to_router, with_kwargs=True)
    model.register_forward_pre_hook(told.listen, with_kwargs=True)


def _for_prompts(encoder: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """peft calls the encoder with the virtual tokens' places and the tasks, None where a call names none."""
    indices, tasks = (*given, named.get("task_ids"))[:2]
    return (indices, _first(indices) if tasks is None else tasks), {}


def _first(rows: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(rows), dtype=torch.long, device=rows.device)


def check_tasks(recipe: Recipe, prepared: Prepared) -> None:
    """Raises BadInput where the rows name more or fewer tasks than the adapter tells apart, or where the adapter that
    is trained on has learnt others under their numbers."""
    for found in miscounted(recipe, prepared.tasks):
        raise BadInput(*found)
    start = getattr(recipe.adapter, "start_from", None)
    if start is None or not hasattr(recipe.adapter, "tasks"):
        return
    before = tasks_in(Path(start))
    if before and before != prepared.tasks:
        raise BadInput(
            f"The adapter in {start} has learnt the tasks {', '.join(before)}, and the data names "
            f"{', '.join(prepared.tasks)}.", "Name the same tasks, in the same order of their first rows.",
        )
