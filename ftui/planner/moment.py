"""`Moment`: what one instant of a training step holds."""

from __future__ import annotations

from typing import NamedTuple


class Moment(NamedTuple):
    """What one moment holds beyond the weights, the adapter and the optimizer states, in bytes."""

    phase: str
    gradients: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    workspace: float = 0.0
    optimizer: bool = True
    """Whether the optimizer's states exist by then."""

    def total(self, states: int) -> float:
        """The moment's bytes, `states` being those of the optimizer."""
        return self.gradients + self.activations + self.logits + self.workspace + (states if self.optimizer else 0)
