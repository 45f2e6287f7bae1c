"""How one setting is declared, once, for all its faces: YAML, JSON Schema, settings screen, `--set`, reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, GetCoreSchemaHandler

Auto = Literal["auto"]
"""Left to the planner: filled at launch, with its reason."""


@dataclass(frozen=True)
class Limits:
    """Limits of the numbers that a setting takes, leaving its other values ("auto", null) alone.

    pydantic's own `ge` and the like can't stand on `int | Literal["auto"]`: they compare the word, too.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return self._on_numbers(handler(source))

    def _on_numbers(self, schema: Any) -> Any:
        if schema["type"] in ("int", "float"):
            return {**schema, **{name: limit for name, limit in vars(self).items() if limit is not None}}
        if schema["type"] == "nullable":
            return {**schema, "schema": self._on_numbers(schema["schema"])}
        if schema["type"] == "union":
            return {**schema, "choices": [self._on_numbers(choice) for choice in schema["choices"]]}
        return schema


def setting(
    default: Any,
    *,
    title: str,
    help: str,
    why: str,
    unit: str | None = None,
    advanced: bool = False,
    term: str | None = None,
    separator: str = ",",
    default_factory: Any = None,
    **limits: Any,
) -> Any:
    """A pydantic field that carries what a person needs to decide.

    `title` is its label, `help` one sentence on what it is, `why` one on when one would change it, `unit` what the
    number counts, `term` its entry in the glossary, `separator` what parts a list that is written as one text (prompts
    hold commas), `limits` are those of its numbers (`ge`, `gt`, `le`, `lt`).  With a `default_factory`, `default` is
    left as `...`.
    """
    extra: dict[str, Any] = {"why": why, "unit": unit, "advanced": advanced, "term": term, "separator": separator}
    start: dict[str, Any] = {"default_factory": default_factory} if default_factory else {"default": default}
    field: Any = Field(title=title, description=help, json_schema_extra=extra, **start)
    if limits:
        field.metadata.append(Limits(**limits))
    return field
