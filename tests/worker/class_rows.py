"""Texts that a small model learns to sort within seconds: what they are about is a word in them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORDS = {"billing": ("invoice", "price", "refund"), "login": ("password", "account", "code"),
         "delivery": ("parcel", "courier", "street")}  # fmt: skip
AROUND = ("please help", "this is the third time", "thank you", "since yesterday", "good morning")


def tickets(folder: Path, count: int = 120, *, rare: str | None = None, name: str = "tickets") -> list[dict[str, Any]]:
    """data.sources with a file of texts with one label each; the label `rare` has a row in nine."""
    rows, chooser = [], random.Random(4)
    for number in range(count):
        label = list(WORDS)[number % len(WORDS)]
        if label == rare and number % 9 > 2:
            label = next(other for other in WORDS if other != rare)
        rows.append({"text": _text(chooser, [label]), "label": label})
    return _written(folder / f"{name}.jsonl", rows)


def topics(folder: Path, count: int = 120) -> list[dict[str, Any]]:
    """data.sources with a file of texts with one or two labels each."""
    rows, chooser = [], random.Random(5)
    for _ in range(count):
        labels = chooser.sample(list(WORDS), chooser.choice((1, 2)))
        rows.append({"text": _text(chooser, labels), "labels": labels})
    return _written(folder / "topics.jsonl", rows)


def _text(chooser: random.Random, labels: Sequence[str]) -> str:
    parts = [chooser.choice(AROUND), *(chooser.choice(WORDS[label]) for label in labels), chooser.choice(AROUND)]
    return f"{', '.join(parts)} ({chooser.randrange(1000)})"


def _written(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [{"path": str(path), "format": "classification"}]
