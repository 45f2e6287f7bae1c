"""`ftui data prepare` makes the rows that a run finds, and `ftui data cache` says what room they take."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.cli.main import main
from ftui.data import prepare, prepared_cache
from ftui.models import demo
from ftui.runs.command import ask
from ftui.runs.launch import lay_out

Said = Callable[..., str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(["data", *words])
        assert not left.value.code
        return capsys.readouterr().out

    return run


def test_rows_prepared_ahead_are_those_that_the_run_finds(said: Said, tmp_path: Path) -> None:
    demo.ensure_folder()
    path = tmp_path / "recipe.yaml"
    path.write_text("model: {base: demo}\ndata: {sources: [{path: demo}]}\ncompute: {gpus: 0}\n")
    made = json.loads(said("prepare", str(path), "--json"))
    assert not made["cached"]
    assert made["train_rows"] > 400
    assert made["data"][0]["ref"] == "demo"
    recipe = lay_out(ask(str(path)).recipe).recipe
    found = prepare(recipe, demo.folder(), seed=recipe.train.seed, when=time.time() + 5)
    assert found.cached, "as the worker asks for it: by the model's folder and the time at which the run was made"
    assert found.train_rows == made["train_rows"]
    assert said("prepare", str(path)).startswith("Found as they were prepared earlier: ")


def test_the_cache_is_listed_and_cleared(said: Said) -> None:
    demo.ensure_folder()
    assert said("cache").startswith("0 prepared datasets take 0 B")
    said("prepare", "--model", "demo", "--data", "demo", "--set", "compute.gpus=0")
    listed = json.loads(said("cache", "--json"))
    assert len(listed["entries"]) == 1
    assert 0 < listed["bytes"] < listed["limit"]
    assert listed["entries"][0]["name"].removesuffix(".rows") in said("cache")
    assert said("cache", "--clear").startswith("Removed ")
    assert prepared_cache.entries() == []
