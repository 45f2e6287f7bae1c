"""What a recipe costs, in one line, and by how much the last edit changed it."""

from __future__ import annotations

from textual.content import Content

from ftui.units import MiB, clock, signed_gib

from ..widgets.badge import ESTIMATE, trusted
from .state import WizardState
from .weighed import FIT_STYLES
from .words import shown_value

FITS = {"fits": "fits", "tight": "tight", "no": "does not fit"}


def cost_line(state: WizardState, *, wide: bool = False, edited: bool = True) -> Content:
    """Memory and time of the recipe as it stands: `wide` has the time's interval, `edited` what the last edit did."""
    now, moved = state.estimate, state.moved if edited else None
    if now is None:
        return Content("")
    time = now.time
    parts: list[str | Content | tuple[str, str]] = [trusted(now.memory)]
    if moved and abs(moved.bytes) >= MiB:
        parts.append(_change(signed_gib(moved.bytes), moved.bytes > 0))
    parts += ["  ", (FITS[now.verdict.fit], f"bold {FIT_STYLES[now.verdict.fit]}")]
    parts += ["  ", (f"{ESTIMATE} ", "dim"), (clock(time.total_seconds), "bold")]
    if wide:
        parts.append((f" ({clock(time.low_seconds)} to {clock(time.high_seconds)})", "dim"))
    if moved and abs(moved.seconds) >= 1:
        slower = moved.seconds > 0
        parts.append(_change(f"{'+' if slower else '−'}{clock(abs(moved.seconds))}", slower))
    return Content.assemble(*parts)


def followed(state: WizardState) -> list[Content]:
    """What the planner set otherwise because of the last edit; nothing where nothing followed."""
    if state.moved is None or not state.moved.followed:
        return []
    settings = (f"{change.path}={shown_value(change.after)}" for change in state.moved.followed)
    return [Content.assemble(("the planner followed: ", "dim"), ", ".join(settings))]


def _change(text: str, worse: bool) -> tuple[str, str]:
    return f" {text}", "$text-warning" if worse else "$text-success"
