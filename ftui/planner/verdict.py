"""Whether a predicted peak fits what is free now, and the cheapest changes that would make it fit."""

from __future__ import annotations

from ftui.hardware.document import Hardware
from ftui.planner.changes import Costs, Found, find, smaller_model
from ftui.planner.document import Fit, MemoryEstimate, Verdict
from ftui.planner.room import budget, reserve
from ftui.planner.setup import Setup
from ftui.units import gib

NOTHING = Costs()
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


def fit_of(process: int, high: int, room: int) -> Fit:
    """"fits" if even the interval's high end goes into `room`, "tight" if only the expected peak does."""
    if high <= room:
        return "fits"
    return "tight" if process <= room else "no"


def verdict(
    estimate: MemoryEstimate, setup: Setup, hardware: Hardware, *, with_changes: bool = True, costs: Costs = NOTHING,
) -> Verdict:
    """The estimate held against free memory less the reserve; `costs` price the changes that would make it fit."""
    free, kept = budget(hardware, setup.device), reserve(hardware, setup.device)
    room = free - kept
    fit = fit_of(estimate.process_bytes, estimate.high_bytes, room)
    spare = room - estimate.high_bytes
    where = "of free RAM" if setup.device == "cpu" else "free now"
    expected = f"{gib(estimate.process_bytes)} expected, {gib(estimate.high_bytes)} at most"
    if fit == "fits":
        text = f"Fits: {expected}, {gib(free)} {where} less {gib(kept)} in reserve; {gib(spare)} to spare."
        return Verdict(fit=fit, spare_bytes=spare, text=text)
    found = find(setup, room, costs) if with_changes else Found()
    if fit == "tight":
        text = f"Tight: {expected}, {gib(free)} {where} less {gib(kept)} in reserve; it may miss by {gib(-spare)}."
    else:
        missing = estimate.process_bytes - room
        text = f"Does not fit by {gib(missing)}: {expected}, {gib(free)} {where} less {gib(kept)} in reserve."
        if with_changes:
            text += _way_out(found, setup, room)
    return Verdict(fit=fit, spare_bytes=spare, text=text, changes=found.choices, together=found.together)


def _way_out(found: Found, setup: Setup, room: int) -> str:
    """What the changes come to, or which model would fit where none are enough."""
    if not found.choices:
        smaller = smaller_model(setup, room)
        instead = f"a smaller base model such as {smaller.ref}, which does," if smaller else "a smaller base model"
        return f" No setting makes it fit: take {instead} or a larger card."
    if not found.together:
        # Each alone is enough, and says itself what it costs.
        return ""
    costing = [f"{found.slower:.0%} more time"] if found.slower >= 0.02 else []
    costing += [f"about {100 * found.worse:.2g} % of the quality"] if found.worse >= 0.0005 else []
    number = NUMBERS.get(len(found.choices), str(len(found.choices)))
    changes = f"These {number} changes together" if len(found.choices) > 1 else "This change"
    return f" {changes} would do it{', costing ' + ' and '.join(costing) if costing else ' at next to no cost'}."
