"""Another tool's configuration on its way into a recipe: what was taken, left out and refused, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reading:
    """One configuration on its way."""

    given: Mapping[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    def put(self, key: str, path: str, value: Any, why: str = "") -> None:
        """The key says this; twice the same is fine, two different values are not."""
        self.done.add(key)
        if path in self.values and self.values[path] != value:
            self.refused.append(
                f"{key}: {shown(self.given[key])} contradicts {path}: {shown(self.values[path])} of another key"
            )
            return
        self.values[path] = value
        note = f" ({why})" if why else ""
        self.said.append(f"{key}: {shown(self.given[key])} -> {path}: {shown(value)}{note}")

    def leave(self, key: str, why: str) -> None:
        """The key is not needed."""
        self.done.add(key)
        self.said.append(f"{key}: {shown(self.given[key])} -> left out: {why}")

    def refuse(self, key: str, why: str) -> None:
        """The key matters, and ftui can't do what it says."""
        self.done.add(key)
        self.refused.append(f"{key}: {shown(self.given[key])}: {why}")

    def choose(self, key: str, path: str, choices: Mapping[str, str]) -> None:
        """A word of theirs for a word of ours."""
        word = str(self.given[key]).lower()
        if word in choices:
            self.put(key, path, choices[word])
        else:
            self.refuse(key, f"ftui has none of that name; it knows {', '.join(sorted(set(choices)))}")


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(one) for one in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(one)}" for key, one in value.items()) + "}"
    return str(value)


def wanted(reading: Reading, *keys: str) -> list[str]:
    """Those of `keys` that are there and say something."""
    return [key for key in keys if key in reading.given and key not in reading.done]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def listed(value: Any) -> Any:
    parts = value.split(",") if isinstance(value, str) else value
    return [str(part).strip() for part in parts] if isinstance(parts, list) else value
