"""The base of every document that passes through the house: immutable, strict about keys, JSON both ways."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

RowForm = Literal["sequence", "pair", "labelled", "prompt", "answered", "class"]
"""What one prepared row is, by what an objective trains on; `ftui.data.forms` says how each is made.

sequence: tokens with the mask of those that are learnt; pair: a prompt with a better and a worse answer; labelled: a
prompt with an answer that was good or bad; prompt: what the model itself answers, beside what a reward looks at;
answered: a prompt with the data's answer where it has one; class: a text with its label or labels.
"""


class Document(BaseModel):
    """An immutable pydantic model; unknown keys are errors, so that a misspelt one can't be lost."""

    # Validators are built when they are first asked for: most of a hundred classes never are in one process.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), defer_build=True)

    def to_json(self) -> str:
        """One JSON document, two-space indent, non-finite floats as null."""
        return self.model_dump_json(indent=2)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises pydantic.ValidationError if `text` is not this document."""
        return cls.model_validate_json(text)
