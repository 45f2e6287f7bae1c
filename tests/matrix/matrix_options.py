"""The options with which each adapter is tried on a model of two layers, and the recipe around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftui.recipe.document import Recipe

TEXT = "Answer in one short sentence."
SMALL: Mapping[str, Mapping[str, Any]] = {
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.0}, "miss": {"rank": 8}, "road": {"group_size": 16},
    "vera": {"rank": 16}, "pvera": {"rank": 16}, "randlora": {"rank": 8},
    "vblora": {"vectors": 16, "vector_length": 16}, "xlora": {"adapters": ("one", "another")},
    "fourierft": {"frequencies": 50}, "waveft": {"frequencies": 50}, "c3a": {"block_size": 16}, "shira": {"rank": 4},
    "supertuning": {"sparsity": 0.9}, "frod": {"sparse_rate": 0.05}, "psoft": {"rank": 8}, "hira": {"rank": 8},
    "prompt_tuning": {"virtual_tokens": 6, "text": TEXT}, "cartridge": {"virtual_tokens": 6, "text": TEXT},
    "multitask_prompt_tuning": {"virtual_tokens": 6, "text": TEXT}, "p_tuning": {"virtual_tokens": 6},
    "prefix_tuning": {"virtual_tokens": 6, "text": TEXT}, "adaption_prompt": {"virtual_tokens": 6},
    "cpt": {"virtual_tokens": 12, "prompts": ("What is it?",), "answers": ("A bird.",)},
    "trainable_tokens": {"tokens": 40}, "poly": {"rank": 4, "skills": 2, "splits": 2},
}
"""Options that a model this small can take; the others are at their defaults."""


def recipe_of(kind: str, quantization: str = "none", dtype: str = "float32", **options: Any) -> Recipe:
    """A resolved recipe for `kind` on a base of that quantization."""
    adapter = {"kind": kind, **SMALL.get(kind, {}), **options}
    return Recipe.model_validate({
        "model": {"quantization": quantization, "dtype": dtype, "attention": "sdpa"}, "adapter": adapter,
        "data": {"packing": False}, "train": {"max_steps": 3, "checkpointing": False, "learning_rate": 1e-2},
    })
