"""What fits, what to pick, and why: pure, torch-free, milliseconds.

`plan` recommends, `resolve` fills a draft from it, `estimate` answers for exactly one resolved recipe, `risks` says
what looks wrong, `largest` how far a setting can go, `why_not` and `compare` what another value would change.
"""

from __future__ import annotations

from ftui.planner.engine import Calibration, estimate, judge, plan, resolve
from ftui.planner.risks import risks
from ftui.planner.solver import Largest, largest
from ftui.planner.why import WhyNot, compare, why_not

__all__ = [
    "Calibration", "Largest", "WhyNot", "compare", "estimate", "judge", "largest", "plan", "resolve", "risks",
    "why_not",
]
