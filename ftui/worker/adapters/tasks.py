"""Adapters that ask for each row's task: rows that name none belong to the first."""

from __future__ import annotations

from typing import Any

import torch


def default_to_first(model: Any) -> None:
    """Let rows without `task_ids` be the first task's in `model`; nothing for adapters that know no tasks."""
    for name, module in model.named_modules():
        if hasattr(module, "prefix_task_cols"):
            module.register_forward_pre_hook(_for_prompts, with_kwargs=True)
        elif name.rpartition(".")[0].endswith("poly_router"):
            module.register_forward_pre_hook(_for_router, with_kwargs=True)


def _for_prompts(encoder: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """peft calls the encoder with the virtual tokens' places and the tasks, None where a call names none."""
    indices, tasks = (*given, named.get("task_ids"))[:2]
    return (indices, _first(indices) if tasks is None else tasks), {}


def _for_router(router: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    if named.get("task_ids") is None:
        named["task_ids"] = _first(named["input_ids"])
    return given, named


def _first(rows: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(rows), dtype=torch.long, device=rows.device)
