"""Settings that many adapters share, each declared once: what is adapted, how wide, with how much dropout."""

from __future__ import annotations

from typing import Any

from ftui.documents import Document
from ftui.settings import setting


def kind(value: str, help: str, term: str) -> Any:
    """The field that tells an adapter's options from the others' in a recipe."""
    return setting(
        value, title="Adapter", help=help, why="'lora' is the default, which most else is measured by.", term=term
    )


def rank(default: int, help: str = "The inner width of the adapter's matrices: how much it can learn.") -> Any:
    """A rank with the library's own default."""
    return setting(
        default, title="Rank", help=help, why="Raise it for complex tasks with many rows, lower it for a small card.",
        term="rank", ge=1, le=4096,
    )


def whole(default: int, title: str, help: str, why: str, *, least: int = 1, most: int = 1 << 24) -> Any:
    """A count or width in whole numbers."""
    return setting(default, title=title, help=help, why=why, ge=least, le=most)


def switch(default: bool, title: str, help: str, why: str) -> Any:
    """Something that is on or off, for those who know what they want."""
    return setting(default, title=title, help=help, why=why, advanced=True)


def tasks() -> Any:
    """How many tasks an adapter tells apart."""
    return setting(
        1, title="Tasks", help="How many tasks the adapter tells apart: as many as data.sources name with task.",
        why="Each has a mixture of its own; rows that name no task are all of one.", ge=1, le=10_000,
    )


def start_from() -> Any:
    """The finished adapter that a training goes on with."""
    return setting(
        None, title="Start from", help="A finished adapter to train on: a run, or the folder of its result.",
        why="To go on with other rows or another objective: what the adapter has learnt is where it begins.",
        advanced=True,
    )


class AdapterOptions(Document):
    """What every adapter's options begin with."""

    kind: str
    start_from: str | None = start_from()


class Targeted(AdapterOptions):
    """Options of an adapter that is put on chosen linear modules."""

    targets: str | tuple[str, ...] = setting(
        "all-linear",
        title="Targets",
        help="The modules that get an adapter: 'all-linear', or names such as q_proj, v_proj.",
        why="Attention only (q_proj, v_proj) saves memory and costs some quality.",
        term="target modules",
    )
