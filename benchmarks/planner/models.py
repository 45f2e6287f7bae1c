"""The shapes of the models in the measured rows, as their config.json files publish them.

`shape()` builds the ModelShape; `score.py` holds each one's parameter count against the row's own figure, so that a
wrong entry shows.
"""

from __future__ import annotations

from ftui.models.document import Linear, ModelShape

# hidden, intermediate, layers, heads, key/value heads, head size, vocabulary, tied, gated, kind of names
SHAPES: dict[str, tuple[int, int, int, int, int, int, int, bool, bool, str]] = {
    "llama-2-7b": (4096, 11008, 32, 32, 32, 128, 32000, False, True, "llama"),
    "llama-3.1-8b": (4096, 14336, 32, 32, 8, 128, 128256, False, True, "llama"),
    "llama3-8b": (4096, 14336, 32, 32, 8, 128, 128256, False, True, "llama"),
    "llama-3.2-3b": (3072, 8192, 28, 24, 8, 128, 128256, True, True, "llama"),
    "qwen-1.8b": (2048, 5504, 24, 16, 16, 128, 151936, False, True, "qwen"),
    "qwen-7b": (4096, 11008, 32, 32, 32, 128, 151936, False, True, "qwen"),
    "qwen-7b-chat": (4096, 11008, 32, 32, 32, 128, 151936, False, True, "qwen"),
    "qwen-14b": (5120, 13696, 40, 40, 40, 128, 152064, False, True, "qwen"),
    "qwen-72b": (8192, 24576, 80, 64, 64, 128, 152064, False, True, "qwen"),
    "yi-6b": (4096, 11008, 32, 32, 4, 128, 64000, False, True, "llama"),
    "yi-34b": (7168, 20480, 60, 56, 8, 128, 64000, False, True, "llama"),
    "zephyr-7b": (4096, 14336, 32, 32, 8, 128, 32000, False, True, "mistral"),
    "baichuan2-7b": (4096, 11008, 32, 32, 32, 128, 125696, False, True, "baichuan"),
    "baichuan2-13b": (5120, 13696, 40, 40, 40, 128, 125696, False, True, "baichuan"),
    "chatglm3-6b": (4096, 13696, 28, 32, 2, 128, 65024, False, True, "chatglm"),
    "ministral-8b-instruct-2410": (4096, 12288, 36, 32, 8, 128, 131072, False, True, "mistral"),
    "devstral-small-2507": (5120, 32768, 40, 32, 8, 128, 131072, False, True, "mistral"),
    "magistral-small-2506": (5120, 32768, 40, 32, 8, 128, 131072, False, True, "mistral"),
    "magistral-small-2507": (5120, 32768, 40, 32, 8, 128, 131072, False, True, "mistral"),
    "mistral-small-3.1-24b-instruct-2503": (5120, 32768, 40, 32, 8, 128, 131072, False, True, "mistral"),
    "plano-orchestrator-4b": (2560, 9728, 36, 32, 8, 128, 151936, True, True, "qwen3"),
    "internvl3_5-8b-hf": (4096, 12288, 36, 32, 8, 128, 151936, False, True, "qwen3"),
    "olmo-3-7b-instruct-sft": (4096, 11008, 32, 32, 32, 128, 100278, False, True, "olmo2"),
    "seed-oss-36b-instruct": (5120, 27648, 64, 80, 8, 128, 155136, False, True, "qwen2"),
    "afm-4.5b": (2560, 18432, 36, 20, 4, 128, 128256, False, False, "arcee"),
    "apertus-8b-instruct-2509": (4096, 21504, 32, 32, 8, 128, 131072, False, False, "apertus"),
}

FUSED = {"qwen": "c_attn", "baichuan": "W_pack", "chatglm": "query_key_value"}
"""Families whose query, key and value are one module."""


def shape(model: str) -> ModelShape | None:
    """The shape of the model that a row names, None where it is not in the table."""
    found = SHAPES.get(model.rsplit("/", 1)[-1].lower())
    if found is None:
        return None
    hidden, mlp, layers, heads, kv_heads, size, vocab, tied, gated, family = found
    query, key = heads * size, kv_heads * size
    qk_norm = family in ("qwen3", "olmo2", "apertus")
    attention = (
        [(FUSED[family], hidden, query + 2 * key)] if family in FUSED
        else [("q_proj", hidden, query), ("k_proj", hidden, key), ("v_proj", hidden, key)]
    )
    sizes = [*attention, ("o_proj", query, hidden), *([("gate_proj", hidden, mlp)] if gated else []),
             ("up_proj", hidden, mlp), ("down_proj", mlp, hidden)]
    embedding = vocab * hidden
    norms = layers * 2 * hidden + hidden
    weights = layers * sum(inputs * outputs for _, inputs, outputs in sizes)
    return ModelShape(
        ref=model, source="config", model_type=family, architecture=family, hidden=hidden, intermediate=mlp,
        layers=layers, heads=heads, kv_heads=kv_heads, head_dim=size, vocab=vocab, context_length=131072,
        tied_embeddings=tied, gated_mlp=gated, qk_norm=qk_norm,
        linears=tuple(Linear(name=n, inputs=i, outputs=o, count=layers) for n, i, o in sizes),
        parameters=weights + norms + embedding * (1 if tied else 2), embedding_parameters=embedding,
    )
