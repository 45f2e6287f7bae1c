"""What multimodal models hold around their language model, against transformers' own classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ftui.errors import BadInput
from ftui.models import describe
from ftui.models.vision import AROUND

TEXT = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TOKENS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
PLAIN = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 4,
         "image_size": 32, "patch_size": 4}
QWEN = {"depth": 3, "hidden_size": 24, "intermediate_size": 40, "num_heads": 4, "out_hidden_size": 32, "patch_size": 4,
        "num_position_embeddings": 16}
DELTA = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 6, "linear_value_head_dim": 10}

WRAPPED: Mapping[str, list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]] = {
    "gemma3": [({**TEXT, "model_type": "gemma3_text", "head_dim": 8}, {**PLAIN, "model_type": "siglip_vision_model",
                "vision_use_head": False}, {"mm_tokens_per_image": 16})],
    "llava": [({**TEXT, "model_type": "llama"}, {**PLAIN, "model_type": "clip_vision_model"}, {}),
              ({**TEXT, "model_type": "llama"}, {**PLAIN, "model_type": "clip_vision_model"},
               {"multimodal_projector_bias": False})],
    "mistral3": [({**TEXT, "model_type": "mistral", "head_dim": 8}, {**PLAIN, "model_type": "pixtral", "head_dim": 6},
                  extra) for extra in ({}, {"spatial_merge_size": 4, "multimodal_projector_bias": True})],
    "internvl": [({**TEXT, "model_type": "qwen3", "head_dim": 8},
                  {**PLAIN, "model_type": "internvl_vision", "image_size": [32, 32], "patch_size": [4, 4], **own}, {})
                 for own in ({}, {"attention_bias": True, "use_qk_norm": True, "norm_type": "rms_norm"})],
    "idefics3": [({**TEXT, "model_type": "llama"}, {**PLAIN, "model_type": "idefics3_vision"}, {"scale_factor": 4})],
    "smolvlm": [({**TEXT, "model_type": "llama"}, {**PLAIN, "model_type": "smolvlm_vision"}, {})],
    "lfm2_vl": [({**TEXT, "model_type": "lfm2", "full_attn_idxs": [1]},
                 {**PLAIN, "model_type": "siglip2_vision_model", "num_patches": 64, "vision_use_head": False}, extra)
                for extra in ({}, {"projector_hidden_size": 20, "projector_bias": False, "downsample_factor": 4})],
    "qwen3_vl": [({**TEXT, "model_type": "qwen3_vl_text", "head_dim": 8}, {**QWEN, "deepstack_visual_indexes": [0, 1]},
                  {})],
    "qwen3_vl_moe": [({**TEXT, "model_type": "qwen3_vl_moe_text", "num_experts": 3, "head_dim": 8}, QWEN, {})],
    "qwen3_5": [({**TEXT, "model_type": "qwen3_5_text", "head_dim": 8, **DELTA}, QWEN, {})],
    "qwen3_5_moe": [({**TEXT, "model_type": "qwen3_5_moe_text", "head_dim": 8, "num_experts": 3, **DELTA}, QWEN, {})],
    "qwen2_5_vl": [({**TEXT, "model_type": "qwen2_5_vl_text"}, {
        key: value for key, value in QWEN.items() if key != "num_position_embeddings"}, {})],
    "gemma4": [({**TEXT, "model_type": "gemma4_text", "hidden_size_per_layer_input": 0, "head_dim": 8},
                {**PLAIN, "num_key_value_heads": 2, "head_dim": 6, "position_embedding_size": 64},
                {"audio_config": None})],
}


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(AROUND))
def test_the_whole_model_is_its_language_model_and_what_is_around_it(kind: str, tmp_path: Path) -> None:
    import torch
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as NAMES

    for text, vision, more in WRAPPED[kind]:
        own = transformers.CONFIG_MAPPING[kind](text_config={**text, **TOKENS}, vision_config=dict(vision), **more)
        with torch.device("meta"):
            whole = getattr(transformers, NAMES[kind])(own)
        path = tmp_path / "config.json"
        tied = bool(getattr(own, "tie_word_embeddings", False))
        path.write_text(json.dumps({
            "model_type": kind, "text_config": text, "vision_config": vision, "tie_word_embeddings": tied, **more,
        }))
        shape = describe(str(path))
        count = sum(each.numel() for each in whole.parameters())
        assert shape.exact
        assert shape.parameters + shape.other_parameters == count, more


def test_a_wrapper_without_usable_sizes_has_nothing_counted_around_it(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for vision in ({}, {"hidden_size": "wide"}, {"patch_size": 0}, None):
        path.write_text(json.dumps({
            "model_type": "llava", "text_config": {**TEXT, "model_type": "llama"}, "vision_config": vision,
        }))
        shape = describe(str(path))
        assert shape.exact
        assert shape.other_parameters == 0


def test_a_language_model_inside_another_may_leave_out_what_its_class_has_anyway(tmp_path: Path) -> None:
    config = {
        "model_type": "llava", "architectures": ["LlavaForConditionalGeneration"],
        "text_config": {"model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 32064},
        "vision_config": {"model_type": "clip_vision_model", "hidden_size": 1024, "image_size": 336,
                          "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24,
                          "patch_size": 14, "projection_dim": 768},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    shape = describe(str(tmp_path / "config.json"))
    known = describe("llava-hf/llava-1.5-7b-hf")
    assert (shape.parameters, shape.other_parameters) == (known.parameters, known.other_parameters)
    (tmp_path / "config.json").write_text(json.dumps(config["text_config"]))
    with pytest.raises(BadInput, match="states no hidden_size"):
        describe(str(tmp_path / "config.json"))
