"""Learning one thing after another: what holds a training near to what its model could before."""

from __future__ import annotations

from ftui.documents import Document
from ftui.settings import setting


class Continual(Document):
    """What keeps a model from forgetting what it could before this training."""

    pull: float = setting(
        0.0, title="Pull to the start",
        help="A penalty of half this times the squared distance of what trains from where it began.",
        why="0.01 to 1 keep the model near its start, every weight alike; it needs no old rows.", ge=0, le=1e9,
        advanced=True,
    )
    ewc: float = setting(
        0.0, title="EWC",
        help="Elastic weight consolidation: the same pull, times each weight's importance to the old task.",
        why="1 counts the old rows like as many new ones; 1,000 and more where the old task must be kept.", term="EWC",
        ge=0, le=1e12,
    )
    remember: str | None = setting(
        None, title="Old rows",
        help="A file with rows of the old task, in the form of the new ones, on which the importance is measured.",
        why="Leave it empty where the adapter that is trained on was saved with its importance.",
    )
    fisher_rows: int = setting(
        256, title="Rows for the importance", help="On so many rows at most the importance is measured.",
        why="A hundred give its order of magnitude; each takes a forward and a backward pass.", unit="rows",
        advanced=True, ge=1, le=1_000_000,
    )
    save_importance: bool = setting(
        False, title="Save the importance",
        help="Measures after the training what was important for it, and keeps that beside the result.",
        why="Set it where a later training starts from this adapter and is to keep this task, too.",
    )
