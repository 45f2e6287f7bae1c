"""What a recipe costs, in one line, and by how much the last edit changed it."""

from __future__ import annotations

from textual.content import Content

from ftui.units import clock, gib, signed_gib

from .state import WizardState

FIT_STYLES = {"fits": "$text-success", "tight": "$text-warning", "no": "$text-error"}


def cost_line(state: WizardState) -> Content:
    """Memory and time of the recipe as it stands, each with what the last edit did to it."""
    now, before = state.estimate, state.before
    if now is None:
        return Content("")
    memory, time = now.memory.process_bytes, now.time.total_seconds
    parts: list[str | Content | tuple[str, str]] = [("memory ", "dim"), (gib(memory), "bold")]
    if before and before.memory.process_bytes != memory:
        parts.append(_change(signed_gib(memory - before.memory.process_bytes), memory > before.memory.process_bytes))
    parts += ["  ", (now.verdict.fit.replace("no", "doesn't fit"), f"bold {FIT_STYLES[now.verdict.fit]}")]
    parts += [("    time ", "dim"), (clock(time), "bold")]
    if before and abs(before.time.total_seconds - time) >= 1:
        slower = time > before.time.total_seconds
        parts.append(_change(f"{'+' if slower else '−'}{clock(abs(time - before.time.total_seconds))}", slower))
    return Content.assemble(*parts)


def _change(text: str, worse: bool) -> tuple[str, str]:
    return f" ({text})", "$text-warning" if worse else "$text-success"
