"""Products in 8-bit floats with torchao (`train.float8`): both factors are cast for each, with a scale per tensor.

Weights, gradients and what autograd keeps stay in 16 bits (torchao 0.18, float8/float8_linear.py), so this saves time
and no memory.  Modules keep their names and their weights: what is saved is what would be saved without.
"""

from __future__ import annotations

import os
from typing import Any

MULTIPLE = 16
"""Sides of a matrix that the cards' 8-bit products take."""

# Its kernels for other devices are not needed, and each that doesn't load says so.
os.environ.setdefault("TORCHAO_SKIP_LOADING_SO_FILES", "1")


def convert(model: Any) -> Any:
    """`model` whose trained linear modules, but for the head, multiply in 8-bit floats.

    A frozen module is left as it is: torchao would compute its weight's gradient all the same.  So is one of which a
    side is no multiple of 16, which no card takes.
    """
    import torch
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    scores = getattr(model, "score", None)
    chosen = {
        name for name, module in model.named_modules()
        if type(module) is torch.nn.Linear and module is not head and module is not scores
        and module.weight.requires_grad and not any(side % MULTIPLE for side in module.weight.shape)
    }
    # The gradient of a weight sums over the tokens, whose number is seldom such a multiple: it is padded to one.
    config = Float8LinearConfig(pad_inner_dim=True)
    return convert_to_float8_training(model, config=config, module_filter_fn=lambda _, name: name in chosen)
