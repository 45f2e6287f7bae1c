"""The configurations over which the closed form is held against the dry trace: architectures × ways to train.

Each case is a recipe and a config.json, as a user would give them, so that the whole way is tested: describe, resolve,
formula on one side, what the worker builds on the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ftui.hardware.document import Cpu, Gpu, Hardware, Ram
from ftui.models.document import ModelShape
from ftui.models.shape import Origin, build
from ftui.planner.setup import Setup, setup_of
from ftui.recipe import assign
from ftui.recipe.document import Recipe

Config = dict[str, Any]

# As published, but for dropout inside GPT-2, which is switched off: a trace on the CPU takes another path through it.
ARCHITECTURES: dict[str, Config] = {
    "llama2-7b": {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
        "max_position_embeddings": 4096, "tie_word_embeddings": False,
    },
    "llama3-8b": {
        "model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "max_position_embeddings": 131072, "tie_word_embeddings": False,
    },
    "mistral-7b": {
        "model_type": "mistral", "vocab_size": 32768, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 32768, "sliding_window": None, "tie_word_embeddings": False,
    },
    "qwen2-0.5b": {
        "model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "max_position_embeddings": 32768, "use_sliding_window": False, "tie_word_embeddings": True,
    },
    "qwen3-8b": {
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 12288,
        "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 40960, "use_sliding_window": False, "tie_word_embeddings": False,
    },
    "phi3-mini": {
        "model_type": "phi3", "vocab_size": 32064, "hidden_size": 3072, "intermediate_size": 8192,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
        "max_position_embeddings": 4096, "sliding_window": 2047, "tie_word_embeddings": False,
        "pad_token_id": 32000, "bos_token_id": 1, "eos_token_id": 32000, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
    },
    "gemma2-2b": {
        "model_type": "gemma2", "vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216,
        "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "max_position_embeddings": 8192, "sliding_window": 4096, "tie_word_embeddings": True,
    },
    "gemma3-1b": {
        "model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 1152, "intermediate_size": 6912,
        "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
        "max_position_embeddings": 32768, "sliding_window": 512, "tie_word_embeddings": True,
    },
    "gpt2-xl": {
        "model_type": "gpt2", "vocab_size": 50257, "n_embd": 1600, "n_layer": 48, "n_head": 25, "n_positions": 8192,
        "attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
    },
    "pythia-1.4b": {
        "model_type": "gpt_neox", "vocab_size": 50304, "hidden_size": 2048, "intermediate_size": 8192,
        "num_hidden_layers": 24, "num_attention_heads": 16, "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
    },
    "mixtral-8x7b": {
        "model_type": "mixtral", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8,
        "num_experts_per_tok": 2, "max_position_embeddings": 32768, "tie_word_embeddings": False,
    },
    "qwen3-30b-a3b": {
        "model_type": "qwen3_moe", "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144,
        "moe_intermediate_size": 768, "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4,
        "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "max_position_embeddings": 40960,
        "tie_word_embeddings": False,
    },
    "deepseek-v2-lite": {
        "model_type": "deepseek_v2", "vocab_size": 102400, "hidden_size": 2048, "intermediate_size": 10944,
        "moe_intermediate_size": 1408, "num_hidden_layers": 27, "num_attention_heads": 16, "num_key_value_heads": 16,
        "n_shared_experts": 2, "n_routed_experts": 64, "num_experts_per_tok": 6, "first_k_dense_replace": 1,
        "kv_lora_rank": 512, "q_lora_rank": None, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128,
        "head_dim": 64, "max_position_embeddings": 163840, "tie_word_embeddings": False,
    },
}
MIXTURES = ("mixtral-8x7b", "qwen3-30b-a3b", "deepseek-v2-lite")

ATTENTION_ONLY: dict[str, tuple[str, ...]] = {
    "phi3": ("qkv_proj", "o_proj"), "gpt2": ("c_attn",), "gpt_neox": ("query_key_value", "dense"),
    "deepseek_v2": ("q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"),
}

# What every case leaves as it is: rows as long as the sequence length, one optimizer step, no dropout.
BASE: dict[str, Any] = {
    "data.padding": "max_length", "data.packing": False, "adapter.rank": 16, "adapter.alpha": 32,
    "adapter.dropout": 0.0, "model.quantization": "none", "model.dtype": "bfloat16", "model.attention": "sdpa",
    "train.optimizer": "adamw", "train.checkpointing": True, "train.loss": "chunked", "train.learning_rate": 2e-4,
}
FULL = {"adapter": {"kind": "none"}}
NF4 = {"model.quantization": "nf4"}
KEEP = {"train.checkpointing": False}
WAYS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "lora": (1, 2048, {}),
    "lora b4": (4, 2048, {}),
    "lora keep": (2, 1024, KEEP),
    "lora keep b1": (1, 4096, KEEP),
    "lora long r64": (1, 8192, {"adapter.rank": 64, "adapter.alpha": 128}),
    "lora attention": (8, 512, {"adapter.targets": "attention"}),
    "lora attention keep": (1, 1024, {"adapter.targets": "attention", **KEEP}),
    "lora dropout keep": (1, 2048, {"adapter.dropout": 0.05, **KEEP}),
    "lora full logits": (2, 1024, {"train.loss": "full", "train.trainer": "transformers"}),
    "lora full logits keep": (1, 2048, {"train.loss": "full", "train.trainer": "transformers", **KEEP}),
    "lora tiled": (4, 1024, {"train.loss": "tiled", "train.trainer": "trl"}),
    "lora eager keep": (1, 1024, {"model.attention": "eager", **KEEP}),
    "lora float32": (1, 1024, {"model.dtype": "float32"}),
    "lora float16 keep": (1, 1024, {"model.dtype": "float16", **KEEP}),
    "lora accumulated": (2, 1024, {"train.effective_batch": 8}),
    "qlora": (4, 2048, NF4),
    "qlora keep": (1, 2048, {**NF4, **KEEP}),
    "qlora tiled": (2, 1024, {**NF4, "train.loss": "tiled", "train.trainer": "trl"}),
    "qlora full logits keep": (2, 512, {**NF4, "train.loss": "full", "train.trainer": "trl", **KEEP}),
    "full": (1, 2048, FULL),
    "full keep": (2, 1024, {**FULL, **KEEP}),
    "full tiled": (2, 2048, {**FULL, "train.loss": "tiled", "train.trainer": "trl"}),
    "full float16": (1, 1024, {**FULL, "model.dtype": "float16"}),
    "full adafactor": (1, 512, {**FULL, "train.optimizer": "adafactor"}),
    "full 8-bit accumulated": (1, 1024, {**FULL, "train.optimizer": "adamw_8bit", "train.effective_batch": 4}),
}


@dataclass(frozen=True)
class Case:
    """One way to train one architecture: `rows` × `length` tokens a micro-batch."""

    architecture: str
    way: str
    config: Config
    asked: dict[str, Any]
    recipe: Recipe
    rows: int
    length: int
    slices: dict[str, str] = field(default_factory=dict)
    """What the report groups by."""

    @property
    def name(self) -> str:
        return f"{self.architecture} / {self.way}"

    @property
    def shape(self) -> ModelShape:
        return build(self.config, Origin(self.architecture, "config"))

    @property
    def setup(self) -> Setup:
        return setup_of(self.recipe, BOX, self.shape, None)


GIB = 1 << 30
BOX = Hardware(
    host="bench", system="Linux", time=0.0,
    gpus=(Gpu(index=0, name="NVIDIA A100-SXM4-80GB", total_bytes=80 * GIB, used_bytes=0, free_bytes=80 * GIB,
              compute_capability=(8, 0), bf16=True),),
    cpu=Cpu(name="cpu", cores=16, host_cores=16, architecture="x86_64"),
    ram=Ram(total_bytes=256 * GIB, available_bytes=250 * GIB), disks=(),
)


def cases() -> Iterator[Case]:
    """All of them, in an order in which each architecture comes early: way by way."""
    for way, (rows, length, asked) in WAYS.items():
        for architecture, config in ARCHITECTURES.items():
            if possible(architecture, way):
                yield make(architecture, way, config, rows, length, asked)


def possible(architecture: str, way: str) -> bool:
    """Full tuning of a mixture with Adafactor, or eager attention on one, says nothing that dense models don't."""
    return not (architecture in MIXTURES and ("adafactor" in way or "eager" in way or "float" in way))


def make(architecture: str, way: str, config: Config, rows: int, length: int, asked: dict[str, Any]) -> Case:
    wanted = {
        **BASE, "name": "bench", "model.base": architecture, "train.micro_batch": rows, "train.effective_batch": rows,
        "data.max_length": length, **asked,
    }
    if "adapter" in wanted:
        wanted = {path: value for path, value in wanted.items() if not path.startswith("adapter.")}
    elif wanted.get("adapter.targets") == "attention":
        wanted["adapter.targets"] = ATTENTION_ONLY.get(config["model_type"], ("q_proj", "k_proj", "v_proj", "o_proj"))
    if config["model_type"] == "gemma2":
        # Its capped scores need them; transformers warns where another is asked for.
        wanted["model.attention"] = "eager"
    recipe = assign(Recipe(), wanted)
    slices = {
        "architecture": architecture,
        "method": way.split()[0],
        "activations": "kept" if "keep" in way else "checkpointed",
        "loss": recipe.train.loss,
        "precision": recipe.model.dtype,
        "attention": recipe.model.attention,
        "optimizer": recipe.train.optimizer,
    }
    return Case(architecture, way, config, wanted, recipe, rows, length, slices)
