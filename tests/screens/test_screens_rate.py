"""Rating answers by keys: blind, undone by one, left and gone on with, at both sizes, from the app and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from screens_help import rows, text, until
from typer.testing import CliRunner

from ftui.data.rating import Rating, journal_of, open_rating, read_ratings
from ftui.screens.app import FtuiApp
from ftui.screens.rate import RateScreen

SIZES = [(80, 24), (120, 40)]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Six questions, each with a good and a bad answer, the good one first."""
    path = tmp_path / "answers.jsonl"
    lines = [json.dumps({"prompt": f"Question {n}?", "answers": [f"good {n} " * 60, f"bad {n}"]}) for n in range(6)]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def rating(answers: Path, tmp_path: Path) -> Callable[[], Rating]:
    return lambda: open_rating(str(answers), pairs=tmp_path / "pairs.jsonl", rater="ann", seed=2)


def better(rating: Rating) -> str:
    assert rating.shown is not None
    return "1" if rating.shown[0].startswith("good") else "2"


@pytest.mark.parametrize("size", SIZES)
async def test_answers_are_rated_by_keys_undone_and_gone_on_with(
    size: tuple[int, int], rating: Callable[[], Rating], tmp_path: Path
) -> None:
    at_work = rating()
    app = FtuiApp(rating=at_work)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "Question 0?" in text(app))
        assert all(len(row) <= size[0] for row in rows(app))
        assert "good 0" in text(app)
        assert "bad 0" in text(app)
        await pilot.press(better(at_work))
        await until(pilot, lambda: "1 of 6 rated   (1 pairs, 0 ties, 0 skipped)" in text(app))
        await pilot.press("t", "s")
        await until(pilot, lambda: "Question 3?" in text(app))
        assert "Last: skipped." in text(app)
        await pilot.press("u")
        await until(pilot, lambda: "Taken back: skipped." in text(app))
        assert "Question 2?" in text(app)
        await pilot.press("down", "down", "pagedown", "j", "k", "escape")
        await until(pilot, lambda: not app.is_running)
    again = rating()
    app = FtuiApp(rating=again)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "Question 2?" in text(app))
        for _ in range(4):
            await pilot.press(better(again))
            await pilot.pause()
        await until(pilot, lambda: "Every pair is rated" in text(app))
        await pilot.press("1", "2", "t")
        assert "6 of 6 rated   (5 pairs, 1 ties, 0 skipped)" in text(app)
    pairs = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert [pair["chosen"][0]["content"][:6] for pair in pairs] == ["good 0", "good 2", "good 3", "good 4", "good 5"]


async def test_the_home_screen_asks_for_a_file_to_rate(answers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(answers.parent)
    app = FtuiApp()
    async with app.run_test() as pilot:
        await until(pilot, lambda: "Rate answers" in text(app))
        await pilot.press("a")
        await until(pilot, lambda: "Rate the answers of which file?" in text(app))
        await pilot.press(*"gone.jsonl", "enter")
        await until(pilot, lambda: "There is no file gone.jsonl" in text(app))
        await pilot.press("ctrl+a", "ctrl+k", *"answers.jsonl", "enter")
        await until(pilot, lambda: "Question 0?" in text(app))
        await pilot.press("1", "escape")
        await until(pilot, lambda: not isinstance(app.screen, RateScreen))
        assert app.is_running
    (journal,) = answers.parent.glob("answers-*.ratings.jsonl")
    assert len(read_ratings(journal).verdicts) == 1


def test_rating_without_a_terminal_is_refused_in_a_sentence(answers: Path) -> None:
    from ftui.cli.data import app

    done = CliRunner().invoke(app, ["rate", str(answers)])
    assert done.exit_code != 0
    assert "this is none" in str(done.exception)


def test_the_command_says_how_far_two_raters_agree(answers: Path, tmp_path: Path) -> None:
    from ftui.cli.data import app

    for rater, choices in (("ann", "tt1212"), ("bob", "t11212")):
        with open_rating(str(answers), pairs=tmp_path / f"{rater}.jsonl", rater=rater, seed=2) as rating:
            for choice in choices:
                rating.choose("tie" if choice == "t" else choice)  # type: ignore[arg-type]
    files = [str(journal_of(tmp_path / f"{rater}.jsonl")) for rater in ("ann", "bob")]
    done = CliRunner().invoke(app, ["agree", *files])
    assert done.exit_code == 0, done.output
    assert "ann and bob rated 6 in common and agree on 5 of them (83%)." in done.output
    assert "Cohen's kappa: 0.7" in done.output
    assert json.loads(CliRunner().invoke(app, ["agree", *files, "--json"]).output)["items"] == 6
