"""Charts as pictures: the same file each time, nothing of a name that acts, extremes kept, no file overwritten."""

from __future__ import annotations

import json
import math
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.cli.main import main
from ftui.runs.charting import chart, panels, title
from ftui.runs.charting_apart import chart_apart
from ftui.runs.folder import Run, create
from ftui.runs.thinning import gap_places, thinned
from ftui.runs.writer import RunWriter


def trained(name: str, losses: list[float], **more: float) -> Run:
    run = create("train", name, command="x")
    with RunWriter(run.path) as writer:
        for step, loss in enumerate(losses, 1):
            writer.emit("metric", step, loss=loss, learning_rate=1e-3 / step, rss_bytes=1 << 30, **more)
            if step % 4 == 0:
                writer.emit("evaluation", step, eval_loss=loss + 0.1, best=step == 8)
    return run


FALLING = [2 - step / 10 for step in range(12)]


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    with pytest.raises(SystemExit) as left:
        main(["runs", "chart", *words])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), json.loads(out) if out.startswith("{") else out, err


def words_in(svg: Path) -> list[str]:
    """What is written in the picture: letters are paths, and each text stands before its own as a comment."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    return [str(node.text).strip() for node in ElementTree.parse(svg, parser).iter() if node.tag is ElementTree.Comment]


def test_one_run_is_drawn_with_its_evaluations_and_the_best_of_them(own_home: Path, tmp_path: Path) -> None:
    run = trained("support", FALLING)
    chart([run], [tmp_path / "loss.svg", tmp_path / "loss.png"])
    words = words_in(tmp_path / "loss.svg")
    assert {"support", "loss", "step", "evaluation", "best: 1.4 at step 8"} <= set(words)
    head = (tmp_path / "loss.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:]) == (1300, 680)


def test_several_runs_have_a_legend_with_their_names_and_a_panel_for_each_curve(own_home: Path, tmp_path: Path) -> None:
    runs = [trained("a", FALLING, tokens=50.0), trained("b", FALLING[:6], tokens=70.0), trained("a", FALLING)]
    file = tmp_path / "x.svg"
    drawn = chart(runs, [file], curves=["loss", "eval_loss", "rss_bytes"], axis="time", log=True)
    assert drawn.notes == ()
    words = words_in(file)
    names = {f"A a {runs[0].id[-4:]}", "B b", f"C a {runs[2].id[-4:]}"}
    assert names | {"evaluation", "best evaluation"} <= set(words)
    assert {"loss", "rss (GiB)", "time trained (s)", "3 runs: loss, rss"} <= set(words)


def test_the_same_runs_give_the_same_bytes(own_home: Path, tmp_path: Path) -> None:
    runs = [trained("a", FALLING), trained("b", FALLING[::-1])]
    for name in ("one", "two"):
        chart(runs, [tmp_path / f"{name}.svg", tmp_path / f"{name}.png"])
    for ending in ("svg", "png"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()


def test_a_name_is_text_and_nothing_else(own_home: Path, tmp_path: Path) -> None:
    names = ["_hidden", "$\\frac{1}{0}$ <script>alert(1)</script> --> \x1b[31m & 模型"]
    runs = [trained(name, FALLING) for name in names]
    for number, run in enumerate(runs):
        chart([run], [tmp_path / f"{number}.svg"])
    chart(runs, [tmp_path / "both.svg"])
    assert "A _hidden" in words_in(tmp_path / "both.svg")
    for file in tmp_path.glob("*.svg"):
        assert not any("script" in str(node.tag) for node in ElementTree.parse(file).iter())
        assert "\x1b" not in file.read_text()


def test_a_run_without_the_curve_is_told_and_the_others_are_drawn(
    own_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, empty = trained("a", FALLING, tokens=5.0), create("evaluate", "judge", command="x")
    file = tmp_path / "x.png"
    code, said, _ = asked(capsys, run.id, empty.id, "--by", "tokens", "--out", str(file), "--json")
    assert (code, said) == (0, {"files": [str(file)], "notes": ["B judge has no loss, eval_loss."]})
    assert file.stat().st_size > 10_000


def test_gaps_and_a_resume_are_drawn(own_home: Path, tmp_path: Path) -> None:
    run = trained("a", [*FALLING[:6], math.nan, math.nan, *FALLING[8:]])
    with RunWriter(run.path) as writer:
        writer.emit("metric", 9, loss=0.7)
    chart([run], [tmp_path / "x.svg"], weight=0.6)
    assert {"not a number", "smoothed 0.6", "each step"} <= set(words_in(tmp_path / "x.svg"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{run}", "--out", "{folder}/x.gif"], "no picture is drawn as .gif"),
        (["{run}", "--out", "{folder}/there.svg"], "there.svg exists"),
        (["{run}", "--out", "{folder}/x.svg", "--curves", "moon"], "hasn't measured moon"),
        (["{run}", "--out", "{folder}/x.svg", "--by", "moon"], "--by moon"),
        (["{run}", "--out", "{folder}/x.svg", "--by", "tokens"], "no tokens were counted"),
        (["{run}", "--out", "{folder}/x.svg", "--smooth", "1"], "--smooth 1"),
        (["{run}", "--out", "{folder}/x.svg", "--smooth", "very"], "--smooth very"),
        (["{run}", "{run}", "--out", "{folder}/x.svg"], "is named twice"),
        (["{empty}", "--out", "{folder}/x.svg"], "hasn't measured loss"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(
    own_home: Path, tmp_path: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "there.svg").write_text("mine")
    made = {"run": trained("a", FALLING).id, "empty": create("merge", "m", command="x").id, "folder": folder}
    code, _, err = asked(capsys, *(word.format(**made) for word in words))
    assert code == 2
    assert says in err
    assert [file.name for file in folder.iterdir()] == ["there.svg"]
    assert (folder / "there.svg").read_text() == "mine"


def test_the_app_has_it_drawn_by_a_child_under_names_that_nothing_has(own_home: Path, tmp_path: Path) -> None:
    run = trained("a", FALLING)
    for ending in ("", "-2"):
        files = chart_apart([run.id], tmp_path, curves=["loss"], axis="step", log=False, weight=0.0)
        assert [file.name for file in files] == [f"{run.id}-loss{ending}.{form}" for form in ("svg", "png")]
        assert all(file.stat().st_size for file in files)


def test_curves_have_titles_with_units_and_an_evaluation_stands_with_what_it_evaluates() -> None:
    assert title("gpu_reserved_bytes")[0] == "GPU reserved (GiB)"
    assert title("eval_loss")[0] == "evaluation loss"
    assert title("grad_norm")[0] == "gradient norm"
    assert panels(["loss", "eval_loss", "eval_reward"]) == [("loss", "eval_loss"), ("eval_reward",)]


@given(st.lists(st.one_of(st.just(math.nan), st.floats(-1e6, 1e6)), min_size=1, max_size=400), st.integers(1, 40))
def test_a_thinned_curve_keeps_its_ends_its_extremes_and_its_gaps(values: list[float], columns: int) -> None:
    xs = [float(place) for place in range(len(values))]
    kept_x, kept_y = thinned(xs, values, columns)
    finite, left = [v for v in values if not math.isnan(v)], [v for v in kept_y if not math.isnan(v)]
    assert kept_x == sorted(kept_x)
    assert bool(left) == bool(finite)
    if finite:
        assert (min(left), max(left), left[0], left[-1]) == (min(finite), max(finite), finite[0], finite[-1])
    assert any(map(math.isnan, kept_y)) == any(map(math.isnan, values)) == bool(gap_places(xs, values))


def test_a_spike_of_one_step_among_100_000_is_in_a_few_thousand_points() -> None:
    values = [1.0] * 100_000
    values[61_803] = 9.0
    _, kept = thinned([float(place) for place in range(len(values))], values)
    assert max(kept) == 9
    assert len(kept) < 4_000
