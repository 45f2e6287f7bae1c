"""`Fault`: what a test asks to be put into a worker."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """`what` happens at the `nth` call (and all later ones, with `lasting`) of `target`, "module:attribute.path",
    before the function does its work, or after it.  What there is stands in `injected.py`."""

    target: str
    what: str
    nth: int = 1
    before: bool = True
    lasting: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


ORDER = Fault("ftui.worker.trainer:RunTrainer.count_tokens", "note", lasting=True)
"""No fault: has the worker write the order of its rows into the run's folder."""
