"""`ftui data augment`: phrasings are filled in at once, a model is asked by a run, the rest is refused beforehand."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.data.given import Given
from ftui.data.loading import load
from ftui.runs.folder import Run, list_runs

Ftui = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(
        json.dumps({"instruction": f"Name animal number {n}.", "output": f"Animal {n}"}) + "\n" for n in range(12)
    ))  # fmt: skip
    return str(path)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs whose workers would have been started."""
    from ftui.runs import control

    found: list[Run] = []
    monkeypatch.setattr(control, "start", found.append)
    return found


def test_phrasings_make_rows_that_the_check_takes(ftui: Ftui, rows: str, tmp_path: Path) -> None:
    ways, out = tmp_path / "ways.txt", tmp_path / "more.jsonl"
    ways.write_text("Please {text}\nQuickly: {text}\n")
    given = ("data", "augment", rows, "--how", "template", "--phrasings", str(ways), "--rows", "20")
    code, said, err = ftui(*given, "--out", str(out), "--json")
    assert code == 0, err
    assert json.loads(said) == {"rows": 20, "left_out": 0, "output": str(out)}
    made = [json.loads(line) for line in out.read_text().splitlines()]
    assert all(row["messages"][0]["content"].startswith(("Please Name", "Quickly: Name")) for row in made)
    assert load(Given(str(out))).kind == "conversation"
    code, said, _ = ftui("data", "check", str(out), "--json")
    assert code == 0
    assert not [finding for finding in json.loads(said)["findings"] if finding["severity"] == "error"]
    again = tmp_path / "again.jsonl"
    assert ftui(*given, "--out", str(again))[0] == 0
    assert again.read_bytes() == out.read_bytes()


def test_a_run_holds_all_that_was_asked_and_the_line_that_makes_it_again(
    ftui: Ftui, rows: str, begun: list[Run], tmp_path: Path
) -> None:
    out = str(tmp_path / "a folder" / "more.jsonl")
    code, said, _ = ftui("data", "augment", rows, "--how", "self-instruct", "-m", "demo", "-o", out, "--rows", "5",
                         "--shown", "3", "--cpu", "--json")
    assert code == 0
    (run,) = begun
    assert json.loads(said)["run"] == run.id
    assert run.info.kind == "augment"
    args = run.info.args
    assert (args["how"], args["model"], args["rows"], args["shown"], args["gpus"]) == ("self-instruct", "demo", 5, 3, 0)
    assert (args["data"], args["out"]) == (rows, out)
    assert ftui(*shlex.split(run.info.command)[1:])[0] == 0
    assert begun[1].info.args == args


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--how", "paraphrase"), "none is named"),
        (("--how", "template", "-m", "demo"), "asks no model"),
        (("--how", "paraphrase", "-m", "demo", "--phrasings", "x.txt"), "is for --how template"),
        (("--how", "answers", "-m", "demo", "--temperature", "0"), "would be the same"),
        (("--how", "paraphrase", "-m", "demo", "--quantization", "int3"), "int3"),
        (("--how", "paraphrase", "-m", "unknown"), "no runs yet"),
    ],
)
def test_what_can_not_go_well_is_refused_before_anything_starts(
    ftui: Ftui, rows: str, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    code, out, err = ftui("data", "augment", rows, "-o", str(tmp_path / "new.jsonl"), *words)
    assert (code, out) == (2, "")
    assert why in err
    assert list_runs() == []


def test_nothing_that_is_there_is_written_over(ftui: Ftui, rows: str, tmp_path: Path) -> None:
    before = Path(rows).read_bytes()
    for how in (("template",), ("paraphrase", "-m", "demo")):
        code, _, err = ftui("data", "augment", rows, "-o", rows, "--how", *how)
        assert code == 2
        assert "is there already" in err
    assert ftui("data", "augment", rows, "-o", str(tmp_path), "--how", "template")[0] == 2
    assert Path(rows).read_bytes() == before


def test_rows_without_answers_have_nothing_to_phrase(ftui: Ftui, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("Once upon a time.\n")
    code, _, err = ftui("data", "augment", str(texts), "-o", str(tmp_path / "new.jsonl"), "--how", "template")
    assert code == 2
    assert "no row with a question and its answer" in err
