"""How the Data step says what the check-up found, how far it is, and what the repairs leave."""

from __future__ import annotations

from collections import Counter

from textual.content import Content

from ftui.units import count, plain

from .checkup import Look
from .state import WizardState
from .step import problem_text

SIGNS = {"error": ("✗", "bold $text-error"), "warning": ("!", "bold $text-warning"), "note": ("·", "dim")}
"""Severity -> its sign and style."""
_BAR = 24


def look_of(state: WizardState) -> Look | None:
    """The check-up of the data that the draft names; None for that of other data."""
    look = state.look
    return look if look is not None and look.wanted.data == state.draft.data.sources else None


def how_far(state: WizardState) -> list[Content]:
    """How far the check-up is, and what the recipe's repairs leave of the rows."""
    look = look_of(state)
    lines = [Content("The check-up begins in a moment.") if look is None else _progress(look)]
    if look is not None and look.problem is not None:
        lines.append(problem_text(look.problem))
    if state.draft.data.prepare:
        lines.append(left(state) or Content.styled("Counting what the repairs leave …", "dim"))
    return lines


def left(state: WizardState) -> Content | None:
    """How many rows the recipe's repairs leave, None where they aren't counted yet or there are none."""
    profile, repairs = state.profile, len(state.draft.data.prepare)
    if profile is None or not repairs:
        return None
    from ftui.data.repairing import say_left_out

    gone = f" ({plain(say_left_out(profile.left_out))})" if profile.left_out else ""
    return Content.assemble(
        (f"{count(profile.rows)} rows", "bold"), f" left after {repairs} repair{'s' if repairs > 1 else ''}{gone}"
    )


def summary(look: Look) -> str:
    """ "1 error, 3 warnings, 2 notes", or that there is nothing."""
    counts = Counter[str](finding.severity for finding in look.findings)
    parts = [f"{counts[kind]} {kind}{'s' if counts[kind] > 1 else ''}" for kind in SIGNS if counts[kind]]
    return ", ".join(parts) or ("nothing" if look.running else "nothing speaks against training on it")


def unrepaired(state: WizardState) -> str | None:
    """The errors and warnings that the recipe's repairs leave as they are, by name; None where there are none."""
    from ftui.data.choosing import holds

    look, entries = look_of(state), state.draft.data.prepare
    if look is None:
        return None
    names = [
        finding.name for finding in look.findings
        if finding.severity != "note" and not (finding.repair and holds(entries, finding.repair))
    ]  # fmt: skip
    return ", ".join(dict.fromkeys(names)) or None


def _progress(look: Look) -> Content:
    deep = ", near copies, leaks, personal data and secrets too" if look.wanted.deep else ""
    if look.state == "finished":
        more = "." if deep else ".  d looks for near copies, leaks and secrets, too."
        return Content.assemble((f"{summary(look)}", "bold"), f" in {count(look.done)} rows{deep}{more}")
    if look.state == "stopped":
        return Content.assemble((summary(look), "bold"), f" in the first {count(look.done)} rows; r looks once more.")
    if look.state == "failed":
        return Content("The check-up could not be finished.")
    what = "rows' tokens counted" if look.counting else f"rows looked through{deep}"
    of = f" of {'' if look.counting else 'about '}{count(look.total)}" if look.total else ""
    text = Content.assemble((summary(look), "bold"), f" so far; {count(look.done)}{of} {what}")
    if not look.total:
        return text
    full = round(min(look.done / look.total, 1.0) * _BAR)
    return Content.assemble(("━" * full, "$text-primary"), ("─" * (_BAR - full), "dim"), "  ", text)


def repair_line(entry: dict[str, object]) -> str:
    """A repair with its options on one line."""
    name, options = next(iter(entry.items()))
    if isinstance(options, dict):
        options = ", ".join(f"{option} {value}" for option, value in options.items())
    elif isinstance(options, list | tuple):
        options = ", ".join(map(str, options))
    return name if options in (None, "") else f"{name}: {options}"
