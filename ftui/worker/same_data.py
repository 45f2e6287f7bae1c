"""Whether a resumed run trains on what it trained on before: other rows, or another order, are another training."""

from __future__ import annotations

import hashlib
from typing import Any

from ftui.data import Prepared
from ftui.errors import BadInput
from ftui.worker.checkpoints import Checkpoint


def mark(prepared: Prepared) -> dict[str, Any]:
    """What a checkpoint remembers of the data: how many rows, and a digest of their tokens and their order."""
    digest = hashlib.sha256((prepared.train.digest() + prepared.validation.digest()).encode()).hexdigest()
    return {"rows": prepared.train_rows, "held_out": prepared.validation_rows, "digest": digest}


def check(checkpoint: Checkpoint, now: dict[str, Any]) -> None:
    """Raises BadInput where the data has changed since `checkpoint`, one that remembers it."""
    then = checkpoint.memory().get("data")
    if then is None or then["digest"] == now["digest"]:
        return
    rows = (then["rows"], then["held_out"]), (now["rows"], now["held_out"])
    how = "the rows are others" if rows[0] == rows[1] else (
        f"{rows[0][0]:,} rows to train on and {rows[0][1]:,} held out then, {rows[1][0]:,} and {rows[1][1]:,} now"
    )
    raise BadInput(
        f"The data has changed since {checkpoint.path.name}: {how}.",
        "Put it back as it was and resume. To train on with other data, launch a new run "
        "(adapter.start_from takes a finished adapter).",
    )
