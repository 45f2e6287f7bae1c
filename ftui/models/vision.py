"""The parts around a multimodal model's language model: a run on text loads them, but doesn't train or use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftui.models.windows import whole

TOWER = ("hidden_size", "intermediate_size", "num_hidden_layers", "image_size", "patch_size")


def around_gemma3(config: Mapping[str, Any], hidden: int) -> int | None:
    """Parameters of Gemma 3's SigLIP tower and projector, None where the config doesn't state their sizes.

    `hidden` is the language model's width.  Equal to what `Gemma3ForConditionalGeneration` has beside it.
    """
    vision = config.get("vision_config")
    if not isinstance(vision, dict) or vision.get("vision_use_head", True):
        return None
    sizes = [whole(vision, key) for key in TOWER]
    if any(size is None for size in sizes):
        return None
    width, inner, layers, image, patch = (size or 0 for size in sizes)
    patches = (image // patch) ** 2
    embedding = width * (whole(vision, "num_channels") or 3) * patch * patch + width + patches * width
    layer = 4 * (width * width + width) + 2 * width * inner + inner + width + 4 * width
    return embedding + layers * layer + 2 * width + width * hidden + width
