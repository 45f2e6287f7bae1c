"""Reading config.json by hand: the language model's part of it, dtype, quantization, context length.

Nothing of transformers is needed, so that a model is described in milliseconds on the near side.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui.errors import BadInput

LIMIT = 64 << 20
"""No JSON file that describes a model is larger; tokenizer.json isn't read here."""

MULTIMODAL = {"gemma3": "gemma3_text"}
"""Wrapper types whose text_config ftui counts, and that text_config's type where the file leaves it out."""


def read_json(path: Path, what: str | None = None) -> dict[str, Any]:
    """The JSON object in `path`; BadInput in one sentence for anything else, `what` naming the file's role."""
    text = read_text(path, what)
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInput(f"{path} is not valid JSON{where}.", "Fetch the file again from where it came.") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds no JSON object.", "Fetch the file again from where it came.")
    return content


def read_text(path: Path, what: str | None = None) -> str:
    """The UTF-8 text in `path`, BadInput in one sentence where it can't be read."""
    named = f"{what or path.name} at {path}" if what else str(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe or a device would be read for ever
            raise BadInput(f"{named} is no regular file.", "Give a model's folder or its config.json.")
        if found.st_size > LIMIT:
            raise BadInput(f"{named} is larger than 64 MiB, which no such file is.", "Is it a weight file?")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{named} is not a text file.", "A config.json from a model folder is needed.") from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise BadInput(f"{named} can't be read: {reason}.", _remedy(path, error)) from None


def _remedy(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"Give yourself read permission: chmod u+r {path}"
    return "Check the path: is it spelt right, and is the disk that holds it mounted?"


@dataclass(frozen=True, slots=True)
class LanguageConfig:
    """The language model's own config, and what the whole file says around it."""

    text: Mapping[str, Any]
    whole: Mapping[str, Any]
    multimodal: bool

    @property
    def model_type(self) -> str:
        return str(self.text.get("model_type") or self.whole.get("model_type") or "unknown")

    @property
    def architecture(self) -> str:
        stated = self.whole.get("architectures")
        return str(stated[0]) if isinstance(stated, list) and stated else ""

    @property
    def dtype(self) -> str:
        """What config.json says the tensors are; float32, as transformers takes it, where it says nothing."""
        for config in (self.text, self.whole):
            for key in ("dtype", "torch_dtype"):
                stated = config.get(key)
                if isinstance(stated, str) and re.fullmatch(r"(torch\.)?[a-z0-9_]+", stated) and stated != "auto":
                    return stated.removeprefix("torch.")
        return "float32"

    @property
    def quantization_config(self) -> Mapping[str, Any]:
        """What config.json says of the checkpoint's quantization; empty for a plain one."""
        stated = self.whole.get("quantization_config") or self.text.get("quantization_config")
        return stated if isinstance(stated, dict) else {}

    @property
    def quantization(self) -> str | None:
        """How the checkpoint is quantized: "nf4", "fp4", "int8" (bitsandbytes), else the method: "gptq", "awq", ..."""
        stated = self.quantization_config
        if not stated:
            return None
        method = str(stated.get("quant_method") or "").lower()
        if method in ("", "bitsandbytes"):
            if stated.get("load_in_8bit") or stated.get("_load_in_8bit"):
                return "int8"
            if stated.get("load_in_4bit") or stated.get("_load_in_4bit"):
                return str(stated.get("bnb_4bit_quant_type") or "fp4")
        return method or "unknown"


def language(config: Mapping[str, Any]) -> LanguageConfig:
    """The part of a config.json that describes the language model.

    A multimodal model's sizes stand in its `text_config`; what is said outside (whether embeddings are tied) counts
    for the inside where the inside is silent.
    """
    inner = config.get("text_config")
    if not isinstance(inner, dict):
        return LanguageConfig(config, config, multimodal=False)
    outer_type = str(config.get("model_type"))
    text = {**inner, "model_type": inner.get("model_type") or MULTIMODAL.get(outer_type, outer_type)}
    if "tie_word_embeddings" in config:
        text["tie_word_embeddings"] = config["tie_word_embeddings"]
    return LanguageConfig(text, config, multimodal=True)


def context_length(config: Mapping[str, Any], stated: int) -> tuple[int, str | None]:
    """(tokens the model can take, note on how) from the stated positions and the RoPE scaling.

    YaRN, linear and dynamic scaling stretch the stated number (YaRN from `original_max_position_embeddings`); with
    llama3 and longrope, and in Gemma 3, the stated number already is the stretched one: vLLM's rule in
    `_get_and_verify_max_len`.
    """
    scaling = config.get("rope_scaling") or config.get("rope_parameters")
    if isinstance(scaling, dict) and isinstance(inner := scaling.get("full_attention"), dict):
        scaling = inner
    if not isinstance(scaling, dict):
        return stated, None
    kind = str(scaling.get("rope_type") or scaling.get("type") or "default")
    factor = scaling.get("factor")
    original = scaling.get("original_max_position_embeddings") or config.get("original_max_position_embeddings")
    if kind == "default" or (factor is not None and not isinstance(factor, int | float)):
        return stated, None
    if kind in ("llama3", "longrope", "su") or str(config.get("model_type")).startswith("gemma3"):
        came = f" from {original:,}" if isinstance(original, int) and original < stated else ""
        return stated, f"{stated:,} tokens of context{came} by {kind} RoPE scaling."
    if not factor or factor <= 1:
        return stated, None
    base = original if kind == "yarn" and isinstance(original, int) else stated
    stretched = max(stated, int(base * factor))
    return stretched, f"{stretched:,} tokens of context by {kind} RoPE scaling of {base:,} by {factor:g}."


def is_path(ref: str) -> bool:
    """Whether `ref` means a place on this disk rather than a hub id: it exists, or is written like a path."""
    expanded = os.path.expanduser(ref)
    written = ref.startswith(("/", "./", "../", "~", ".\\")) or ref in (".", "..") or ref.endswith((".json", "/"))
    try:
        return written or "\0" in ref or ref.count("/") > 1 or os.path.lexists(expanded)
    except OSError:  # a name longer than the file system allows
        return True
