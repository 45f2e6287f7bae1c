"""Machines, models and datasets as data, from which the planner's tests are made."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ftui.data.document import DataProfile, Lengths
from ftui.hardware.document import Cpu, Disk, Gpu, Hardware, Ram
from ftui.models.document import Linear, ModelShape

GIB = 1 << 30

# hidden, intermediate, layers, heads, key/value heads, head size, vocabulary, tied, context: as published
DENSE = {
    "llama-7b": (4096, 11008, 32, 32, 32, 128, 32000, False, 4096),
    "llama3-8b": (4096, 14336, 32, 32, 8, 128, 128256, False, 8192),
    "llama3.2-3b": (3072, 8192, 28, 24, 8, 128, 128256, True, 131072),
    "qwen2-0.5b": (896, 4864, 24, 14, 2, 64, 151936, True, 32768),
    "mistral-7b": (4096, 14336, 32, 32, 8, 128, 32768, False, 32768),
    "llama3-70b": (8192, 28672, 80, 64, 8, 128, 128256, False, 8192),
    "tiny": (128, 384, 4, 4, 2, 32, 2048, True, 512),
}


def make_shape(
    hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int, head_dim: int, vocab: int, tied: bool,
    context: int, **more: object,
) -> ModelShape:
    """A dense decoder of these sizes, its parameters counted module by module."""
    query, key = heads * head_dim, kv_heads * head_dim
    gated = bool(more.get("gated_mlp", True))
    sizes = [("q_proj", hidden, query), ("k_proj", hidden, key), ("v_proj", hidden, key), ("o_proj", query, hidden)]
    sizes += [("gate_proj", hidden, intermediate)] if gated else []
    sizes += [("up_proj", hidden, intermediate), ("down_proj", intermediate, hidden)]
    linear = layers * sum(i * o for _, i, o in sizes)
    embedding = vocab * hidden
    fields: dict[str, object] = {
        "ref": "some/model", "source": "config", "model_type": "llama", "architecture": "LlamaForCausalLM",
        "hidden": hidden, "intermediate": intermediate, "layers": layers, "heads": heads, "kv_heads": kv_heads,
        "head_dim": head_dim, "vocab": vocab, "context_length": context, "tied_embeddings": tied,
        "linears": tuple(Linear(name=n, inputs=i, outputs=o, count=layers) for n, i, o in sizes),
        "parameters": linear + (1 if tied else 2) * embedding + hidden * (2 * layers + 1),
        "embedding_parameters": embedding,
    }
    return ModelShape(**{**fields, **more})  # type: ignore[arg-type]


def make_mixture() -> ModelShape:
    """Mixtral's layout on a small scale: fused experts, of which a token sees two."""
    base = make_shape(1024, 3584, 8, 16, 4, 64, 32000, False, 32768)
    kept = tuple(x for x in base.linears if x.name in ("q_proj", "k_proj", "v_proj", "o_proj"))
    experts = (
        Linear(name="gate_up_proj", inputs=1024, outputs=7168, count=64, per_layer=8, packed=True),
        Linear(name="down_proj", inputs=3584, outputs=1024, count=64, per_layer=8, packed=True),
    )
    weights = sum(x.inputs * x.outputs * x.count for x in (*kept, *experts))
    return base.model_copy(update={
        "model_type": "mixtral", "experts": 8, "experts_per_token": 2, "expert_intermediate": 3584,
        "linears": (*kept, *experts), "parameters": weights + 2 * base.embedding_parameters + 1024 * 17,
    })


def make_box(
    name: str | None = "NVIDIA A100-SXM4-80GB", total: float = 80.0, free: float | None = None,
    capability: tuple[int, int] = (8, 0), bf16: bool = True, ram: float = 64.0, cores: float = 16.0,
    disk: float = 500.0, **more: object,
) -> Hardware:
    """A machine with one card (or none), sizes in GiB."""
    free = total - 0.5 if free is None else free
    gpus = () if name is None else (Gpu(
        index=0, name=name, total_bytes=int(total * GIB), used_bytes=int((total - free) * GIB),
        free_bytes=int(free * GIB), compute_capability=capability, bf16=bf16,
    ),)
    return Hardware(
        host="box", system="Linux", time=0.0, gpus=gpus,
        cpu=Cpu(name="cpu", cores=cores, host_cores=int(cores), architecture="x86_64"),
        ram=Ram(total_bytes=int(ram * GIB), available_bytes=int(ram * GIB * 0.9)),
        disks=(Disk(purpose="runs", path="/runs", total_bytes=int(disk * GIB), free_bytes=int(disk * GIB)),), **more,
    )


def make_profile(rows: int = 9400, kind: str = "conversation", longest: int = 3000, **more: object) -> DataProfile:
    """Rows of which half have at most 200 tokens, a few many more."""
    edges = (1, 64, 128, 256, 512, 1024, 1536, 2048, max(4096, longest + 1))
    shares = (0.05, 0.17, 0.28, 0.25, 0.2, 0.04, 0.008, 0.002)
    histogram = tuple(round(rows * share) for share in shares)
    lengths = Lengths(
        tokenizer="some/model", exact=True, sampled=rows, mean=330.0, p50=210, p90=900, p99=1500, max=longest,
        total_tokens=330 * rows, trained_share=0.6, edges=edges, histogram=histogram,
    )
    return DataProfile(sources=(), kind=kind, rows=rows, **{"lengths": lengths, **more})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def shapes() -> dict[str, ModelShape]:
    """Real models by name, and a small mixture of experts."""
    return {**{name: make_shape(*sizes) for name, sizes in DENSE.items()}, "mixture": make_mixture()}


@pytest.fixture(scope="session")
def shape_of() -> Callable[..., ModelShape]:
    return make_shape


@pytest.fixture(scope="session")
def box() -> Callable[..., Hardware]:
    return make_box


@pytest.fixture(scope="session")
def boxes() -> dict[str, Hardware]:
    """Machines from none to large."""
    return {
        "none": make_box(None, ram=16.0, cores=2.0),
        "t4": make_box("Tesla T4", 15.0, capability=(7, 5), bf16=False),
        "3090": make_box("NVIDIA GeForce RTX 3090", 24.0, capability=(8, 6)),
        "a100": make_box(),
        "half": make_box(free=30.0),
        "h200": make_box("NVIDIA H200", 141.0, capability=(9, 0)),
        "apple": make_box("Apple M2 Max", 32.0).model_copy(update={"gpus": (Gpu(
            index=0, name="Apple M2 Max", vendor="apple", total_bytes=32 * GIB, used_bytes=0, free_bytes=32 * GIB,
            bf16=True,
        ),)}),
    }


@pytest.fixture(scope="session")
def rows() -> Callable[..., DataProfile]:
    return make_profile
