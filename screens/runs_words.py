"""What the page of runs says in words.  Pure."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence

from ftui.runs.choosing import Order
from ftui.runs.facts import Facts
from ftui.runs.trash import Aside
from ftui.units import gib, plain

UNDO = "u brings {it} back until you leave ftui."


def several(names: Sequence[str]) -> str:
    """One by its name, more by their number."""
    return plain(names[0]) if len(names) == 1 else f"{len(names)} runs"


def status(shown: int, runs: Sequence[Facts], unread: int, *, filtered: bool, order: Order) -> str:
    """What stands in the title: how many, and how they are sorted."""
    live = sum(facts.status is not None and facts.status.live for facts in runs)
    total = len(runs)
    parts = [f"{shown} of {total}" if filtered else f"{total} run{'' if total == 1 else 's'}, {live} live"]
    if order != Order():
        parts.append(f"by {order.key}, {'largest' if order.descending else 'smallest'} first")
    if unread:
        parts.append(f"{total - unread:,} read")
    return " · ".join(parts)


def about(facts: Facts) -> str:
    """The run under the cursor: its note, what happened, what to do."""
    if facts.status is None:
        return ""
    note = f"“{facts.notes.note}”  " if facts.notes.note else ""
    hint = f"  {facts.status.hint}" if facts.status.hint and facts.status.over else ""
    return plain(" ".join(f"{note}{facts.status.text}{hint}".split()))


def command(facts: Facts | None, filter_text: str, order: Order) -> str:
    """The same as a command: the list as it is filtered and sorted, else the run under the cursor."""
    words = ["ftui", "runs"]
    if filter_text.strip():
        words += ["--filter", shlex.quote(filter_text.strip())]
    if order != Order():
        words += ["--sort", order.key, *(["--reverse"] if order.reversed else [])]
    return " ".join(words) if len(words) > 2 or facts is None else f"ftui watch {facts.run.id}"


def question(runs: Sequence[Facts], size: int) -> tuple[str, str]:
    """What is asked before a deletion, and what stands below."""
    results = any(facts.run.output.exists() for facts in runs)
    ending = "" if not results else " with its result" if len(runs) == 1 else " with their results"
    names = "\n".join(facts.run.id for facts in runs)
    undo = UNDO.format(it="it" if len(runs) == 1 else "them")
    return f"Remove {_named(runs)}{ending}?", f"{names}\n{gib(size)} on the disk.  {undo}"


def deleted(asides: Sequence[Aside]) -> str:
    """The line that stands as long as a deletion can be undone: the last one, and how many there were before it."""
    if not asides:
        return ""
    last = asides[0]
    names = list(last.named) or [run.id for run in last.runs]
    it = "it" if len(names) == 1 else "them"
    more = f"  ({len(asides) - 1} more before)" if len(asides) > 1 else ""
    if last.mine:
        return f"Deleted {several(names)}, {gib(last.size)}: {UNDO.format(it=it)}{more}"
    until = time.strftime("%b %d", time.localtime(last.until))
    return f"An app that was cut off had deleted {several(names)}: u brings {it} back, until {until}.{more}"


def _named(runs: Sequence[Facts]) -> str:
    return f"the run {plain(runs[0].run.info.name)}" if len(runs) == 1 else f"{len(runs)} runs"
