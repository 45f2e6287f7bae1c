"""The columns of the table of runs: their widths, which go where the room is short, what stands in them.  Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from ftui.runs.choosing import Order
from ftui.runs.facts import Facts
from ftui.units import clock, plain

from ..monitor_axes import short
from ..monitor_words import state

WIDTHS = {
    "mark": 2, "state": 13, "name": 0, "model": 14, "method": 12, "step": 17, "loss": 8, "eval": 8, "best": 8,
    "speed": 8, "took": 9, "tag": 13, "age": 8,
}  # fmt: skip
"""Cells of each column by what it is sorted by; the name takes what is left."""
TITLES = {"mark": "", "speed": "tok/s", "tag": "tags", "done": "done"}
"""Of the columns whose title isn't their key."""
DROPPED = ("eval", "speed", "took", "method", "model", "step", "tag", "best")
"""What goes first where the room is short; in place of the steps the share that is done stays."""
DONE = 7
LEAST_NAME = 18
MARK = "●"


def columns(width: int, order: Order, *, tags: bool) -> dict[str, int]:
    """The columns that `width` cells have room for, with the cells of each; that of the order is among them."""
    widths = {name: cells for name, cells in WIDTHS.items() if name != "tag" or tags}
    for name in DROPPED:
        if width - sum(widths.values()) >= LEAST_NAME:
            break
        if name == "step":
            widths = {("done" if each == name else each): DONE if each == name else widths[each] for each in widths}
        elif name != order.key:
            widths.pop(name, None)
    widths["name"] = max(width - sum(widths.values()), 8)
    return widths


def title(name: str, order: Order) -> str:
    """A column's head; an arrow says that it is sorted by, and whether it rises."""
    head = TITLES.get(name, name)
    if order.key != ("step" if name == "done" else name):
        return head
    # Of the age the smallest stands first, which is the newest.
    return f"{head} {'↓' if order.descending else '↑'}"


def cells(facts: Facts) -> dict[str, str]:
    """What stands in the columns for one run."""
    info, status = facts.run.info, facts.status
    told = dict.fromkeys(WIDTHS, "") | {
        "state": "…", "name": plain(info.name) or info.id, "age": _age(time.time() - info.created), "done": "",
        "method": facts.method or info.kind, "tag": plain(" ".join(facts.notes.tags)),
        "model": plain((facts.model or "").rstrip("/").rsplit("/", 1)[-1]),
    }
    if status is None:
        return told
    told["state"] = state(status)
    if status.step is not None:
        share = f"{min(status.step / status.total, 1):.0%}" if status.total else ""
        told["step"] = f"{status.step:,} / {status.total:,} {share:>4}" if status.total else f"{status.step:,}"
        told["done"] = share or f"{status.step:,}"
    elif status.live and status.done is not None:
        told["step"] = told["done"] = f"{status.done:.0%}"
    for name, value in (
        ("loss", facts.measured("loss")), ("eval", facts.measured("eval_loss")), ("best", facts.best),
        ("speed", facts.measured("tokens_per_second")),
    ):
        told[name] = "" if value is None else short(value)
    took = time.time() - info.created if status.live else facts.took
    told["took"] = "" if took is None or took < 0 else clock(took)
    return told


def cell(text: str, width: int) -> str:
    """`text` in exactly `width` cells, with at least one space after it."""
    return set_cell_size(text if cell_len(text) < width else text[: max(width - 2, 0)] + "…", width)


def has_tags(runs: Sequence[Facts]) -> bool:
    """Whether the column of tags would hold anything."""
    return any(facts.notes.tags for facts in runs)


def _age(seconds: float) -> str:
    """Such as "12 min", "3:07 h", "9 d"."""
    seconds = max(seconds, 0.0)
    return clock(seconds) if seconds < 86400 else f"{seconds / 86400:,.0f} d"
