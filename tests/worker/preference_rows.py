"""Rows that a small model learns to prefer within seconds: one answer is friendly, the other knows nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

WORDS = ("red", "blue", "green", "seven", "the sun", "a tree")


def pairs(folder: Path, count: int = 40, **columns: Any) -> list[dict[str, str]]:
    """data.sources with a file of preferences; `columns` stand beside each."""
    rows = []
    for number in range(count):
        word = random.Random(number).choice(WORDS)
        rows.append({
            "prompt": f"What about {word} number {number}?", "chosen": f"Yes, {word} is good.",
            "rejected": f"No idea about {word} {number}.", **columns,
        })
    return _written(folder / "pairs.jsonl", rows)


def verdicts(folder: Path, count: int = 40) -> list[dict[str, str]]:
    """data.sources with a file of single answers, two of three of them good."""
    rows = []
    for number in range(count):
        word, good = random.Random(number).choice(WORDS), number % 3 > 0
        answer = f"Yes, {word} is good." if good else f"No idea about {word} {number}."
        rows.append({"prompt": f"What about {word} number {number}?", "completion": answer, "label": good})
    return _written(folder / "verdicts.jsonl", rows)


def _written(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [{"path": str(path)}]
