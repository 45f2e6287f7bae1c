"""A run's numbers as tables: the same in every format, a repeated step once, gaps where nothing finite was measured."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from ftui.cli.main import main
from ftui.runs.folder import Run, create
from ftui.runs.writer import RunWriter


@pytest.fixture
def run(own_home: Path) -> Run:
    """Two attempts, of which the second made steps 2 and 3 again."""
    made = create("train", "t", command="ftui launch t")
    for losses in ({1: 3.0, 2: 2.5, 3: 9.0}, {2: 2.0, 3: math.nan}):
        with RunWriter(made.path) as writer:
            for step, loss in losses.items():
                writer.emit("metric", step, loss=loss, values={"rewards/margins": 0.5})
            writer.emit("evaluation", 3, eval_loss=1.5)
    return made


def exported(run: Run, path: Path) -> None:
    with pytest.raises(SystemExit) as left:
        main(["runs", "export", run.id, str(path)])
    assert left.value.code == 0


def test_every_format_holds_the_same_rows(run: Run, tmp_path: Path) -> None:
    for name in ("t.csv", "t.json", "t.jsonl", "t.parquet"):
        exported(run, tmp_path / name)
    rows = json.loads((tmp_path / "t.json").read_text())
    told = [(row["step"], row["loss"], row["eval_loss"]) for row in rows]
    assert told == [(1, 3.0, None), (2, 2.0, None), (3, None, 1.5)]
    assert rows == [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    from pyarrow import parquet

    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == rows
    with open(tmp_path / "t.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["rewards/margins"] for row in table] == ["0.5"] * 3
    assert table[2]["loss"] == ""


@pytest.mark.parametrize(("name", "says"), [("t.xlsx", "no table is written as .xlsx"), ("there.csv", "exists")])
def test_what_cannot_be_written_is_said_and_nothing_is_overwritten(
    run: Run, tmp_path: Path, name: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(SystemExit) as left:
        main(["runs", "export", run.id, str(tmp_path / name)])
    assert left.value.code == 2
    assert says in capsys.readouterr().err
    assert (tmp_path / "there.csv").read_text() == "mine"
