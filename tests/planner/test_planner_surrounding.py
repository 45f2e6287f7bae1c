"""What adapters around blocks and their hybrids train and keep, against the modules that the worker puts on."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ftui.methods import ADAPTERS, Targeted
from ftui.models.shape import Origin, build
from ftui.planner import adapters
from ftui.planner.activations import at, peak
from ftui.planner.blocks import Writer
from ftui.planner.geometry import chosen, geometry
from ftui.planner.surrounding import SURROUNDING, around
from ftui.planner.tape import Storage, Value
from ftui.recipe import parse

pytestmark = pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning")

CONFIGS = {
    "llama": {}, "qwen2": {}, "gemma2": {"head_dim": 16},
    "gpt2": {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_inner": 96, "n_positions": 128},
    "gpt_neox": {"num_key_value_heads": None}, "mixtral": {"num_local_experts": 4},
}
PLAIN = {
    "vocab_size": 90, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
WRITTEN = [
    "{kind: bottleneck, width: 8}", "{kind: bottleneck, width: 24, placement: pfeiffer}",
    "{kind: bottleneck, placement: parallel, scale: 4.0}", "{kind: compacter, width: 8}",
    "{kind: compacter, products: 2, rank: 3, placement: pfeiffer}", "{kind: lora_bottleneck, rank: 4, width: 8}",
    "{kind: lora_prompt, rank: 2, virtual_tokens: 5}",
]


def config(family: str) -> dict[str, Any]:
    sizes = CONFIGS[family] if family == "gpt2" else PLAIN | CONFIGS[family]
    return {"model_type": family, "vocab_size": 90, **{name: size for name, size in sizes.items() if size is not None}}


def real(family: str) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    stated = {name: value for name, value in config(family).items() if name != "model_type"}
    built = transformers.AutoConfig.for_model(family, **stated, bos_token_id=0, eos_token_id=0, pad_token_id=0)
    return transformers.AutoModelForCausalLM.from_config(built)


def cases() -> Iterator[tuple[str, str]]:
    for family in CONFIGS:
        for written in WRITTEN:
            yield family, written


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize(("family", "written"), list(cases()))
def test_what_trains_is_what_the_worker_puts_on(family: str, written: str) -> None:
    from ftui.worker.adapters import BUILDERS

    recipe = parse(f"adapter: {written}")
    options: Any = recipe.adapter
    model = BUILDERS[options.kind](real(family), recipe)
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    sizes = geometry(build(config(family), Origin("test", "config")))
    targets = chosen(sizes, options.targets, lora=False) if isinstance(options, Targeted) else ()
    assert adapters.parameters(options.kind, options, targets, sizes) == count


def test_every_kind_around_blocks_has_a_row_and_can_stand_on_a_quantized_base() -> None:
    for kind in SURROUNDING:
        assert ADAPTERS[kind].on_nf4
        assert ADAPTERS[kind].on_int8
        assert not ADAPTERS[kind].mergeable


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("written", [written for written in WRITTEN if "lora" not in written])
def test_what_a_block_keeps_is_what_torch_saves(written: str) -> None:
    import torch

    from ftui.tuners import BottleneckConfig, CompacterConfig
    from ftui.tuners.bottleneck import BottleneckLayer

    options: Any = parse(f"adapter: {written}").adapter
    hidden, tokens = 64, 1024
    stated = {"width": options.width, "placement": options.placement, "scale": options.scale}
    made = (
        CompacterConfig(**stated, products=options.products, rank=options.rank) if options.kind == "compacter"
        else BottleneckConfig(**stated, activation=options.activation)
    )
    rules = torch.nn.ParameterDict(
        {"default": torch.nn.Parameter(torch.ones((options.products,) * 3))} if options.kind == "compacter" else {}
    )
    layer = BottleneckLayer(torch.nn.Linear(hidden, hidden, bias=False, dtype=torch.bfloat16), hidden, rules)
    layer.base_layer.requires_grad_(False)
    layer.update_layer("default", made)
    given = torch.randn(tokens, hidden, dtype=torch.bfloat16).requires_grad_()
    weights = {p.untyped_storage()._cdata for p in layer.parameters()} | {given.untyped_storage()._cdata}
    weights |= {p.untyped_storage()._cdata for p in rules.values()}
    saved: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda one: one), torch.autocast("cpu", torch.bfloat16):
        result = layer(given)
    kept = sum(size for storage, size in saved.items() if storage not in weights)
    assert result.dtype == torch.bfloat16

    manner: Any = SimpleNamespace(
        options=options, adapter=4, compute=2, autocast=True, full=False, checkpointed=False, targets=(),
        geometry=SimpleNamespace(hidden=hidden),
    )
    writer = Writer(manner)
    x = Value(complex(2 * hidden), 2, True, storage=Storage(complex(2 * hidden), outside=True))
    y = writer.tape.op((x,), complex(2 * hidden), 2)
    last = around(writer, "mlp", x, y)
    assert last.width == 2
    assert at(writer.tape.kept(), tokens) == pytest.approx(kept, rel=0.05)
    assert peak(tuple(writer.tape.forward(x)), tokens) >= kept
