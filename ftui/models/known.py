"""The catalogue: well-known open base models with their exact shapes, shipped with ftui so that it knows them offline.

`catalogue.json` holds the values of each model's published config.json, where they were read, its licence, and the
parameter count published elsewhere; a test holds the count of the shape against it.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from ftui.documents import Document
from ftui.models.document import ModelShape
from ftui.models.shape import Origin, build

Goal = Literal["chat", "instruct", "classify", "domain", "code", "reasoning"]


class Published(Document):
    """The size that others state for the model, in parameters, and where."""

    parameters: int
    source: str


class Entry(Document):
    """One model of the catalogue; `shape.ref` is its `id`, the hub's own."""

    id: str
    title: str
    kind: Literal["base", "instruct"]
    """Whether it was tuned to follow instructions already."""
    also: tuple[str, ...] = ()
    """Hub ids of models with the same shape: the base of an instruct model, a second training."""
    shape: ModelShape
    good_at: str
    """One sentence for the one who chooses."""
    goals: tuple[Goal, ...]
    """The goal tasks (`recipe.goal.task`) it is a good start for."""
    licence: str
    gated: bool
    chat_template: bool | None
    """Whether its tokenizer brings a chat template; None where the sources don't say."""
    sources: tuple[str, ...]
    """The config's own address, then where its values were read."""
    published: Published

    @property
    def source(self) -> str:
        """The address of the config.json that the shape is of."""
        return self.sources[0]


@lru_cache(maxsize=1)
def catalogue() -> tuple[Entry, ...]:
    """All entries, smallest first."""
    text = files("ftui.models").joinpath("catalogue.json").read_text(encoding="utf-8")
    return tuple(_entry(row) for row in json.loads(text))


def _entry(row: dict[str, Any]) -> Entry:
    config = row.pop("config")
    shape = build(config, Origin(
        row["id"], "catalogue", licence=row["licence"], gated=row["gated"],
        notes=(), chat_template_known=False,
    ))
    return Entry.model_validate({**row, "shape": shape})


def find(ref: str) -> Entry | None:
    """The entry for a hub id, or for its last part alone ("qwen3-8b"), in any case; also by the ids in `also`."""
    wanted = ref.strip().lower()
    for entry in catalogue():
        if wanted in (entry.id.lower(), entry.id.lower().rsplit("/", 1)[-1]):
            return entry
    for entry in catalogue():
        twin = next((other for other in entry.also if wanted == other.lower()), None)
        if twin is not None:
            return entry.model_copy(update={"id": twin, "shape": entry.shape.model_copy(update={"ref": twin})})
    return None


def hub_id(ref: str) -> str:
    """The hub id that a name of the catalogue stands for, `ref` itself where it is none."""
    entry = find(ref)
    return entry.id if entry else ref


def nearest(ref: str, count: int = 2) -> list[str]:
    """The catalogue's ids that look most like `ref`."""
    ids = [name for entry in catalogue() for name in (entry.id, *entry.also)]
    lower = {name.lower(): name for name in ids}
    tails = {name.lower().rsplit("/", 1)[-1]: name for name in reversed(ids)}
    close = get_close_matches(ref.lower(), lower, n=count, cutoff=0.7)
    tail = get_close_matches(ref.lower().rsplit("/", 1)[-1], tails, n=count, cutoff=0.7)
    return list(dict.fromkeys([lower[name] for name in close] + [tails[name] for name in tail]))[:count]
