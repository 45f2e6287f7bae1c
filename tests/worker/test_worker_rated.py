"""Pairs that a person made with `ftui data rate` are trained on as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data.rating import open_rating
from ftui.recipe import parse
from ftui.runs.launch import lay_out
from ftui.runs.obstacles import obstacles

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]


def test_rated_answers_launch_and_train_dpo_as_they_are(
    train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    rows = [{"prompt": f"Where is {n}?", "answers": [f"It is here, {n}.", f"Arr, {n}!"]} for n in range(24)]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with open_rating(str(tmp_path / "answers.jsonl"), pairs=tmp_path / "pairs.jsonl", rater="ann") as rating:
        while shown := rating.shown:
            rating.choose("tie" if "3" in shown[0] else "1" if shown[0].startswith("Arr") else "2")
    sources = [{"path": str(tmp_path / "pairs.jsonl")}]
    asked = {"model": {"base": "demo"}, "objective": {"kind": "dpo"}, "data": {"sources": sources},
             "train": {"max_steps": 3}}  # fmt: skip
    layout = lay_out(parse(json.dumps(asked), "test"))
    assert (layout.profile.kind, layout.profile.rows, layout.profile.bad_rows) == ("preference", 21, 0)
    assert list(obstacles(layout)) == []
    ran = train(objective__kind="dpo", data__sources=sources, data__validation=0, train__max_steps=3,
                train__eval_steps=3)  # fmt: skip
    assert ran.end["status"] == "finished", ran.end
    assert sorted(ran.losses) == [1, 2, 3]
