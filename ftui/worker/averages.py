"""Weights that count in place of those that train: a running mean (https://arxiv.org/abs/1803.05407, with a decay), or
what a schedule-free optimizer gives.  They are evaluated and saved."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

AVERAGE = "average.safetensors"
"""In a checkpoint: the weights as they train, and the mean in float32; the model's own file has those that count."""

EARLY = 10
"""The first updates take a smaller decay, (1 + n) / (10 + n), so that the mean is not held at the start."""


class OtherWeights:
    """What trains in `model`, where other weights than these count."""

    def __init__(self, model: Any) -> None:
        self._trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
        self._own: dict[str, torch.Tensor] = {}

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model holds those that count within; its own wait in host memory and come back bit by bit."""
        self._own = {name: one.detach().to("cpu", copy=True) for name, one in self._trained.items()}
        self.settle()
        try:
            yield
        finally:
            self._put(self._own)
            self._own = {}

    def settle(self) -> None:
        """Leave those that count in the model."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write the model's own, and what else a resume needs, into a checkpoint; called within `in_place`."""
        kept, notes = self._beside()
        own = {f"own.{name}": one.contiguous() for name, one in self._own.items()}
        save_file(own | kept, folder / AVERAGE, metadata=notes)

    def load(self, folder: Path) -> None:
        """Go on from such a checkpoint, whose optimizer's state is loaded."""
        with safe_open(folder / AVERAGE, "pt") as file:
            notes = file.metadata()
        kept = load_file(folder / AVERAGE)
        self._put({name: kept[f"own.{name}"] for name in self._trained})
        self._take(kept, notes)

    def _beside(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        return {}, {}

    def _take(self, kept: dict[str, torch.Tensor], notes: dict[str, str]) -> None:
        """Take over what `_beside` gave."""

    @torch.no_grad()
    def _put(self, values: dict[str, torch.Tensor]) -> None:
        for name, one in self._trained.items():
            one.copy_(values[name])


class ScheduleFreeWeights(OtherWeights):
    """What schedule-free AdamW gives.  Its own way back from them rounds, so that a save would change the curve."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        super().__init__(model)
        self._optimizer = optimizer

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """As ever, and the optimizer knows that its own are back."""
        with super().in_place():
            yield
        self._trains()

    def settle(self) -> None:
        self._optimizer.eval()

    def _take(self, kept: dict[str, torch.Tensor], notes: dict[str, str]) -> None:
        self._trains()

    def _trains(self) -> None:
        for group in self._optimizer.param_groups:
            group["train_mode"] = True


class WeightAverage(OtherWeights, TrainerCallback):
    """The mean of every parameter of `model` that trains, in float32 on its device, brought on after each step."""

    def __init__(self, model: Any, decay: float) -> None:
        super().__init__(model)
        self.decay, self.updates = decay, 0
        self._mean = {name: one.detach().float().clone() for name, one in self._trained.items()}

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The optimizer has taken a step."""
        self.update()

    @torch.no_grad()
    def update(self) -> None:
        """mean ← decay · mean + (1 − decay) · weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (EARLY + self.updates))
        for name, mean in self._mean.items():
            mean.lerp_(self._trained[name].detach().float(), 1 - decay)

    def held(self) -> Iterator[tuple[torch.nn.Parameter, torch.Tensor]]:
        """Each parameter with its mean, which is on the device as long as the training lasts."""
        return ((one, self._mean[name]) for name, one in self._trained.items())

    def settle(self) -> None:
        self._put(self._mean)

    def _beside(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        mean = {f"mean.{name}": one.cpu().contiguous() for name, one in self._mean.items()}
        return mean, {"updates": str(self.updates)}

    def _take(self, kept: dict[str, torch.Tensor], notes: dict[str, str]) -> None:
        self.updates = int(notes["updates"])
        for name, mean in self._mean.items():
            mean.copy_(kept[f"mean.{name}"])
