"""The config.json of every model that the published measurements name, by the last part of its name, lower case.

From the hub's published configs, held against public copies (litgpt, mlc-llm, llm-analysis, slime and transformers' own
defaults where those name the checkpoint).  Models of early 2024 with code of their own (Qwen 1, Baichuan 2, ChatGLM 3)
are given as what transformers has with the same tensors; query, key and value, one module there, are three here.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

Config = dict[str, Any]


def dense(
    kind: str, hidden: int, mlp: int, layers: int, heads: int, kv_heads: int, vocab: int, *, tied: bool = False,
    **more: Any,
) -> Config:
    """A plain decoder."""
    return {
        "model_type": kind, "hidden_size": hidden, "intermediate_size": mlp, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocab,
        "tie_word_embeddings": tied, "max_position_embeddings": 131072, **more,
    }


def seeing(kind: str, text: Config, vision: Config, **more: Any) -> Config:
    """A text model with a vision or audio tower beside it."""
    return {"model_type": kind, "text_config": text, "vision_config": vision,
            "tie_word_embeddings": text["tie_word_embeddings"], **more}


PIXTRAL = {
    "model_type": "pixtral", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "head_dim": 64, "image_size": 1540, "patch_size": 14, "num_channels": 3,
}
MISTRAL_SMALL = dense("mistral", 5120, 32768, 40, 32, 8, 131072, head_dim=128)
LLAMA_31_8B = dense("llama", 4096, 14336, 32, 32, 8, 128256)
LLAMA_32_3B = dense("llama", 3072, 8192, 28, 24, 8, 128256, tied=True, head_dim=128)
LLAMA_2_7B = dense("llama", 4096, 11008, 32, 32, 32, 32000)
LLAMA_70B = dense("llama", 8192, 28672, 80, 64, 8, 128256)
QWEN_7B = dense("qwen2", 4096, 11008, 32, 32, 32, 151936)
QWEN3_8B = dense("qwen3", 4096, 12288, 36, 32, 8, 151936, head_dim=128)

LFM2_350M: Config = {
    "model_type": "lfm2", "hidden_size": 1024, "block_ff_dim": 6656, "intermediate_size": 6656,
    "block_auto_adjust_ff_dim": True, "block_multiple_of": 256, "block_ffn_dim_multiplier": 1.0,
    "num_hidden_layers": 16, "num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 65536,
    "conv_L_cache": 3, "conv_bias": False, "tie_word_embeddings": True, "max_position_embeddings": 128000,
    "layer_types": ["full_attention" if i in (2, 5, 8, 10, 12, 14) else "conv" for i in range(16)],
}

CONFIGS: dict[str, Config] = {
    "llama-2-7b": LLAMA_2_7B, "openllama-7b": LLAMA_2_7B, "llama2-7b-aqlm-2bit": LLAMA_2_7B,
    "llama-2-13b": dense("llama", 5120, 13824, 40, 40, 40, 32000),
    "llama-2-70b": dense("llama", 8192, 28672, 80, 64, 8, 32000),
    "codellama-34b": dense("llama", 8192, 22016, 48, 64, 8, 32000),
    "llama-3-8b": LLAMA_31_8B, "llama3-8b": LLAMA_31_8B, "llama-3.1-8b": LLAMA_31_8B,
    "llama-3-70b": LLAMA_70B, "llama-3.1-70b": LLAMA_70B, "llama-3.3-70b": LLAMA_70B,
    "llama-3.1-405b": dense("llama", 16384, 53248, 126, 128, 8, 128256),
    "llama-3.2-3b": LLAMA_32_3B, "llama-3.2-3b-instruct": LLAMA_32_3B,
    "llama-3.2-1b": dense("llama", 2048, 8192, 16, 32, 8, 128256, tied=True, head_dim=64),
    "mistral-7b": dense("mistral", 4096, 14336, 32, 32, 8, 32000),
    "tinyllama-1.1b": dense("llama", 2048, 5632, 22, 32, 4, 32000),
    "gemma-2b": dense("gemma", 2048, 16384, 18, 8, 1, 256000, tied=True, head_dim=256),
    "gemma-7b": dense("gemma", 3072, 24576, 28, 16, 16, 256000, tied=True, head_dim=256),
    "qwen1.5-0.5b": dense("qwen2", 1024, 2816, 24, 16, 16, 151936, tied=True),
    "qwen1.5-14b": dense("qwen2", 5120, 13696, 40, 40, 40, 152064),
    "qwen2-7b": dense("qwen2", 3584, 18944, 28, 28, 4, 152064),
    "qwen2.5-32b": dense("qwen2", 5120, 27648, 64, 40, 8, 152064),
    "qwen2.5-72b": dense("qwen2", 8192, 29568, 80, 64, 8, 152064),
    "zephyr-7b": dense("mistral", 4096, 14336, 32, 32, 8, 36608),
    "qwen-1.8b": dense("qwen2", 2048, 5504, 24, 16, 16, 151936),
    "qwen-7b": QWEN_7B, "qwen-7b-chat": QWEN_7B, "qwen1.5-7b-chat-awq": QWEN_7B, "qwen1.5-7b": QWEN_7B,
    "qwen-14b": dense("qwen2", 5120, 13696, 40, 40, 40, 152064),
    "qwen-72b": dense("qwen2", 8192, 24576, 80, 64, 64, 152064),
    "yi-6b": dense("llama", 4096, 11008, 32, 32, 4, 64000),
    "yi-34b": dense("llama", 7168, 20480, 60, 56, 8, 64000),
    "baichuan2-7b": dense("llama", 4096, 11008, 32, 32, 32, 125696),
    "baichuan2-13b": dense("llama", 5120, 13696, 40, 40, 40, 125696),
    "chatglm3-6b": dense("llama", 4096, 13696, 28, 32, 2, 65024),
    "qwen2.5-7b": dense("qwen2", 3584, 18944, 28, 28, 4, 152064),
    "qwen3-8b": QWEN3_8B,
    "plano-orchestrator-4b": dense("qwen3", 2560, 9728, 36, 32, 8, 151936, tied=True, head_dim=128),
    "ministral-8b-instruct-2410": dense("mistral", 4096, 12288, 36, 32, 8, 131072, head_dim=128),
    "devstral-small-2507": MISTRAL_SMALL, "magistral-small-2506": MISTRAL_SMALL, "magistral-small-2507": MISTRAL_SMALL,
    "magistral-small-2509": seeing("mistral3", MISTRAL_SMALL, PIXTRAL),
    "mistral-small-3.1-24b-instruct-2503": seeing("mistral3", MISTRAL_SMALL, PIXTRAL),
    "ministral-3-3b-reasoning-2512": seeing(
        "mistral3", dense("ministral3", 3072, 9216, 26, 32, 8, 131072, tied=True, head_dim=128), PIXTRAL
    ),
    "voxtral-mini-3b-2507": {
        "model_type": "voxtral", "text_config": dense("llama", 3072, 8192, 30, 32, 8, 131072, head_dim=128),
        "audio_config": {
            "model_type": "voxtral_encoder", "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
            "num_attention_heads": 20, "num_mel_bins": 128, "max_source_positions": 1500,
        },
    },
    "olmo-3-7b-instruct-sft": dense("olmo3", 4096, 11008, 32, 32, 32, 100278, sliding_window=4096),
    "apertus-8b-instruct-2509": dense("apertus", 4096, 21504, 32, 32, 8, 131072, hidden_act="xielu", qk_norm=True),
    "afm-4.5b": dense("arcee", 2560, 18432, 36, 20, 4, 128004, head_dim=128, hidden_act="relu2"),
    "seed-oss-36b-instruct": dense(
        "seed_oss", 5120, 27648, 64, 80, 8, 155136, head_dim=128, attention_bias=True, attention_out_bias=False
    ),
    # Its multi-token prediction layer is not loaded for training.
    "mimo-7b-rl": dense("qwen2", 4096, 11008, 36, 32, 8, 151680, head_dim=128),
    "hunyuan-0.5b-instruct": dense(
        "hunyuan_v1_dense", 1024, 3584, 24, 8, 4, 120818, tied=True, head_dim=128, use_qk_norm=True
    ),
    "internvl3_5-8b-hf": seeing("internvl", QWEN3_8B, {
        "model_type": "internvl_vision", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
        "num_attention_heads": 16, "image_size": [448, 448], "patch_size": [14, 14], "num_channels": 3,
        "attention_bias": True, "use_qk_norm": False,
    }),
    "smolvlm2-2.2b-instruct": seeing(
        "smolvlm", dense("llama", 2048, 8192, 24, 32, 32, 49280, head_dim=64), {
            "model_type": "smolvlm_vision", "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
            "num_attention_heads": 16, "image_size": 384, "patch_size": 14, "num_channels": 3,
        }, scale_factor=3,
    ),
    "lfm2-350m": LFM2_350M,
    "lfm2-vl-450m": seeing("lfm2_vl", LFM2_350M, {
        "model_type": "siglip2_vision_model", "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
        "num_attention_heads": 12, "num_patches": 256, "patch_size": 16, "num_channels": 3,
    }),
    "trinity-nano-preview": dense(
        "afmoe", 1024, 3072, 56, 8, 2, 200192, head_dim=128, moe_intermediate_size=256, num_experts=128,
        num_experts_per_tok=8, num_shared_experts=1, num_dense_layers=2, sliding_window=2048,
        global_attn_every_n_layers=4,
        layer_types=["full_attention" if i % 4 == 3 else "sliding_attention" for i in range(56)],
    ),
    "granite-4.0-tiny-preview": dense(
        "granitemoehybrid", 1536, 512, 40, 12, 4, 49160, tied=True, num_local_experts=62, num_experts_per_tok=6,
        shared_intermediate_size=1024, mamba_n_heads=48, mamba_d_head=64, mamba_d_state=128, mamba_d_conv=4,
        mamba_expand=2, mamba_n_groups=1, mamba_conv_bias=True, mamba_proj_bias=False,
        layer_types=["attention" if i in (5, 15, 25, 35) else "mamba" for i in range(40)],
    ),
    "gemma-4-e2b-it": {
        "model_type": "gemma4_text", "hidden_size": 1536, "intermediate_size": 6144, "num_hidden_layers": 35,
        "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256, "global_head_dim": 512,
        "vocab_size": 262144, "vocab_size_per_layer_input": 262144, "hidden_size_per_layer_input": 256,
        "num_kv_shared_layers": 20, "use_double_wide_mlp": True, "sliding_window": 512, "tie_word_embeddings": True,
        "final_logit_softcapping": 30.0, "max_position_embeddings": 131072,
        "layer_types": ["full_attention" if i % 5 == 4 else "sliding_attention" for i in range(35)],
    },
    "lfm2-8b-a1b": {
        "model_type": "lfm2_moe", "hidden_size": 2048, "intermediate_size": 7168, "moe_intermediate_size": 1792,
        "num_hidden_layers": 24, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 65536,
        "conv_L_cache": 3, "conv_bias": False, "num_experts": 32, "num_experts_per_tok": 4, "num_dense_layers": 2,
        "use_expert_bias": True, "tie_word_embeddings": True, "max_position_embeddings": 128000,
        "layer_types": ["full_attention" if i in (2, 6, 10, 14, 18, 21) else "conv" for i in range(24)],
    },
    "gemma-4-31b": {
        "model_type": "gemma4_text", "hidden_size": 5376, "intermediate_size": 21504, "num_hidden_layers": 60,
        "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 256, "global_head_dim": 512,
        "num_global_key_value_heads": 4, "attention_k_eq_v": True, "vocab_size": 262144,
        "hidden_size_per_layer_input": 0, "sliding_window": 1024, "tie_word_embeddings": True,
        "final_logit_softcapping": 30.0, "max_position_embeddings": 262144,
        "layer_types": ["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(60)],
    },
    "glm-4.5-air": dense(
        "glm4_moe", 4096, 10944, 46, 96, 8, 151552, head_dim=128, attention_bias=True, use_qk_norm=False,
        moe_intermediate_size=1408, n_routed_experts=128, n_shared_experts=1, num_experts_per_tok=8,
        first_k_dense_replace=1, partial_rotary_factor=0.5,
    ),
    "glm-4.7-flash": dense(
        "glm4_moe_lite", 2048, 10240, 47, 20, 20, 154880, moe_intermediate_size=1536, n_routed_experts=64,
        n_shared_experts=1, num_experts_per_tok=4, q_lora_rank=768, kv_lora_rank=512, qk_rope_head_dim=64,
        qk_nope_head_dim=192, v_head_dim=256, first_k_dense_replace=1,
        mlp_layer_types=["dense"] + ["sparse"] * 46,
    ),
    "gpt-oss-20b": dense(
        "gpt_oss", 2880, 2880, 24, 64, 8, 201088, head_dim=64, num_local_experts=32, num_experts_per_tok=4,
        attention_bias=True, sliding_window=128,
        layer_types=["full_attention" if i % 2 else "sliding_attention" for i in range(24)],
    ),
    "mistral-small-4-119b-2603-bf16": dense(
        "mistral4", 4096, 12288, 36, 32, 32, 131072, moe_intermediate_size=2048, n_routed_experts=128,
        n_shared_experts=1, num_experts_per_tok=4, q_lora_rank=1024, kv_lora_rank=256, qk_rope_head_dim=64,
        qk_nope_head_dim=64, v_head_dim=128, first_k_dense_replace=0,
    ),
    "kimi-linear-48b-a3b-instruct": dense(
        "kimi_linear", 2304, 9216, 27, 32, 32, 163840, moe_intermediate_size=1024, num_local_experts=256,
        n_shared_experts=1, num_experts_per_tok=8, kv_lora_rank=512, q_lora_rank=None, qk_rope_head_dim=64,
        qk_nope_head_dim=128, v_head_dim=128, linear_head_dim=128, linear_num_heads=32, linear_conv_kernel_dim=4,
        first_k_dense_replace=1,
    ),
    "qwen3-30b-a3b-nvfp4": dense(
        "qwen3_moe", 2048, 6144, 48, 32, 4, 151936, head_dim=128, moe_intermediate_size=768, num_experts=128,
        num_experts_per_tok=8, decoder_sparse_step=1, mlp_only_layers=[],
    ),
    "qwen3-next-80b-a3b-instruct": dense(
        "qwen3_next", 2048, 5120, 48, 16, 2, 151936, head_dim=256, moe_intermediate_size=512,
        shared_expert_intermediate_size=512, num_experts=512, num_experts_per_tok=10, decoder_sparse_step=1,
        mlp_only_layers=[], linear_num_key_heads=16, linear_num_value_heads=32, linear_key_head_dim=128,
        linear_value_head_dim=128, linear_conv_kernel_dim=4,
        layer_types=["full_attention" if i % 4 == 3 else "linear_attention" for i in range(48)],
    ),
    "qwen3.5-9b": dense(
        "qwen3_5_text", 4096, 12288, 32, 16, 4, 248320, head_dim=256, linear_num_key_heads=16,
        linear_num_value_heads=32, linear_key_head_dim=128, linear_value_head_dim=128, linear_conv_kernel_dim=4,
        layer_types=["full_attention" if i % 4 == 3 else "linear_attention" for i in range(32)],
    ),
    "qwen3.5-27b": dense(
        "qwen3_5_text", 5120, 17408, 64, 24, 4, 248320, head_dim=256, linear_num_key_heads=16,
        linear_num_value_heads=48, linear_key_head_dim=128, linear_value_head_dim=128, linear_conv_kernel_dim=4,
        layer_types=["full_attention" if i % 4 == 3 else "linear_attention" for i in range(64)],
    ),
}


def config(model: str) -> Config | None:
    """The config of the model that a row names, from the table or ftui's catalogue; None where neither has it."""
    name = model.rsplit("/", 1)[-1].lower()
    return CONFIGS.get(name) or _catalogued().get(name) or _catalogued().get(name.removesuffix("-instruct"))


@cache
def _catalogued() -> dict[str, Config]:
    entries = json.loads((resources.files("ftui.models") / "catalogue.json").read_text(encoding="utf-8"))
    found: dict[str, Config] = {}
    for entry in entries:
        for one in (entry["id"], *entry.get("also", ())):
            name = one.rsplit("/", 1)[-1].lower()
            for known in (name, name.removesuffix("-instruct"), name.removesuffix("-it")):
                found.setdefault(known, entry["config"])
    return found
