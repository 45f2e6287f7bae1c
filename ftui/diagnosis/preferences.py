"""What the two answers' own probabilities show where a model learns to prefer one to the other."""

from __future__ import annotations

from typing import Any

from ftui.diagnosis.case import Case
from ftui.diagnosis.doctor import Chart
from ftui.diagnosis.finding import Finding

FALLS = frozenset({"dpo", "kto"})
"""Objectives that look at a difference alone, which also grows while both answers get less likely; ORPO and CPO imitate
the chosen answer beside it."""
MUCH = 1.5
"""Times the chosen answers' log-probability at the start.  Some fall is usual in DPO (Pal et al. 2024, Razin et al.
2024); at so much a token that had 60 % has 46 %."""
NATS = 10.0
"""And by so much at least, for answers of a few words."""


def chosen_falls(case: Case, chart: Chart) -> Finding | None:
    """The chosen answers get much less likely than they were: the preference is learnt by forgetting both."""
    name = "logps/chosen"
    if case.objective not in FALLS or not chart.has(name, 40):
        return None
    before, now = chart[name].start(16), chart[name].now(24)
    if before >= 0 or now > MUCH * before or now > before - NATS:
        return None
    change = case.slower(3) | _imitating(case)
    margin = chart["rewards/margins"].now(24) if chart.has("rewards/margins", 1) else None
    return Finding(
        "chosen_falls",
        f"The chosen answers have become less likely, not more: their log-probability fell from {before:.3g} to "
        f"{now:.3g}" + (f", while the margin is {margin:.3g}." if margin is not None else "."),
        f"A third of the learning rate ({change['train.learning_rate']:g})"
        + (", and imitating the chosen answer beside preferring it," if "objective.imitation" in change else "")
        + " keeps it likely; pairs whose answers are nearly alike do this, too.",
        {"before": before, "now": now, "margin": margin}, change,
    )


def _imitating(case: Case) -> dict[str, Any]:
    """RPO's term, which DPO has at 0."""
    imitation: float | None = getattr(case.recipe.objective, "imitation", None)
    return {"objective.imitation": 1.0} if imitation == 0 else {}


RULES = (chosen_falls,)
