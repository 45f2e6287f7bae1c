"""Trained keys and values before every row: what they hold outside of the layers.  Bytes of one micro-batch.

peft puts them into a DynamicCache (`peft_model.py`, `get_prompt`), whose layers put the row's own keys and values
behind them.
"""

from __future__ import annotations

from ftui.planner.setup import Setup


def layer_bytes(setup: Setup) -> float:
    """One layer's keys and values, those of the prefix before those of the rows."""
    return float(2 * setup.geometry.key * setup.weight_bytes * setup.rows * setup.sequences * setup.keys)


def cache_bytes(setup: Setup) -> float:
    """What the cache holds until the loss is there: all layers' keys and values.

    Where every query head has its own the backward pass keeps the same tensors, and has counted them; shared ones are
    copied for it first.
    """
    sizes = setup.geometry
    return layer_bytes(setup) * sizes.layers if setup.prefix and 1 < sizes.kv_heads < sizes.heads else 0.0


def waiting_bytes(setup: Setup) -> float:
    """What waits for the backward pass to end: the prefix was cut up by layer before the first of them, so the parts'
    gradients, which are views of all keys' and values', are put together after the last."""
    return layer_bytes(setup) * (setup.geometry.layers - 1) if setup.prefix else 0.0


def encoder_bytes(setup: Setup) -> float:
    """What the network that makes a prefix keeps: its weights in the products' format, its input and its middle."""
    if not (setup.prefix and getattr(setup.options, "projection", False)):
        return 0.0
    casts = setup.compute_bytes * setup.adapter_parameters if setup.autocast and setup.adapter_bytes == 4 else 0
    return float(casts + 2 * setup.compute_bytes * setup.rows * setup.prefix * setup.geometry.key)
