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
KEPT = ("block_ffn_dim_multiplier", "vocab_size_per_layer_input")


def families() -> dict[str, Any]:
    """The table for every family that has a class."""
    from transformers import CONFIG_MAPPING

    from ftui.models.families import ROWS

    found = {}
    for row in ROWS:
        if row.remote_code:
            continue
        own = CONFIG_MAPPING[row.model_type]
        stated = {
            item.name: item.default for item in dataclasses.fields(own)
            if isinstance(item.default, int | float | str | None) and _counts(item.name)
        }
        found[row.model_type] = {"defaults": stated, "names": dict(getattr(own, "attribute_map", {}))}
    return dict(sorted(found.items()))


def _counts(name: str) -> bool:
    return name in KEPT or not any(part in name for part in LEFT_OUT)


def text() -> str:
    """The file's content, a family a line."""
    import transformers

    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in families().items())
    return f'{{"transformers": {json.dumps(transformers.__version__)}, "families": {{\n{rows}\n}}}}\n'


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{TARGET} written\n")
