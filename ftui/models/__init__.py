"""What a base model is, exactly, without torch: `describe`, `locate`, `search`, `download`, `catalogue`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftui.models.document import Linear, ModelShape

if TYPE_CHECKING:
    from ftui.models.fetch import download
    from ftui.models.known import Entry, catalogue
    from ftui.models.lookup import describe, locate, tokenizer_folder
    from ftui.models.searching import Found, search

_HOMES = {
    "describe": "lookup", "locate": "lookup", "tokenizer_folder": "lookup", "search": "searching",
    "Found": "searching", "download": "fetch", "catalogue": "known", "Entry": "known",
}

__all__ = [
    "Entry", "Found", "Linear", "ModelShape", "catalogue", "describe", "download", "locate", "search",
    "tokenizer_folder",
]


def __getattr__(name: str) -> Any:
    """Load a function's module only when it is asked for: the app's first paint needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ftui.models.{_HOMES[name]}"), name)
