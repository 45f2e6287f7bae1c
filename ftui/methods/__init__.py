"""The catalogue: every objective and adapter, as data.  A new one is a module here and a builder in worker/."""

from __future__ import annotations

from ftui.methods import full, lora, sft
from ftui.methods.full import NoAdapterOptions
from ftui.methods.lora import LoraOptions
from ftui.methods.row import AdapterRow, ObjectiveRow
from ftui.methods.sft import SftOptions

OBJECTIVES: dict[str, ObjectiveRow] = {row.kind: row for row in (sft.ROW,)}
ADAPTERS: dict[str, AdapterRow] = {row.kind: row for row in (lora.ROW, full.ROW)}

__all__ = [
    "ADAPTERS", "OBJECTIVES", "AdapterRow", "LoraOptions", "NoAdapterOptions", "ObjectiveRow", "SftOptions",
]
