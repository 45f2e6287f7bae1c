"""What stays on the device from step to step: weights, adapters, gradients, optimizer states.  All results in bytes."""

from __future__ import annotations

from ftui.planner import adapters
from ftui.planner.setup import Setup


def weight_bytes(setup: Setup) -> int:
    """The base model as it is loaded.

    4 bits: half a byte per linear weight, plus one float32 scale per 64 weights, or with double quantization one byte
    per 64 and a float32 per 256 of those (https://arxiv.org/abs/2305.14314 §3).  8 bits: a byte per linear weight plus
    a float32 per output row.  Embeddings, head, norms and fused expert tensors keep the recipe's dtype.
    """
    sizes, width = setup.geometry, setup.weight_bytes
    linear = sizes.linear_weights
    rest = (sizes.parameters - linear) * width
    if setup.quantization in ("nf4", "fp4"):
        blocks = linear / setup.stack.nf4_block
        scales = blocks + blocks / setup.stack.nf4_nested_block * 4 if setup.double_quantization else blocks * 4
        return int(linear / 2 + scales + rest)
    if setup.quantization == "int8":
        return int(linear + 4 * sum(t.outputs * t.count for t in sizes.targets if not t.packed) + rest)
    return sizes.parameters * width


def trainable_parameters(setup: Setup) -> int:
    """Elements that get gradients."""
    return setup.geometry.parameters if setup.full else setup.adapter_parameters


def trained_bytes(setup: Setup) -> int:
    """Bytes per trained element: the weights' own width in full tuning, else the adapter's."""
    return setup.weight_bytes if setup.full else setup.adapter_bytes


def adapter_bytes(setup: Setup) -> int:
    """The adapter on the device, with the frozen tensors that some kinds bring along; 0 in full tuning."""
    if setup.full:
        return 0
    frozen = adapters.buffer_bytes(
        setup.adapter, setup.options, setup.targets, setup.geometry, setup.weight_bytes
    )
    return setup.adapter_parameters * setup.adapter_bytes + frozen


def gradient_bytes(setup: Setup) -> int:
    """All gradients at once, as they stand before an optimizer step."""
    return trainable_parameters(setup) * trained_bytes(setup)


def optimizer_bytes(setup: Setup) -> int:
    """Optimizer states on the device.

    AdamW: two per element in the weights' dtype.  8-bit: a byte each plus a float32 scale per block, except in tensors
    too small to be quantized.  Paged ones live in host memory, which is the same memory in CPU mode (where bitsandbytes
    falls back to non-paged ones).  Adafactor: a row and a column per matrix in float32.
    """
    count, width = trainable_parameters(setup), trained_bytes(setup)
    if setup.optimizer == "adamw":
        return 2 * count * width
    quantized, small = _quantized_states(setup)
    scale = 1 + 4 / setup.stack.optimizer_block
    match setup.optimizer:
        case "sgd":
            return 0
        case "adafactor":
            return int(4 * _rows_and_columns(setup))
        case "lion_8bit":
            return int(quantized * scale + 4 * small)
        case "adamw_8bit":
            return int(2 * (quantized * scale + 4 * small))
        case "paged_adamw_8bit":
            return int(2 * (quantized * scale + 4 * small)) if setup.device == "cpu" else 0
        case other:
            raise ValueError(f"no memory rule for the optimizer {other!r}")


def optimizer_workspace(setup: Setup) -> int:
    """What a step makes beside the states: Adafactor's float32 gradient and update of the largest tensor."""
    if setup.optimizer != "adafactor":
        return 0
    sizes = setup.geometry
    largest = max(sizes.embedding, sizes.largest_linear) if setup.full else max(
        (setup.rank * max(t.inputs, t.outputs) for t in setup.targets), default=0
    )
    return 12 * largest


def _quantized_states(setup: Setup) -> tuple[int, int]:
    """Trained elements whose 8-bit optimizer states are 8 bits, and those in tensors too small for it."""
    total = trainable_parameters(setup)
    if setup.full:
        matrices = setup.geometry.linear_weights + setup.geometry.packed_weights + setup.geometry.embedding
        return (total, 0) if setup.geometry.hidden >= setup.stack.optimizer_8bit_minimum else (
            min(total, matrices), max(0, total - matrices)
        )
    if setup.options is not None:
        tensors = adapters.trained(setup.adapter, setup.options, setup.targets, setup.geometry)
        large = sum(t.elements * t.count for t in tensors if t.elements >= setup.stack.optimizer_8bit_minimum)
        return large, total - large
    large = sum(
        t.count * setup.rank * t.ranks * side
        for t in setup.targets for side in (t.inputs, t.outputs)
        if setup.rank * t.ranks * side >= setup.stack.optimizer_8bit_minimum
    )
    return large, total - large


def _rows_and_columns(setup: Setup) -> int:
    if setup.full:
        sizes = setup.geometry
        tables = (1 if sizes.tied else 2) * (sizes.vocab + sizes.hidden)
        return tables + sum(t.count * (t.inputs + t.outputs) for t in sizes.targets)
    if setup.options is not None:
        tensors = adapters.trained(setup.adapter, setup.options, setup.targets, setup.geometry)
        return sum(t.count * (t.rows + t.columns if t.rows > 1 else t.columns) for t in tensors)
    return sum(t.count * (t.inputs + t.outputs + 2 * setup.rank) for t in setup.targets)
