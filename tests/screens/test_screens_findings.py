"""The check-up in the wizard: findings with their lines, repairs by one key, and a plan that follows them."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from screens_help import rows, text, until, wizard
from textual.pilot import Pilot

from ftui import recipe
from ftui.screens.app import FtuiApp
from ftui.screens.memory import remember
from ftui.screens.wizard.checkup_words import look_of
from ftui.screens.wizard.wizard import WizardScreen

SIZES = [(80, 24), (120, 40)]


def talk(question: str, answer: str) -> dict[str, str]:
    return {"prompt": question, "completion": answer}


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """120 rows of which 7 are copies, 3 refuse, 2 hold mail addresses, and a line that is broken."""
    sound = [talk(f"What is {n} and {n}?", f"It is {2 * n}, as {n} is counted twice.") for n in range(108)]
    refusing = [talk(f"Help me with {n}", "As an AI language model, I cannot do that.") for n in range(3)]
    personal = [talk(f"Where does {name} live?", f"Write to {name}@posteo.de") for name in ("ann", "bob")]
    lines = [json.dumps(row) for row in [*sound, *refusing, *personal, *sound[:7]]]
    path = tmp_path / "faulty.jsonl"
    path.write_text("\n".join([*lines, "{broken"]))
    return path


async def at_data(pilot: Pilot[int], *sources: str, **settings: object) -> WizardScreen:
    """The wizard of an unfinished run, at its Data step."""
    draft = recipe.parse(
        json.dumps({"model": {"base": "demo"}, "data": {"sources": [{"path": each} for each in sources], **settings}}),
        "test",
    )  # fmt: skip
    kept = {"step": "data", "furthest": 2, "preset": None, "option": None,
            "draft": recipe.write(draft, only=recipe.asked(draft))}  # fmt: skip
    remember("wizard.json", kept)
    await pilot.app.push_screen(WizardScreen(resume=True))
    await until(pilot, lambda: wizard(pilot).state.step == "data")
    return wizard(pilot)


async def finished(pilot: Pilot[int]) -> None:
    """Wait until the check-up is through, and the rows are counted."""
    await until(pilot, lambda: (look := look_of(wizard(pilot).state)) and look.state == "finished", 60)
    await until(pilot, lambda: wizard(pilot).state.layout and not wizard(pilot).state.busy, 60)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_a_repair_is_taken_by_one_key_and_given_back_by_the_same(size: tuple[int, int], faulty: Path) -> None:
    app = FtuiApp()
    async with app.run_test(size=size) as pilot:
        screen = await at_data(pilot, str(faulty))
        await finished(pilot)
        assert "check-up  3 warnings" in text(app)
        await pilot.press("c")
        await until(pilot, lambda: "7 rows that copy earlier ones exactly." in text(app))
        assert "1 row can't be read." in text(app)
        assert "line 121" in text(app), "the first finding says where"
        assert all(len(row) <= size[0] for row in rows(app))
        before = screen.state.layout
        assert before is not None
        await pilot.press("down", "enter")
        await until(pilot, lambda: screen.state.draft.data.prepare == ({"drop_duplicates": None},))
        await finished(pilot)
        assert "[x] drop_duplicates" in text(app)
        assert "113 rows left after 1 repair (7 duplicate)" in text(app)
        assert "--repair duplicates" in screen.query_one("CommandLine").command  # type: ignore[attr-defined]
        after = screen.state.layout
        assert after is not None
        assert (before.profile.rows, after.profile.rows) == (120, 113)
        assert after.recipe.data.prepare == ({"drop_duplicates": None},)
        assert after.estimate.time.steps < before.estimate.time.steps
        await pilot.press("enter")
        await until(pilot, lambda: screen.state.draft.data.prepare == ())
        await finished(pilot)
        assert screen.state.profile is not None
        assert screen.state.profile.rows == 120
        await pilot.press("escape")
        await until(pilot, lambda: "120 rows of conversation" in text(app))
        assert screen.state.step == "data"


async def test_all_warnings_are_repaired_at_once_beside_what_the_recipe_had(faulty: Path) -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        screen = await at_data(pilot, str(faulty), prepare=[{"sample": 100}])
        await finished(pilot)
        await pilot.press("c", "a")
        await until(pilot, lambda: len(screen.state.draft.data.prepare) == 3)
        assert screen.state.draft.data.prepare == ({"drop_duplicates": None}, {"drop_refusals": None}, {"sample": 100})
        await finished(pilot)
        assert "Also in the recipe" in text(app)
        await pilot.press("end", "enter")
        await until(pilot, lambda: len(screen.state.draft.data.prepare) == 2)
        await pilot.press("a")
        await until(pilot, lambda: screen.state.draft.data.prepare == ())


@pytest.mark.slow
async def test_the_deep_passes_and_a_test_file_are_asked_for_by_a_key(faulty: Path, tmp_path: Path) -> None:
    app = FtuiApp()
    held = tmp_path / "test.jsonl"
    held.write_text(json.dumps(talk("What is 5 and 5?", "It is 10, as 5 is counted twice.")))
    async with app.run_test(size=(120, 40)) as pilot:
        await at_data(pilot, str(faulty))
        await finished(pilot)
        await pilot.press("c")
        assert "mail address" not in text(app)
        await pilot.press("d")
        await until(pilot, lambda: "2 rows with personal data" in text(app), 60)
        await finished(pilot)
        await pilot.press("b")
        await until(pilot, lambda: "Compare with which test file?" in text(app))
        await pilot.press(*str(held), "enter")
        await until(pilot, lambda: "leaks" in text(app), 60)
        await finished(pilot)
        look = look_of(wizard(pilot).state)
        assert look is not None
        assert {"leaks", "personal-data", "duplicates"} <= {finding.name for finding in look.findings}


async def test_the_review_names_the_repairs_in_a_command_that_makes_the_same_run(faulty: Path) -> None:
    app = FtuiApp()
    async with app.run_test(size=(160, 50)) as pilot:
        screen = await at_data(pilot, str(faulty), prepare=[{"sample": 100}, {"drop_duplicates": None}])
        await finished(pilot)
        await screen.go("review")
        await until(pilot, lambda: 'data.prepare [{"sample": 100}, {"drop_duplicates": null}]' in text(app))
        words = shlex.split(screen._step.command())  # type: ignore[union-attr]
        setting = next(word for word in words if word.startswith("data.prepare="))
        made = recipe.assign(recipe.Recipe(), {"data.prepare": setting.removeprefix("data.prepare=")})
        assert made.data.prepare == screen.state.draft.data.prepare
        assert "the check-up found bad-rows, refusals." in text(app), "what no repair was taken for"


@pytest.fixture
def slow_loader(tmp_path: Path) -> str:
    """500 rows at once, with copies, and one every few milliseconds for ever."""
    (tmp_path / "slow.py").write_text(
        "import itertools, time\n"
        "def load():\n"
        "    for n in itertools.count():\n"
        "        yield {'prompt': f'question {n % 200}', 'completion': 'answer'}\n"
        "        time.sleep(0.005 if n > 500 else 0)\n"
    )
    return f"{tmp_path / 'slow.py'}:load"


async def test_the_first_findings_and_rows_stand_while_the_rest_is_read_and_a_key_stops_it(slow_loader: str) -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        screen = await at_data(pilot, slow_loader)
        await until(pilot, lambda: "question 0" in text(app), 60)
        await pilot.press("c")
        await until(pilot, lambda: "that copy earlier ones exactly" in text(app), 60)
        look = look_of(screen.state)
        assert look is not None
        assert look.running
        await pilot.press("x")
        await until(pilot, lambda: "r looks once more" in text(app))
        assert "that copy earlier ones exactly" in text(app)
        started = time.monotonic()
        await pilot.press("ctrl+l")
        await until(pilot, lambda: not isinstance(app.screen, WizardScreen))
        assert time.monotonic() - started < 10


async def test_a_check_up_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    app = FtuiApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await at_data(pilot, str(tmp_path / "bad.jsonl"))
        await finished(pilot)
        await pilot.press("c", "b")
        await until(pilot, lambda: "Compare with which test file?" in text(app))
        await pilot.press(*"absent.jsonl", "enter")
        await until(pilot, lambda: "could not be finished" in text(app), 60)
        assert "absent.jsonl" in text(app)


@pytest.fixture
def entries() -> Callable[..., tuple[dict[str, object], ...]]:
    return lambda *names: tuple({name: None} for name in names)


def test_a_repair_goes_where_it_makes_sense(entries: Callable[..., tuple[dict[str, object], ...]]) -> None:
    from ftui.data.choosing import added, holds, removed

    now = added((), {"sample": 10}, {"drop_duplicates": None}, {"mend_mojibake": None}, {"drop_duplicates": {}})
    assert [next(iter(entry)) for entry in now] == ["mend_mojibake", "drop_duplicates", "sample"]
    mine = ({"sample": 10}, {"drop_duplicates": None})
    assert [next(iter(entry)) for entry in added(mine, {"strip_html": None})] == [
        "strip_html", "sample", "drop_duplicates",
    ]  # fmt: skip
    assert holds(now, {"sample": {"rows": 10}})
    assert removed(now, {"sample": {"rows": 10}}) == entries("mend_mojibake", "drop_duplicates")
