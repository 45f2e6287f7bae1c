"""What an adapter brings along untrained: random bases, places of entries, finished adapters.  All in bytes.

peft makes such tensors float32 unless it says otherwise, and int64 where they are places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ftui.planner.adapters import PER_MODULE, oft_block, osf_ranks
from ftui.planner.geometry import Geometry, Target, chosen

EXPERT_RANK = 16
"""The rank on all linear modules that a finished LoRA is taken to have whose size nobody states."""


def buffer_bytes(
    kind: str, options: Any, targets: tuple[Target, ...], sizes: Geometry, weight_bytes: int
) -> int:
    """Frozen tensors that the adapter brings along; `weight_bytes` is the base's width per element."""
    if whole := PER_MODEL.get(kind):
        return whole(options, sizes, weight_bytes)
    return BUFFERS[kind](options, targets, weight_bytes) if kind in BUFFERS and targets else 0


def _experts(o: Any, sizes: Geometry, weight: int) -> int:
    """X-LoRA's finished LoRAs, of which a plan reads no files."""
    each = EXPERT_RANK * sum((t.inputs + t.outputs) * t.count for t in chosen(sizes, "all-linear", lora=False))
    return 4 * len(o.adapters) * (each if o.expert_parameters is None else int(o.expert_parameters * 1e6))


PER_MODEL: Mapping[str, Callable[[Any, Geometry, int], int]] = {
    # The rows of the table as they were.
    "trainable_tokens": lambda o, sizes, weight: int(o.count) * sizes.hidden * weight,
    "cartridge": lambda o, sizes, weight: 4 * int(o.frozen_tokens) * sizes.layers * 2 * sizes.key,
    # The worked examples' embeddings, from which those that train may not move far.
    "cpt": lambda o, sizes, weight: 4 * int(o.virtual_tokens) * sizes.hidden,
    "xlora": _experts,
}


def _random_pair(o: Any, targets: tuple[Target, ...], down: int) -> int:
    """VeRA's two random matrices, as wide as the widest module on either side, once for the whole model."""
    return 4 * (down * max(t.inputs for t in targets) + o.rank * max(t.outputs for t in targets))


def _randlora_buffers(o: Any, targets: tuple[Target, ...], weight: int) -> int:
    """As wide as the widest input and output among the modules, whichever of the two is the narrower."""
    least, most = sorted((max(t.inputs for t in targets), max(t.outputs for t in targets)))
    return 4 * (o.rank * least + most * -(-least // o.rank) * o.rank)


def _oft_places(o: Any, targets: tuple[Target, ...], weight: int) -> int:
    blocks = ((t, oft_block(t.inputs, o.block_size)) for t in targets)
    return sum(16 * t.count * (block * (block - 1) // 2) for t, block in blocks)


def _psoft_buffers(o: Any, targets: tuple[Target, ...], weight: int) -> int:
    return sum(
        t.count * (16 * PER_MODULE["psoft"](o, t)[0][1] + 4 * min(o.rank, t.inputs, t.outputs) * (t.inputs + t.outputs))
        for t in targets
    )


def _unilora_buffers(o: Any, targets: tuple[Target, ...], weight: int) -> int:
    """For every entry of the two matrices its place in the vector (int64) and its scale."""
    return sum(12 * t.count * o.rank * (t.inputs + t.outputs) for t in targets)


def _tinylora_buffers(o: Any, targets: tuple[Target, ...], weight: int) -> int:
    return sum(4 * t.count * (o.rank * (t.inputs + t.outputs) + o.length * o.rank * o.rank) for t in targets)


def _frod_buffers(o: Any, targets: tuple[Target, ...], weight: int) -> int:
    """For every module its left basis, for every kind of module the right one and the places of its entries."""
    return sum(
        weight * (t.count * t.weights + t.inputs * t.inputs) + 16 * PER_MODULE["frod"](o, t)[1][1] for t in targets
    )


def _shira_places(o: Any, targets: tuple[Target, ...], weight: int) -> int:
    return sum(8 * t.count * o.rank * (t.inputs + t.outputs) for t in targets)


def _osf_buffers(o: Any, targets: tuple[Target, ...], weight: int) -> int:
    """The trained directions as they were, and the frozen ones of the longer side."""
    total = 0
    for t in targets:
        high, low = osf_ranks(o, t)
        longer = max(t.inputs, t.outputs) if t.inputs != t.outputs else 0
        total += 4 * t.count * (low * (t.inputs + t.outputs + 1) + high * longer)
    return total


BUFFERS: Mapping[str, Callable[[Any, tuple[Target, ...], int], int]] = {
    "vera": lambda o, targets, weight: _random_pair(o, targets, o.rank),
    "pvera": lambda o, targets, weight: _random_pair(o, targets, 2 * o.rank),
    "randlora": _randlora_buffers,
    "oft": _oft_places,
    "boft": lambda o, targets, weight: sum(4 * t.count * t.inputs * t.inputs for t in targets),
    "psoft": _psoft_buffers,
    "unilora": _unilora_buffers,
    "tinylora": _tinylora_buffers,
    "frod": _frod_buffers,
    "shira": _shira_places,
    "supertuning": lambda o, targets, weight: sum(4 * t.count * PER_MODULE["supertuning"](o, t)[0][1] for t in targets),
    "osf": _osf_buffers,
    "delora": lambda o, targets, weight: sum(4 * t.count * t.inputs for t in targets),
    "glora": lambda o, targets, weight: sum(
        weight * t.count * (0 if t.bias else t.inputs + 2 * t.outputs) for t in targets),
}
