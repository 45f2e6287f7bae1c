"""The configurations that measure_gpu.py runs on a card: real sizes from 0.5 to 14 billion parameters."""

from __future__ import annotations

from typing import Any

from matrix import FULL, KEEP, NF4, Case, make

Config = dict[str, Any]


def _llama(vocab: int, hidden: int, mlp: int, layers: int, heads: int, kv: int, *, tied: bool, **more: Any) -> Config:
    return {
        "model_type": "llama", "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": mlp,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv,
        "max_position_embeddings": 32768, "tie_word_embeddings": tied, **more,
    }


def _qwen(kind: str, *sizes: int, tied: bool) -> Config:
    more: Config = {"head_dim": 128} if kind == "qwen3" else {}
    return {**_llama(*sizes, tied=tied, **more), "model_type": kind, "use_sliding_window": False}


# As published.
MODELS: dict[str, Config] = {
    "Qwen2.5-0.5B": _qwen("qwen2", 151936, 896, 4864, 24, 14, 2, tied=True),
    "Llama-3.2-1B": _llama(128256, 2048, 8192, 16, 32, 8, tied=True, head_dim=64),
    "Qwen2.5-1.5B": _qwen("qwen2", 151936, 1536, 8960, 28, 12, 2, tied=True),
    "gemma-2-2b": {
        "model_type": "gemma2", "vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216,
        "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "max_position_embeddings": 8192, "sliding_window": 4096, "tie_word_embeddings": True,
    },
    "Llama-3.2-3B": _llama(128256, 3072, 8192, 28, 24, 8, tied=True, head_dim=128),
    "Phi-3-mini": {
        **_llama(32064, 3072, 8192, 32, 32, 32, tied=False), "model_type": "phi3", "sliding_window": 2047,
        "pad_token_id": 32000, "bos_token_id": 1, "eos_token_id": 32000,
    },
    "Qwen3-4B": _qwen("qwen3", 151936, 2560, 9728, 36, 32, 8, tied=True),
    "Mistral-7B": {
        **_llama(32768, 4096, 14336, 32, 32, 8, tied=False), "model_type": "mistral", "sliding_window": None,
    },
    "Qwen2.5-7B": _qwen("qwen2", 152064, 3584, 18944, 28, 28, 4, tied=False),
    "Llama-3.1-8B": _llama(128256, 4096, 14336, 32, 32, 8, tied=False),
    "Qwen3-8B": _qwen("qwen3", 151936, 4096, 12288, 36, 32, 8, tied=False),
    "Qwen3-14B": _qwen("qwen3", 151936, 5120, 17408, 40, 40, 8, tied=False),
}
TINY: Config = _llama(512, 64, 128, 2, 4, 2, tied=True)

PLAIN = {"train.trainer": "transformers", "train.loss": "full"}
TRL = {"train.trainer": "trl", "train.loss": "tiled"}
INT8 = {"model.quantization": "int8"}
EAGER = {"model.attention": "eager"}
FLASH = {"model.attention": "flash_attention_2"}
NATIVE = {"compute.allocator": "native"}
DPO = {"objective.kind": "dpo", "train.trainer": "trl", "train.loss": "tiled"}

