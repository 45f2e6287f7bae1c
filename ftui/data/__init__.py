"""What a dataset holds, what is wrong with it, and its rows as token ids and loss masks.

Everything here is loaded when first asked for: the documents of this package cost other rooms nothing else.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftui.data.apart import check_apart, profile_apart
    from ftui.data.checking import check
    from ftui.data.given import Given
    from ftui.data.loading import load
    from ftui.data.preparation import Prepared, held_out_by, prepare, validation_source
    from ftui.data.previewing import preview
    from ftui.data.profiling import profile
    from ftui.data.repairing import repairs_of
    from ftui.data.tokenizer import Tokenizer, load_tokenizer

_HOMES = {
    "Given": "given",
    "Prepared": "preparation",
    "held_out_by": "preparation",
    "Tokenizer": "tokenizer",
    "check": "checking",
    "check_apart": "apart",
    "load": "loading",
    "load_tokenizer": "tokenizer",
    "prepare": "preparation",
    "preview": "previewing",
    "profile": "profiling",
    "profile_apart": "apart",
    "repairs_of": "repairing",
    "validation_source": "preparation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def demo_path() -> Path:
    """The bundled demo data: conversations in JSON Lines."""
    return Path(__file__).with_name("demo.jsonl")


__all__ = [
    "Given", "Prepared", "Tokenizer", "check", "check_apart", "demo_path", "held_out_by", "load", "load_tokenizer",
    "prepare", "preview", "profile", "profile_apart", "repairs_of", "validation_source",
]
