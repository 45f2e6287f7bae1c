"""The parts around a multimodal model's language model: a run on text loads them, but doesn't train or use them.

Every count equals what transformers' own class has beside its language model; what a config leaves out is taken from
`defaults.json`, as its vision config's class would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ftui.models.family import towers


class Tower:
    """A wrapper's config with its vision config and their classes' defaults; `text` is the language model's width."""

    def __init__(self, config: Mapping[str, Any], vision: Mapping[str, Any], text: int) -> None:
        kind = str(config.get("model_type"))
        own = towers().get(kind, {})
        self.config = {**own.get("wrapper", {}), **config}
        self.vision = {**own.get("vision", {}), **vision}
        self.text = text
        self.width, self.inner = self.size("hidden_size"), self.size("intermediate_size")

    def size(self, key: str) -> int:
        """A whole number of the vision config; the first of a pair.  LookupError where there is none."""
        value = self.vision.get(key)
        value = value[0] if isinstance(value, list) and value else value
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
            raise LookupError(key)
        return value

    def outer(self, key: str) -> int:
        """A whole number of the wrapper's config."""
        value = self.config.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise LookupError(key)
        return value

    @property
    def layers(self) -> int:
        return self.size("depth" if "depth" in self.vision else "num_hidden_layers")

    @property
    def pixels(self) -> int:
        """Numbers in one patch."""
        colours = self.vision.get("num_channels") or self.vision.get("in_channels") or 3
        return int(colours) * self.size("patch_size") ** 2

    @property
    def patches(self) -> int:
        return (self.size("image_size") // self.size("patch_size")) ** 2

    def projected(self, inputs: int, bias: bool = True) -> int:
        """Two linear maps into the language model's width."""
        return inputs * self.text + self.text * self.text + (2 * self.text if bias else 0)

    def siglip_layers(self) -> int:
        """Attention and a plain MLP with biases everywhere, and two layer norms: CLIP's and SigLIP's layer."""
        width, inner = self.width, self.inner
        return self.layers * (4 * (width * width + width) + 2 * width * inner + inner + width + 4 * width)


def around(config: Mapping[str, Any], hidden: int) -> int | None:
    """Parameters of the vision tower and the projector of the model that `config` wraps around a language model.

    `hidden` is the language model's width.  None where the wrapper isn't known or states no usable sizes.
    """
    vision = config.get("vision_config")
    count = AROUND.get(str(config.get("model_type")))
    if count is None or not isinstance(vision, dict):
        return None
    try:
        return count(Tower(config, vision, hidden))
    except (LookupError, ZeroDivisionError, TypeError):  # a config without a size, or with none that can be one
        return None


def _gemma3(t: Tower) -> int:
    if t.vision.get("vision_use_head", True):
        raise LookupError("vision_use_head")
    embedding = t.width * t.pixels + t.width + t.patches * t.width
    return embedding + t.siglip_layers() + 2 * t.width + t.width * t.text + t.width


def _llava(t: Tower) -> int:
    if t.vision.get("model_type") != "clip_vision_model" or not isinstance(t.config.get("vision_feature_layer"), int):
        raise LookupError("model_type")
    embedding = t.width + t.width * t.pixels + (t.patches + 1) * t.width
    bias = bool(t.config["multimodal_projector_bias"])
    return embedding + t.siglip_layers() + 4 * t.width + t.projected(t.width, bias)


def _mistral3(t: Tower) -> int:
    """Pixtral: RMS norms and a gated MLP without biases; the projector merges squares of patches first."""
    layers = t.layers * (2 * t.width + 3 * t.width * t.inner + 4 * t.width * t.width)
    merged = t.width + t.width * t.width * t.outer("spatial_merge_size") ** 2
    bias = bool(t.config.get("multimodal_projector_bias"))
    return t.width * t.pixels + t.width + layers + merged + t.projected(t.width, bias)


def _internvl(t: Tower) -> int:
    width = t.width
    norms = 4 * width if t.vision.get("norm_type") == "layer_norm" else 2 * width
    qk = 2 * width if t.vision.get("use_qk_norm") else 0
    bias = 3 * width if t.vision.get("attention_bias") else 0
    layer = 2 * width + 4 * width * width + width + bias + 2 * width * t.inner + t.inner + width + norms + qk
    embedding = width + (t.patches + 1) * width + width * t.pixels + width
    merged = width * int(1 / float(t.config["downsample_ratio"])) ** 2
    return embedding + t.layers * layer + 2 * merged + t.projected(merged)


def _idefics3(t: Tower) -> int:
    embedding = t.width * t.pixels + t.width + t.patches * t.width
    return embedding + t.siglip_layers() + 2 * t.width + t.text * t.width * t.outer("scale_factor") ** 2


def _lfm2_vl(t: Tower) -> int:
    if t.vision.get("vision_use_head"):
        raise LookupError("vision_use_head")
    merged, inner = t.width * t.outer("downsample_factor") ** 2, t.outer("projector_hidden_size")
    bias = inner + t.text if t.config.get("projector_bias") else 0
    norm = 2 * merged if t.config.get("projector_use_layernorm") else 0
    embedding = t.width * t.pixels + t.width + t.size("num_patches") * t.width
    return embedding + t.siglip_layers() + 2 * t.width + norm + merged * inner + inner * t.text + bias


def _qwen_vision(t: Tower) -> int:
    """Qwen 3 VL and 3.5: a learned grid of positions, and mergers, some of them fed from inner layers."""
    width, merged = t.width, t.width * t.size("spatial_merge_size") ** 2
    embedding = width * t.pixels * t.size("temporal_patch_size") + width + t.size("num_position_embeddings") * width
    merger = merged * merged + merged + merged * t.size("out_hidden_size") + t.size("out_hidden_size")
    deep = t.vision.get("deepstack_visual_indexes")
    deep = len(deep) if isinstance(deep, list) else 0
    return embedding + t.siglip_layers() + 2 * width + merger + deep * (2 * merged + merger)


def _qwen2_5_vision(t: Tower) -> int:
    width, inner, merged = t.width, t.inner, t.width * t.size("spatial_merge_size") ** 2
    layer = 2 * width + 4 * (width * width + width) + 3 * width * inner + 2 * inner + width
    merger = width + merged * merged + merged + merged * t.size("out_hidden_size") + t.size("out_hidden_size")
    return width * t.pixels * t.size("temporal_patch_size") + t.layers * layer + merger


def _gemma4(t: Tower) -> int:
    if t.config.get("audio_config") is not None:
        raise LookupError("audio_config")
    query, key = (t.size(name) * t.size("head_dim") for name in ("num_attention_heads", "num_key_value_heads"))
    layer = t.width * (2 * query + 2 * key) + 2 * t.size("head_dim") + 3 * t.width * t.inner + 4 * t.width
    embedding = 2 * t.size("position_embedding_size") * t.width + t.width * t.pixels
    return embedding + t.layers * layer + t.width * t.text


AROUND: Mapping[str, Callable[[Tower], int]] = {
    "gemma3": _gemma3, "llava": _llava, "mistral3": _mistral3, "internvl": _internvl, "idefics3": _idefics3,
    "smolvlm": _idefics3, "lfm2_vl": _lfm2_vl, "qwen3_vl": _qwen_vision, "qwen3_vl_moe": _qwen_vision,
    "qwen3_5": _qwen_vision, "qwen3_5_moe": _qwen_vision, "qwen2_5_vl": _qwen2_5_vision, "gemma4": _gemma4,
}
"""Wrapper types -> what they hold beside the language model."""
