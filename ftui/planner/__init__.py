"""What fits, what to pick, and why: pure, torch-free, milliseconds.

`plan` recommends, `resolve` fills a draft from it, `estimate` answers for exactly one resolved recipe, `risks` says
what looks wrong.
"""

from __future__ import annotations

from ftui.planner.engine import Calibration, estimate, plan, resolve
from ftui.planner.risks import risks

__all__ = ["Calibration", "estimate", "plan", "resolve", "risks"]
