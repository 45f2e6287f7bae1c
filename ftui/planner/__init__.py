"""What fits, what to pick, and why: pure, torch-free, milliseconds.

`plan` recommends, `resolve` fills a draft from it, `estimate` answers for exactly one resolved recipe, `risks` says
what looks wrong, `largest` how far a setting can go, `why_not` and `compare` what another value would change,
`ways` what each of the plan's ways would.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ftui.planner.engine import Calibration, estimate, judge, plan, resolve
from ftui.planner.risks import risks

if TYPE_CHECKING:
    from ftui.planner.solver import Largest, largest
    from ftui.planner.why import WhyNot, compare, ways, why_not

LATE = {
    "Largest": "solver", "largest": "solver", "WhyNot": "why", "compare": "why", "ways": "why", "why_not": "why",
}
"""Questions that the app's first screens don't ask, with their modules."""

__all__ = [
    "Calibration", "Largest", "WhyNot", "compare", "estimate", "judge", "largest", "plan", "resolve", "risks",
    "ways", "why_not",
]


def __getattr__(name: str) -> Any:
    if name in LATE:
        return getattr(import_module(f"ftui.planner.{LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
