"""What LoRA's options put on a model: which modules of which layers, every tensor that trains, and what is frozen.

Names and patterns are matched as peft 0.21 matches them (`peft/tuners/tuners_utils.py`, `check_target_module_exists`;
`peft/utils/other.py`, `get_pattern_key`), but on the paths that modules have in the usual families, for the planner
knows names and widths, not the model itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from ftui.errors import BadInput
from ftui.methods.layers import chosen_layers, stacked_layers
from ftui.methods.lora import LoraOptions, pattern_of
from ftui.planner.adapters import Trained
from ftui.planner.geometry import Geometry, Target, chosen

STACKS = (
    "model.layers.", "model.language_model.layers.", "transformer.h.", "gpt_neox.layers.", "model.decoder.layers.",
)
"""What stands before a layer's number, in the usual families."""
AROUND = {
    "attention in": ("self_attn.", "attention.", "attn.", "self_attention."),
    "attention out": ("self_attn.", "attention.", "attn.", "self_attention."),
    "mlp in": ("mlp.", "mlp.experts.", "mlp.shared_expert.", "block_sparse_moe.", ""),
    "mlp out": ("mlp.", "mlp.experts.", "mlp.shared_expert.", "block_sparse_moe.", ""),
}
"""What stands between a layer's number and a linear module's name, by the module's place."""

HEADS = {"lm_head", "embed_out"}
EMBEDDINGS = {"embed_tokens", "wte", "embed_in"}
LAST_NORMS = {"norm", "ln_f", "final_layer_norm", "final_layernorm"}
HEAD_NORMS = {"q_norm", "k_norm"}


def stacked(options: LoraOptions, sizes: Geometry) -> Geometry:
    """The model with its layers stacked anew, as layer_replication has it: deeper, of the very same weights."""
    if not options.layer_replication:
        return sizes
    depth = len(stacked_layers(options.layer_replication, sizes.layers))
    targets = tuple(replace(t, count=t.count * depth // sizes.layers) for t in sizes.targets)
    return replace(sizes, layers=depth, targets=targets)


def lora_targets(options: LoraOptions, sizes: Geometry) -> tuple[Target, ...]:
    """The kinds of module that get matrices, each with how many of them do.

    Raises BadInput for layers that the model doesn't have, and where peft can't tell a mixture's layers apart.
    """
    if options.layers and sizes.adapts_experts:
        raise BadInput(
            "adapter.layers: peft adapts this mixture's fused experts in all layers or in none.",
            "Write adapter.layers: null.",
        )
    if pattern_of(options) and sizes.adapts_experts:
        counts = {len(_layers(options, target, sizes)) for target in sizes.targets}
        if counts - {0, sizes.layers}:
            raise BadInput(
                "adapter.targets: on this mixture peft takes a pattern for the names that it matches, in all layers.",
                "Name the modules, or write a pattern that matches them in every layer.",
            )
    whole = {name.rsplit(".", 1)[-1] for name in options.modules_to_save}
    found = []
    for target in chosen(sizes, options.targets):
        layers = _layers(options, target, sizes)
        if layers and target.name not in whole:
            everywhere = len(layers) == sizes.layers
            found.append(target if everywhere else replace(
                target, count=round(target.count * len(layers) / sizes.layers)))
    named = {name.rsplit(".", 1)[-1] for name in options.parameters}
    found += [replace(t, ranks=1) for t in sizes.targets if t.packed and t.name in named]
    return tuple(found)


def lora_trained(options: LoraOptions, rank: int, targets: tuple[Target, ...], sizes: Geometry) -> list[Trained]:
    """Every tensor that trains, with `rank` where no pattern names another."""
    matrices = [(first, second) for target in targets for first, second in _matrices(options, rank, target, sizes)]
    found = [first for first, _ in matrices] if options.update != "fa" else []
    found += [second for _, second in matrices] if options.init != "mica" else []
    found += [Trained(1, t.outputs, t.count) for t in targets] * (options.dora + options.bias)
    if options.tokens:
        found.append(Trained(len(set(options.tokens)), sizes.hidden))
    return [*found, *_whole(options, sizes)]


def lora_frozen(options: LoraOptions, rank: int, targets: tuple[Target, ...], sizes: Geometry) -> int:
    """Elements of the matrices that are there and don't train: LoRA-FA's first ones, MiCA's second ones."""
    if options.update != "fa" and options.init != "mica":
        return 0
    kept = 0 if options.update == "fa" else 1
    pairs = (pair for target in targets for pair in _matrices(options, rank, target, sizes))
    return sum(pair[kept].elements * pair[kept].count for pair in pairs)


def _matrices(options: LoraOptions, rank: int, target: Target, sizes: Geometry) -> Iterator[tuple[Trained, Trained]]:
    """A and B of such modules, for each rank that some of them have."""
    inputs = target.inputs // options.qalora_group if options.qalora_group else target.inputs
    for own, count in _ranks(options, rank, target, sizes).items():
        wide = own * target.ranks
        yield Trained(wide, inputs, count), Trained(target.outputs, wide, count)


def _ranks(options: LoraOptions, rank: int, target: Target, sizes: Geometry) -> dict[int, int]:
    """How many of such modules have each rank."""
    if not options.rank_pattern:
        return {rank: target.count}
    layers = _layers(options, target, sizes)
    counts: Counter[int] = Counter()
    for layer in layers:
        paths = _paths(target, layer)
        named = (own for name, own in options.rank_pattern.items()
                 if any(re.match(rf"(.*\.)?({name})$", path) for path in paths))
        counts[next(named, rank)] += 1
    return {own: round(target.count * count / len(layers)) for own, count in counts.items()}


def _layers(options: LoraOptions, target: Target, sizes: Geometry) -> list[int]:
    """The layers whose module of this kind is adapted."""
    layers = chosen_layers(options.layers, sizes.layers) if options.layers else range(sizes.layers)
    pattern = pattern_of(options)
    if pattern is None:
        return list(layers)
    return [layer for layer in layers if any(re.fullmatch(pattern, path) for path in _paths(target, layer))]


def _paths(target: Target, layer: int) -> list[str]:
    return [f"{stack}{layer}.{block}{target.name}" for stack in STACKS for block in AROUND[target.place]]


def _whole(options: LoraOptions, sizes: Geometry) -> Iterator[Trained]:
    """The modules that train whole; head and embedding are one where they are tied."""
    names = [name.rsplit(".", 1)[-1] for name in options.modules_to_save]
    tables = set(names) & (HEADS | EMBEDDINGS)
    if tables:
        yield Trained(sizes.vocab, sizes.hidden, 1 if sizes.tied else len(tables))
    linears = {target.name: target for target in sizes.targets if not target.packed}
    for name in dict.fromkeys(names):
        if name in linears:
            target = linears[name]
            yield Trained(target.outputs, target.inputs, target.count)
            if target.bias:
                yield Trained(1, target.outputs, target.count)
        elif "norm" in name or name.startswith("ln_"):
            layers = 1 if name in LAST_NORMS else sizes.layers
            yield Trained(1, sizes.head_dim if name in HEAD_NORMS else sizes.hidden, layers * (1 if sizes.rms else 2))
