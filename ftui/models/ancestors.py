"""Families that bring code of their own (`auto_map`) and have no class in transformers: they can be planned.

Their tensors are those of the modeling files published with the models; tests hold the counts against the sizes that
the hub states for them.
"""

from __future__ import annotations

from ftui.models.blocks import attention, fused_attention, gated, three
from ftui.models.family import Family, Sizes, as_many
from ftui.models.parts import Parts, linear


def _qwen_feed(s: Sizes) -> Parts:
    """Qwen 1 states the width of gate and up together."""
    return three(s, "mlp", s.intermediate // 2, names=("w1", "w2", "c_proj"))


def _chatglm_feed(s: Sizes) -> Parts:
    return (
        linear("mlp.dense_h_to_4h", s.hidden, 2 * s.intermediate),
        linear("mlp.dense_4h_to_h", s.intermediate, s.hidden),
    )


ROWS = (
    Family("qwen", "Qwen 1", "QWenLMHeadModel",
           fused_attention("attn.c_attn", "attn.c_proj", True, False), _qwen_feed,
           norms=("ln_1", "ln_2"), embedding="transformer.wte", layers="transformer.h",
           final_norm="transformer.ln_f", bias=True, remote_code=True, key_heads=as_many,
           keys={"max_position_embeddings": ("seq_length", "max_position_embeddings")},
           defaults={"vocab_size": 151936, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                     "intermediate_size": 22016, "seq_length": 8192, "tie_word_embeddings": False}),
    Family("baichuan", "Baichuan", "BaichuanForCausalLM",
           fused_attention("self_attn.W_pack", "self_attn.o_proj"), gated(False), bias=False,
           remote_code=True, key_heads=as_many,
           keys={"max_position_embeddings": ("model_max_length", "max_position_embeddings")},
           defaults={"vocab_size": 125696, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                     "intermediate_size": 11008, "model_max_length": 4096, "tie_word_embeddings": False}),
    Family("chatglm", "ChatGLM", "ChatGLMModel",
           fused_attention("self_attention.query_key_value", "self_attention.dense", "add_qkv_bias", False),
           _chatglm_feed, embedding="transformer.embedding.word_embeddings", layers="transformer.encoder.layers",
           final_norm="transformer.encoder.final_layernorm", bias="add_qkv_bias", remote_code=True,
           keys={"vocab_size": ("padded_vocab_size", "vocab_size"), "num_hidden_layers": ("num_layers",),
                 "intermediate_size": ("ffn_hidden_size",), "num_key_value_heads": ("multi_query_group_num",),
                 "max_position_embeddings": ("seq_length",), "head_dim": ("kv_channels",)},
           defaults={"padded_vocab_size": 65024, "num_layers": 28, "hidden_size": 4096, "ffn_hidden_size": 13696,
                     "kv_channels": 128, "num_attention_heads": 32, "multi_query_group_num": 2, "seq_length": 8192,
                     "add_qkv_bias": True, "tie_word_embeddings": False}),
    Family("internlm", "InternLM", "InternLMForCausalLM", attention("bias"), gated(False), bias="bias",
           remote_code=True,
           defaults={"vocab_size": 103168, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                     "intermediate_size": 11008, "max_position_embeddings": 2048, "bias": True,
                     "tie_word_embeddings": False}),
    Family("internlm2", "InternLM 2", "InternLM2ForCausalLM",
           fused_attention("attention.wqkv", "attention.wo", "bias"),
           gated(False, path="feed_forward", names=("w1", "w3", "w2")), norms=("attention_norm", "ffn_norm"),
           embedding="model.tok_embeddings", bias="bias", remote_code=True,
           defaults={"vocab_size": 92544, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                     "intermediate_size": 14336, "num_key_value_heads": None, "max_position_embeddings": 32768,
                     "bias": False, "tie_word_embeddings": False}),
)
