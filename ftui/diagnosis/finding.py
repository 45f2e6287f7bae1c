"""`Finding`: one thing that a curve shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ftui.runs.document import Event


@dataclass(frozen=True)
class Finding:
    """What is wrong (`text`), what to do (`hint`), the numbers that show it, and the settings that would help."""

    name: str
    text: str
    hint: str
    evidence: Mapping[str, float | None] = field(default_factory=dict)
    change: dict[str, Any] = field(default_factory=dict)
    """Dotted path -> value: what makes a new recipe of this run's, which the finding then should not befall."""
    severity: Literal["note", "warning"] = "warning"

    @property
    def settings(self) -> list[str]:
        """The change as `--set` takes it."""
        return [
            f"{path}={value if isinstance(value, str) else json.dumps(value)}" for path, value in self.change.items()
        ]

    def as_data(self) -> dict[str, Any]:
        """What a `diagnosis` event holds."""
        return {
            "name": self.name, "text": self.text, "hint": self.hint, "evidence": dict(self.evidence),
            "change": self.change, "severity": self.severity,
        }


def told(event: Event) -> Finding:
    """The finding that a diagnosis event holds."""
    data = event.data
    evidence, change = data.get("evidence"), data.get("change")
    return Finding(
        str(data.get("name") or "diagnosis"), str(data.get("text") or ""), str(data.get("hint") or ""),
        evidence if isinstance(evidence, dict) else {}, change if isinstance(change, dict) else {},
        "note" if data.get("severity") == "note" else "warning",
    )
