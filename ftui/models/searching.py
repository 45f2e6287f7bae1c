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
        return tuple(_found(row) for row in _ask(query, limit))
    except Exception as error:  # noqa: BLE001  # whatever the hub's client throws becomes one sentence
        return _in_catalogue(query, limit, hub.explain(error, query).what)


def _ask(query: str, limit: int) -> list[dict[str, Any]]:
    """The hub's own answer.  Not by `HfApi.list_models`, which would wait for a hanging hub for ever."""
    hub.require_online()
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    response = get_session().get(
        f"{hub.endpoint()}/api/models", headers=build_hf_headers(library_name="ftui"), timeout=hub.TIMEOUT,
        params={"search": query, "filter": "text-generation", "sort": "downloads", "direction": -1, "limit": limit,
                "expand": ["downloads", "likes", "safetensors", "gated", "tags"]},
    )
    hf_raise_for_status(response)
    rows = response.json()
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)][:limit]


def _found(row: dict[str, Any]) -> Found:
    tags = [tag for tag in row.get("tags") or () if isinstance(tag, str)]
    return Found(
        id=row["id"], downloads=row.get("downloads"), likes=row.get("likes"),
        parameters=(row.get("safetensors") or {}).get("total"), gated=bool(row.get("gated")),
        licence=next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), None),
    )


def _in_catalogue(query: str, limit: int, reason: str) -> tuple[Found, ...]:
    words = query.lower().split()
    hits = [entry for entry in known.catalogue() if all(word in f"{entry.id} {entry.title}".lower() for word in words)]
    return tuple(
        Found(entry.id, parameters=entry.shape.parameters, licence=entry.licence, gated=entry.gated,
              source="catalogue", reason=reason)
        for entry in hits[:limit]
    )
