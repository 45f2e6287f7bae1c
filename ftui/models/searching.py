"""Searching the hub; offline, the catalogue answers and says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ftui.errors import BadInput
from ftui.models import hub, known


@dataclass(frozen=True, slots=True)
class Found:
    """One model that a search found; `source` says who answered, `reason` why it wasn't the hub."""

    id: str
    downloads: int | None = None
    likes: int | None = None
    parameters: int | None = None
    licence: str | None = None
    gated: bool | None = None
    source: Literal["hub", "catalogue"] = "hub"
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return asdict(self)


def search(query: str, limit: int = 20) -> tuple[Found, ...]:
    """Text-generation models whose id contains `query`, most downloaded first.

    Where the hub can't be asked, the catalogue's entries that fit, each with source "catalogue" and the reason.
    """
    query = query.strip()
    if not query:
        raise BadInput("Nothing to search for.", "Try: ftui models search qwen3")
    if not 1 <= limit <= 500:
        raise BadInput(f"A search finds between 1 and 500 models, not {limit}.", "Try: --limit 20")
    try:
        client = hub.api()
        expand: Any = ["downloads", "likes", "safetensors", "gated", "tags", "cardData"]
        models = client.list_models(
            search=query, filter="text-generation", sort="downloads", limit=limit, expand=expand
        )
        return tuple(_found(info) for info in models)
    except Exception as error:  # noqa: BLE001  # whatever the hub's client throws becomes one sentence
        return _in_catalogue(query, limit, hub.explain(error, query).what)


def _found(info: Any) -> Found:
    licence = next((tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")), None)
    return Found(
        id=info.id, downloads=info.downloads, likes=info.likes,
        parameters=getattr(info.safetensors, "total", None), licence=licence, gated=bool(info.gated),
    )


def _in_catalogue(query: str, limit: int, reason: str) -> tuple[Found, ...]:
    words = query.lower().split()
    hits = [entry for entry in known.catalogue() if all(word in f"{entry.id} {entry.title}".lower() for word in words)]
    return tuple(
        Found(entry.id, parameters=entry.shape.parameters, licence=entry.licence, gated=entry.gated,
              source="catalogue", reason=reason)
        for entry in hits[:limit]
    )
