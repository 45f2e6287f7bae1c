"""A tiny model that needs Python code of its own: a Llama under another name, with the embedded model's tokenizer.

Whoever imports that code leaves a file behind, which is how the tests know.
"""

from __future__ import annotations

import json
import random
import shutil
import struct
from pathlib import Path

from ftui.models import demo, families

MARK = "TINY_OWN_CODE_RAN"
"""The environment variable that names the file which the code writes when it is imported."""

CONFIGURATION = '''
import os
from pathlib import Path

from transformers import LlamaConfig

if mark := os.environ.get("TINY_OWN_CODE_RAN"):
    Path(mark).write_text("the model's code ran")


class TinyOwnConfig(LlamaConfig):
    model_type = "tiny_own"
'''

MODELING = '''
from transformers import LlamaForCausalLM

from .configuration_tiny_own import TinyOwnConfig


class TinyOwnForCausalLM(LlamaForCausalLM):
    config_class = TinyOwnConfig
'''

AUTO_MAP = {
    "AutoConfig": "configuration_tiny_own.TinyOwnConfig",
    "AutoModelForCausalLM": "modeling_tiny_own.TinyOwnForCausalLM",
}


def make(folder: Path) -> Path:
    """Write the model into `folder`, with random weights; no torch."""
    plain = {
        **demo.CONFIG, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8,
        "num_key_value_heads": 2,
    }
    shutil.copytree(demo.ensure_folder(), folder, dirs_exist_ok=True)
    tensors = families.tensors(plain)
    config = {**plain, "model_type": "tiny_own", "architectures": ["TinyOwnForCausalLM"], "auto_map": AUTO_MAP}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_tiny_own.py").write_text(CONFIGURATION)
    (folder / "modeling_tiny_own.py").write_text(MODELING)
    chance, header, body = random.Random(17), {}, bytearray()
    for name, shape in tensors:
        size = 1
        for side in shape:
            size *= side
        numbers = [1.0] * size if len(shape) == 1 else [chance.uniform(-0.1, 0.1) for _ in range(size)]
        begin = len(body)
        body += struct.pack(f"<{size}f", *numbers)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, len(body)]}
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + body)
    return folder
