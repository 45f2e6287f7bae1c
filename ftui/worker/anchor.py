"""What holds a training near to where it began: a pull on each weight, even or by its importance to an old task.

Elastic weight consolidation (https://arxiv.org/abs/1612.00796): the loss gets λ/2 · Σ F·(θ - θ₀)², where F is the
diagonal of the old task's empirical Fisher information.  F is summed over rows and divided by their trained tokens, as
the loss is: with λ = 1 the old rows count as much as so many new ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ftui.errors import BadInput
from ftui.worker.checkpoints import aside
from ftui.worker.trainer import undisturbed

FISHER = "importance.safetensors"
"""Beside a result: the importance of each weight that trained, in float32, under the names of the trained model."""


class Anchor:
    """The start of what trains in `model`, and how strongly it pulls: `pull` on all alike, `ewc` by `importance`."""

    def __init__(
        self, model: Any, *, pull: float = 0.0, ewc: float = 0.0, importance: dict[str, torch.Tensor] | None = None
    ) -> None:
        self._trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
        self._start = {name: one.detach().clone() for name, one in self._trained.items()}
        self._pull, self._ewc = pull, ewc
        self._importance = {}
        if importance is not None:
            self._importance = {name: _fitting(name, one, importance) for name, one in self._trained.items()}

    @torch.no_grad()
    def add_gradient(self, share: float) -> float:
        """Add `share` of the penalty's gradient to what the backward pass has left; returns the whole penalty."""
        penalty = 0.0
        for name, one in self._trained.items():
            if one.grad is None:
                continue
            away = one.detach().float() - self._start[name].float()
            force = self._pull * away
            if self._importance:
                force += self._ewc * self._importance[name] * away
            penalty += 0.5 * float((force * away).sum())
            one.grad += (share * force).to(one.grad.dtype)
        return penalty


def _fitting(name: str, parameter: torch.Tensor, importance: dict[str, torch.Tensor]) -> torch.Tensor:
    found = importance.get(name)
    if found is None or found.shape != parameter.shape:
        raise BadInput(
            f"The importance that was kept doesn't fit what trains now: {name} has another shape or is missing.",
            "Train the same adapter on, or measure anew: continual.remember with a file of old rows.",
        )
    return found.to(parameter.device, torch.float32)


def importance_of(trainer: Any, rows: Sequence[Any], count: int) -> dict[str, torch.Tensor]:
    """The diagonal of the empirical Fisher information on the first `count` of `rows`, in float32, without a trace in
    the training: by name the sum of the squared gradients of each row's log-likelihood, per trained token."""
    model = trainer.model
    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    found = {name: torch.zeros_like(one, dtype=torch.float32) for name, one in trained.items()}
    tokens, was_training = 0, model.training
    model.eval()
    with undisturbed(), torch.enable_grad():
        for index in range(min(count, len(rows))):
            trainer.session.context.progress("Measuring what is important", index, min(count, len(rows)), unit="row")
            inputs = trainer.data_collator([rows[index]])
            inputs.pop("tokens")
            with trainer.compute_loss_context_manager():
                output = model(**trainer._prepare_inputs(inputs), summed_loss=True)
            output.loss.backward()
            tokens += int(output.count)
            for name, one in trained.items():
                if one.grad is not None:
                    found[name] += one.grad.float() ** 2
            model.zero_grad(set_to_none=True)
    model.train(was_training)
    return {name: one / max(tokens, 1) for name, one in found.items()}


def save(importance: dict[str, torch.Tensor], folder: Path) -> None:
    """Write it into `folder`."""
    from safetensors.torch import save_file

    save_file({name: one.detach().cpu().contiguous() for name, one in importance.items()}, folder / FISHER)


def load(folder: Path) -> dict[str, torch.Tensor] | None:
    """What `save` wrote; None where there is nothing."""
    from safetensors.torch import load_file

    return load_file(folder / FISHER) if (folder / FISHER).is_file() else None


def kept(folder: Path, measure: Any) -> dict[str, torch.Tensor]:
    """What `measure()` gives the first time, kept in the folder for later attempts, which begin from the same."""
    if (found := load(folder)) is None:
        found = measure()
        with aside(folder) as making:
            save(found, making)
    return found
