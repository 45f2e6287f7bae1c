"""What stays on the device from step to step: weights, adapters, gradients, optimizer states.  All results in bytes."""

from __future__ import annotations

from ftui.methods import LoraOptions
from ftui.planner import adapters, frozen, projected, stored
from ftui.planner.adapters import Trained
from ftui.planner.lora import lora_frozen
from ftui.planner.partial import in_place
from ftui.planner.setup import Setup

PAGED_ELEMENTS = 100_000
"""Smaller tensors keep their states on the device (bitsandbytes 0.50, optim/optimizer.py, `get_state_buffer`)."""


def weight_bytes(setup: Setup) -> int:
    """The base model as it is loaded.

    4 bits (nf4 and fp4 alike): half a byte per linear weight, plus one float32 scale per 64 weights, or with double
    quantization one byte per 64 and a float32 per 256 of those (https://arxiv.org/abs/2305.14314 §3).  8 bits: a byte
    per linear weight plus a float32 per output row.  Embeddings, head, norms and fused expert tensors keep the recipe's
    dtype; upcasts make them float32: the norms, or all, as peft's `prepare_model_for_kbit_training` does.  The towers
    of a multimodal model are nearly all linear modules, quantized with the rest unless they see images.
    """
    sizes, width = setup.geometry, setup.weight_bytes
    if sizes.stored is not None and not setup.full:
        return stored.weight_bytes(setup)
    if setup.quantization == "none":
        return (sizes.parameters + sizes.beside) * width
    towers = 0 if setup.pictured else sizes.beside
    linear = sizes.linear_weights + towers + (sizes.packed_weights if setup.stack.quantizes_experts else 0)
    rest = (sizes.parameters + sizes.beside - linear) * (4 if setup.upcast == "all" else width)
    if setup.upcast == "norms" and width < 4:
        rest += (4 - width) * sizes.norms * sizes.hidden * sizes.layers
    if setup.quantization == "int8":
        return linear + 4 * sum(t.outputs * t.count for t in sizes.targets if not t.packed) + rest
    blocks = linear / setup.stack.nf4_block
    scales = blocks + blocks / setup.stack.nf4_nested_block * 4 if setup.double_quantization else blocks * 4
    return int(linear / 2 + scales + rest)


def trainable_parameters(setup: Setup) -> int:
    """Elements that get gradients."""
    return setup.geometry.parameters if setup.full else setup.adapter_parameters


def trained_bytes(setup: Setup) -> int:
    """Bytes per trained element: the weights' own width in full tuning, else the adapter's."""
    return setup.weight_bytes if setup.full else setup.adapter_bytes


def adapter_bytes(setup: Setup) -> int:
    """The adapter on the device, with the frozen tensors that some kinds bring along; 0 where the model's own train."""
    if setup.full or in_place(setup.options):
        return 0
    if setup.options is None:
        still = lora_frozen(setup.lora or LoraOptions(), setup.rank, setup.targets, setup.geometry)
        return (setup.adapter_parameters + still) * setup.adapter_bytes
    return setup.adapter_parameters * setup.adapter_bytes + frozen.buffer_bytes(
        setup.adapter, setup.options, setup.targets, setup.geometry, setup.weight_bytes
    )


def gradient_bytes(setup: Setup) -> int:
    """All gradients at once, as they stand before an optimizer step."""
    return trainable_parameters(setup) * trained_bytes(setup)


def optimizer_bytes(setup: Setup) -> int:
    """Optimizer states on the device, and the running mean of the weights in float32, where one is kept.

    The weights that the mean stands for while it is evaluated or saved wait in host memory (`ftui.worker.averages`).
    """
    return _state_bytes(setup) + (4 * trainable_parameters(setup) if setup.averaged else 0)


