"""`Finding`: one thing that a curve shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ftui.runs.document import Event

Severity = Literal["note", "warning", "grave"]
"""note: nothing is lost by leaving it; warning: the result suffers; grave: what is trained from here on is wasted, and
who asked for it is called."""


@dataclass(frozen=True)
class Finding:
    """What is wrong (`text`), what to do (`hint`), the numbers that show it, and the settings that would help."""

    name: str
    text: str
    hint: str
    evidence: Mapping[str, float | None] = field(default_factory=dict)
    change: dict[str, Any] = field(default_factory=dict)
    """Dotted path -> value: what makes a new recipe of this run's, which the finding then should not befall."""
    severity: Severity = "warning"

    @property
    def weight(self) -> int:
        """Severities in their order, to be compared."""
        return get_args(Severity).index(self.severity)

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
    evidence, change, severities = data.get("evidence"), data.get("change"), get_args(Severity)
    return Finding(
        str(data.get("name") or "diagnosis"), str(data.get("text") or ""), str(data.get("hint") or ""),
        evidence if isinstance(evidence, dict) else {}, change if isinstance(change, dict) else {},
        next((each for each in severities if each == data.get("severity")), "warning"),
    )