# (model, what is said about it, rows, length, settings), smallest first.
RUNS: tuple[tuple[str, str, int, int, dict[str, Any]], ...] = (
    ("Qwen2.5-0.5B", "lora", 4, 1024, {}),
    ("Qwen2.5-0.5B", "lora native", 4, 1024, NATIVE),
    ("Qwen2.5-0.5B", "lora keep", 2, 2048, KEEP),
    ("Qwen2.5-0.5B", "lora plain", 2, 1024, PLAIN),
    ("Qwen2.5-0.5B", "lora eager keep", 1, 1024, {**EAGER, **KEEP}),
    ("Qwen2.5-0.5B", "lora float16 keep", 2, 1024, {"model.dtype": "float16", **KEEP}),
    ("Qwen2.5-0.5B", "lora float32", 1, 1024, {"model.dtype": "float32"}),
    ("Qwen2.5-0.5B", "qlora", 4, 1024, NF4),
    ("Qwen2.5-0.5B", "full", 2, 1024, FULL),
    ("Qwen2.5-0.5B", "full float16", 1, 1024, {**FULL, "model.dtype": "float16"}),
    ("Qwen2.5-0.5B", "dpo lora", 2, 1024, DPO),
    ("Qwen2.5-0.5B", "dpo full", 1, 1024, {**DPO, **FULL}),
    ("Llama-3.2-1B", "lora", 4, 2048, {}),
    ("Llama-3.2-1B", "lora keep", 1, 4096, KEEP),
    ("Llama-3.2-1B", "lora tiled", 4, 1024, TRL),
    ("Llama-3.2-1B", "lora dropout keep", 2, 1024, {"adapter.dropout": 0.05, **KEEP}),
    ("Llama-3.2-1B", "lora dora", 2, 1024, {"adapter.dora": True}),
    ("Llama-3.2-1B", "lora int8", 2, 1024, INT8),
    ("Llama-3.2-1B", "full", 1, 2048, FULL),
    ("Llama-3.2-1B", "full 8-bit", 1, 2048, {**FULL, "train.optimizer": "adamw_8bit"}),
    ("Llama-3.2-1B", "full paged", 1, 2048, {**FULL, "train.optimizer": "paged_adamw_8bit"}),
    ("Llama-3.2-1B", "full adafactor", 1, 2048, {**FULL, "train.optimizer": "adafactor"}),
    ("Llama-3.2-1B", "full sgd accumulated", 1, 1024, {**FULL, "train.optimizer": "sgd", "train.effective_batch": 4}),
    ("Qwen2.5-1.5B", "lora", 8, 1024, {}),
    ("Qwen2.5-1.5B", "qlora keep", 1, 2048, {**NF4, **KEEP}),
    ("Qwen2.5-1.5B", "full keep", 1, 1024, {**FULL, **KEEP}),
    ("Qwen2.5-1.5B", "dpo lora", 2, 2048, DPO),
    ("gemma-2-2b", "lora eager", 1, 1024, EAGER),
    ("gemma-2-2b", "qlora eager", 2, 1024, {**NF4, **EAGER}),
    ("Llama-3.2-3B", "lora", 2, 2048, {}),
    ("Llama-3.2-3B", "lora packed", 2, 2048, {"data.packing": True}),
    ("Llama-3.2-3B", "lora long", 1, 8192, {}),
    ("Llama-3.2-3B", "lora flash long", 1, 8192, FLASH),
    ("Llama-3.2-3B", "qlora plain", 2, 1024, {**NF4, **PLAIN}),
    ("Llama-3.2-3B", "full", 1, 1024, FULL),
    ("Phi-3-mini", "lora", 2, 2048, {}),
    ("Phi-3-mini", "qlora keep", 1, 1024, {**NF4, **KEEP}),
    ("Qwen3-4B", "lora", 2, 2048, {}),
    ("Qwen3-4B", "qlora", 4, 1024, NF4),
    ("Qwen3-4B", "qlora native", 4, 1024, {**NF4, **NATIVE}),
    ("Qwen3-4B", "full 8-bit", 1, 1024, {**FULL, "train.optimizer": "adamw_8bit"}),
    ("Mistral-7B", "lora", 1, 2048, {}),
    ("Mistral-7B", "qlora", 2, 2048, NF4),
    ("Qwen2.5-7B", "lora", 2, 1024, {}),
    ("Qwen2.5-7B", "qlora", 1, 4096, NF4),
    ("Llama-3.1-8B", "lora", 1, 2048, {}),
    ("Llama-3.1-8B", "lora keep", 1, 2048, KEEP),
    ("Llama-3.1-8B", "lora plain keep", 1, 1024, {**PLAIN, **KEEP}),
    ("Llama-3.1-8B", "qlora", 1, 2048, NF4),
    ("Llama-3.1-8B", "qlora long", 1, 8192, NF4),
    ("Llama-3.1-8B", "qlora upcast plain", 1, 1024, {**NF4, **PLAIN, "model.upcast": "all"}),
    ("Llama-3.1-8B", "full", 1, 2048, FULL),
    ("Qwen3-8B", "lora r64", 1, 4096, {"adapter.rank": 64, "adapter.alpha": 128}),
    ("Qwen3-8B", "qlora keep", 1, 2048, {**NF4, **KEEP}),
    ("Qwen3-8B", "dpo qlora", 1, 1024, {**DPO, **NF4}),
    ("Qwen3-14B", "qlora", 1, 2048, NF4),
    ("Qwen3-14B", "lora", 1, 2048, {}),
    ("Qwen3-14B", "int8", 1, 1024, INT8),
)

DRY = (
    ("tiny", "lora keep", 2, 64, {"model.dtype": "float32", **KEEP}),
    ("tiny", "qlora", 2, 64, {"model.dtype": "float32", **NF4}),
    ("tiny", "full", 2, 64, {"model.dtype": "float32", **FULL}),
    ("tiny", "lora plain", 2, 64, {"model.dtype": "float32", **PLAIN}),
    ("tiny", "lora tiled", 2, 64, {"model.dtype": "float32", **TRL}),
    ("tiny", "dpo lora", 2, 64, {"model.dtype": "float32", **DPO}),
)


def cases(*, dry: bool = False) -> list[Case]:
    """All of them; `dry` gives those of a tiny model, for a machine without a card."""
    on_cpu = {"compute.gpus": 0} if dry else {}
    return [
        make(model, way, TINY if dry else MODELS[model], rows, length, {**asked, **on_cpu})
        for model, way, rows, length, asked in (DRY if dry else RUNS)
    ]
