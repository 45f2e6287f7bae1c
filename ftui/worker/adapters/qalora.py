"""QALoRA (https://arxiv.org/abs/2309.14717): the first matrix reads averages over groups of inputs.

peft has it for GPTQ bases alone and on all others trains plain LoRA without a word, so here the first matrix itself is
grouped, for any base.  A grouped matrix is a plain one whose columns repeat: `spread` writes it so, for a result that
plain peft loads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ftui.errors import BadInput


class GroupedLinear(nn.Linear):
    """A linear map of the means of `group` neighbouring inputs, times how many means there are (the paper's D / L)."""

    def __init__(self, inputs: int, outputs: int, group: int, **made: Any) -> None:
        super().__init__(inputs // group, outputs, bias=False, **made)
        self.group = group

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(..., inputs) -> (..., outputs)."""
        means = input.unflatten(-1, (-1, self.group)).mean(-1) * self.in_features
        return nn.functional.linear(means, self.weight)


def group_inputs(model: Any, group: int) -> None:
    """Put a grouped first matrix in place of each of LoRA's; BadInput where the group doesn't divide a width."""
    from peft.tuners.lora import LoraLayer

    for path, module in model.named_modules():
        if not isinstance(module, LoraLayer):
            continue
        made: Any = module.lora_A
        for name, first in list(made.items()):
            if first.in_features % group:
                raise BadInput(
                    f"adapter.qalora_group {group} does not divide {first.in_features:,}, the inputs of "
                    f"{path.rsplit('.', 1)[-1]}.", "Choose a divisor of it, such as 16 or 32.",
                )
            grouped = GroupedLinear(
                first.in_features, first.out_features, group, device=first.weight.device, dtype=first.weight.dtype
            )
            made[name] = grouped.requires_grad_(first.weight.requires_grad)


def spread(matrix: torch.Tensor, group: int) -> torch.Tensor:
    """The plain first matrix (rank, inputs) that does what the grouped one (rank, inputs / group) does."""
    return matrix.repeat_interleave(group, dim=1) * (matrix.shape[1] / group)