def _state_bytes(setup: Setup) -> int:
    """The states themselves.

    AdamW is torch's, and schedule-free AdamW like it: two per element in the weights' dtype; RMSprop's is one, and
    Muon's one for each matrix, beside AdamW's two for the rest (`ftui.worker.optimizers`).  The others are
    bitsandbytes': two for Adam, three for AdEMAMix and one for Lion, in float32 whatever the weights are; with 8 bits a
    byte and its share of a float32 scale, except in tensors too small to be quantized, and in the embedding where the
    training loop asks for that.  Paged states live in host memory, except small tensors' (LoRA's often are) and in CPU
    mode, where there is no other memory.  Adafactor holds a float32 per row and per column of a matrix, and one per
    element of a vector (transformers/optimization.py).  SGD is without momentum.  GaLore: see `projected`.
    """
    name = setup.optimizer
    if name == "rmsprop":
        return trainable_parameters(setup) * trained_bytes(setup)
    if name == "muon":
        matrices = sum(one.elements * one.count for one in muon_matrices(setup))
        return (2 * trainable_parameters(setup) - matrices) * trained_bytes(setup)
    if name in ("adamw", "schedule_free"):
        return 2 * trainable_parameters(setup) * trained_bytes(setup)
    if name == "sgd":
        return 0
    if name == "galore":
        return projected.states(setup, trained(setup), trained_bytes(setup))
    if name == "adafactor":
        return 4 * sum(t.count * (t.rows + t.columns if t.rows > 1 else t.columns) for t in trained(setup))
    states = {"adamw": 2, "lion": 1, "ademamix": 3}.get(name.removeprefix("paged_").removesuffix("_8bit"))
    if states is None:
        raise ValueError(f"no memory rule for the optimizer {name!r}")
    eight = 1 + 4 / setup.stack.optimizer_block if name.endswith("_8bit") else 4
    paged = name.startswith("paged_") and setup.device == "cuda"
    total = 0.0
    for tensor in trained(setup):
        if paged and tensor.elements >= PAGED_ELEMENTS:
            continue
        large = tensor.elements >= setup.stack.optimizer_8bit_minimum
        total += states * tensor.count * tensor.elements * (eight if large else 4)
    table = setup.geometry.embedding
    if setup.full and setup.stack.embeddings_in_32_bits and not (paged and table >= PAGED_ELEMENTS):
        total += states * table * (4 - eight)
    return int(total)


def optimizer_workspace(setup: Setup) -> int:
    """The most that a step makes beside the states.

    torch's looping AdamW (`foreach`) takes the root of all second moments at once; the fused one needs nothing.
    Adafactor works tensor by tensor in float32: of 16-bit weights copies of gradient and weight, the squared gradient,
    it plus epsilon, and the tensor before's update, which is still there; of float32 weights the last three.
    """
    if setup.optimizer == "adamw" and setup.stack.foreach_optimizer:
        return trainable_parameters(setup) * trained_bytes(setup)
    if setup.optimizer == "galore":
        return projected.workspace(setup, trained(setup), trained_bytes(setup))
    if setup.optimizer in ("muon", "schedule_free", "rmsprop"):
        return _small_workspace(setup)
    if setup.optimizer != "adafactor":
        return 0
    copies = 8 if trained_bytes(setup) == 4 else 16
    # Tables are the first and the last tensor: what is left of their neighbour is a norm's.
    return max(t.elements * (copies + (4 if t.count > 2 else 0)) for t in trained(setup))


def _small_workspace(setup: Setup) -> int:
    """What Muon, schedule-free AdamW and RMSprop make in a step: the last one lists of tensors on a GPU, else the roots
    of one tensor's second moments.

    AdamW beside Muon is fused and makes nothing.  Muon's largest matrix has its update, and in bfloat16 three of its
    size and three squares of its shorter side, for the orthogonalization (torch/optim/_muon.py).
    """
    width = trained_bytes(setup)
    if setup.optimizer == "rmsprop" and setup.device == "cuda":
        return trainable_parameters(setup) * width
    if setup.optimizer != "muon":
        return max((one.elements for one in trained(setup)), default=0) * width
    orthogonal = [
        (width + 6) * one.elements + 6 * min(one.rows, one.columns) ** 2 for one in muon_matrices(setup)
    ]
    return max(orthogonal, default=0)


def muon_matrices(setup: Setup) -> list[Trained]:
    """The matrices that Muon leads: none of the tables, of fused experts' or of vectors."""
    sizes = setup.geometry
    if not setup.full:
        return [one for one in trained(setup) if min(one.rows, one.columns) > 1 and one.rows != sizes.vocab]
    return [Trained(t.outputs, t.inputs, t.count) for t in sizes.targets if not t.packed]


def trained(setup: Setup) -> list[Trained]:
    """Every tensor that trains, by shape."""
    sizes = setup.geometry
    if not setup.full:
        if setup.options is not None:
            return list(adapters.trained(setup.adapter, setup.options, setup.targets, sizes))
        return setup.lora_trained
    matrices = [
        # A layer's fused experts are one tensor; its last two sides are what Adafactor factors.
        Trained(t.outputs * t.per_layer, t.inputs, t.count // t.per_layer) if t.packed
        else Trained(t.outputs, t.inputs, t.count)
        for t in sizes.targets
    ]
    tables = [Trained(sizes.vocab, sizes.hidden, 1 if sizes.tied else 2)]
    rest = sizes.parameters - sum(t.elements * t.count for t in (*matrices, *tables))
    return [*matrices, *tables, *([Trained(1, sizes.hidden, max(1, rest // sizes.hidden))] if rest > 0 else [])]
