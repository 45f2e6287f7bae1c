"""Write ftui/models/defaults.json from transformers' config classes: `python tools/model_defaults.py`.

For each family: the values that its class takes for keys that config.json leaves out, and the names that it takes for
others (`attribute_map`).  A test compares the file with the classes, so that a new transformers shows.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "ftui" / "models" / "defaults.json"
LEFT_OUT = (
    "token", "id2label", "label2id", "initializer", "dropout", "_eps", "epsilon", "rope_", "use_cache", "chat",
    "output_", "return_", "problem", "architectures", "dtype", "aux_loss", "router_", "pdrop", "summary_", "drop",
    "transformers_version", "chunk_size", "is_encoder", "name_or_path", "multiplier", "scaling", "jitter", "norm_topk",
)
"""Parts of names that change no shape."""
INNER = {
    "llava": "clip_vision_model", "mistral3": "pixtral", "lfm2_vl": "siglip2_vision_model",
    "gemma3": "siglip_vision_model",
}
"""The vision config of wrappers that take any."""
KEPT = (
    "scale_factor", "downsample_ratio", "downsample_factor", "block_ffn_dim_multiplier", "vocab_size_per_layer_input",
)


def families() -> dict[str, Any]:
    """The table for every family that has a class."""
    from transformers import CONFIG_MAPPING

    from ftui.models.families import ROWS, TWINS

    found = {}
    for kind in (*(row.model_type for row in ROWS if not row.remote_code), *TWINS):
        own = CONFIG_MAPPING[kind] if kind in CONFIG_MAPPING else None  # noqa: SIM401 - it loads on [], not on get
        if own is None or (kind in TWINS and "hidden_size" not in {item.name for item in dataclasses.fields(own)}):
            continue  # no class of its own, or one that only wraps others
        stated = {
            item.name: item.default for item in dataclasses.fields(own)
            if isinstance(item.default, int | float | str | None) and _counts(item.name)
        }
        found[kind] = {"defaults": stated, "names": dict(getattr(own, "attribute_map", {}))}
    return dict(sorted(found.items()))


def towers() -> dict[str, Any]:
    """The same for multimodal wrappers and their vision configs."""
    from transformers import CONFIG_MAPPING

    from ftui.models.vision import AROUND

    found = {}
    for kind in AROUND:
        wrapper = CONFIG_MAPPING[kind]
        vision = wrapper.sub_configs["vision_config"]
        vision = CONFIG_MAPPING[INNER[kind]] if kind in INNER else vision
        found[kind] = {"wrapper": _plain(wrapper), "vision": _plain(vision)}
    return dict(sorted(found.items()))


def _plain(own: Any) -> dict[str, Any]:
    defaults = {
        item.name: list(value) if isinstance(value := item.default, tuple) else value
        for item in dataclasses.fields(own)
        if isinstance(item.default, int | float | str | tuple) and _counts(item.name)
    }
    return defaults | {
        item.name: item.default_factory() for item in dataclasses.fields(own)
        if item.default_factory is not dataclasses.MISSING and isinstance(item.default_factory(), list | tuple)
    }


def _counts(name: str) -> bool:
    return name in KEPT or not any(part in name for part in LEFT_OUT)


def text() -> str:
    """The file's content, a family a line."""
    import transformers

    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in families().items())
    around = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in towers().items())
    version = json.dumps(transformers.__version__)
    return f'{{"transformers": {version}, "families": {{\n{rows}\n}}, "towers": {{\n{around}\n}}}}\n'


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{TARGET} written\n")
