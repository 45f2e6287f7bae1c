"""How one setting is declared, once, for all its faces: YAML, JSON Schema, settings screen, `--set`, reference."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

Auto = Literal["auto"]
"""Left to the planner: filled at launch, with its reason."""


def setting(
    default: Any,
    *,
    title: str,
    help: str,
    why: str,
    unit: str | None = None,
    advanced: bool = False,
    term: str | None = None,
    **limits: Any,
) -> Any:
    """A pydantic field that carries what a person needs to decide.

    `title` is its label, `help` one sentence on what it is, `why` one on when one would change it, `unit` what the
    number counts, `term` its entry in the glossary, `limits` pydantic's own (`ge`, `le`, `gt`, ...; a `default_factory`
    goes here with `default=...` left as `...`).
    """
    extra = {"why": why, "unit": unit, "advanced": advanced, "term": term}
    arguments: dict[str, Any] = {"title": title, "description": help, "json_schema_extra": extra, **limits}
    if "default_factory" not in limits:
        arguments["default"] = default
    return Field(**arguments)
