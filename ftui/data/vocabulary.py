"""Whether two models share their tokens: what a teacher says of a token means nothing to a student that has another
there."""

from __future__ import annotations

from pathlib import Path

from ftui.data.tokenizer import load_tokenizer
from ftui.errors import BadInput


def require_same_vocabulary(student: Path, teacher: Path) -> None:
    """Raises BadInput in one sentence where the models in these folders number their tokens differently."""
    files = student / "tokenizer.json", teacher / "tokenizer.json"
    if all(file.is_file() for file in files) and files[0].read_bytes() == files[1].read_bytes():
        return
    ours, theirs = (load_tokenizer(folder).backend.get_vocab(with_added_tokens=True) for folder in (student, teacher))
    if ours == theirs:
        return
    other = next((token for token, number in ours.items() if theirs.get(token) != number), None)
    example = f", and {other!r} is not the same token in both" if other is not None else ""
    raise BadInput(
        f"The teacher has another vocabulary than the student: {len(theirs):,} tokens, not {len(ours):,}{example}.",
        "Choose objective.teacher from the student's family, or write objective: {kind: sft} for its answers.",
    )
