"""The wizard from end to end, on the keyboard alone, with the real engine on the embedded model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from screens_help import at, cpu_box, gpu_box, rows, set_value, small_profile, text, until, wizard
from textual.pilot import Pilot
from textual.widgets import Input

from ftui import paths
from ftui.errors import BadInput
from ftui.hardware.document import Hardware
from ftui.screens.app import FtuiApp
from ftui.screens.wizard.wizard import WizardScreen

SIZES = [(80, 24), (120, 40)]
ROWS = [{"instruction": f"Say {n}", "output": f"Here is {n}."} for n in range(60)]


@pytest.fixture
def alpaca(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([*map(json.dumps, ROWS), '{"instruction": broken']))
    return path


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Columns that no format has."""
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(json.dumps({"q": f"What is {n}?", "a": f"It is {n}."}) for n in range(40)))
    return path


@pytest.mark.parametrize("size", SIZES)
async def test_the_demo_goes_the_whole_way_on_the_keyboard(size: tuple[int, int], launches: list[Any]) -> None:
    app = FtuiApp(demo=True)
    async with app.run_test(size=size) as pilot:
        await at(pilot, "hardware")
        await until(pilot, lambda: wizard(pilot).state.layout)
        assert "CPU" in text(app)
        assert all(len(row) <= size[0] for row in rows(app))
        await pilot.press("enter")
        await at(pilot, "model")
        assert "LlamaForCausalLM" in text(app)
        await pilot.press("enter")
        await at(pilot, "data")
        await until(pilot, lambda: "trained›" in text(app))
        await pilot.press("enter")
        await at(pilot, "goal")
        await pilot.press("enter", "enter")
        await at(pilot, "plan")
        assert "★" in text(app)
        await pilot.press("enter")
        await at(pilot, "settings")
        assert "estimate" in text(app)
        await pilot.press("ctrl+n")
        await at(pilot, "review")
        assert "ftui launch cpu-demo" in text(app)
        await pilot.press("enter")
        await until(pilot, lambda: launches)
    assert launches[0].layout.recipe.model.base == "demo"
    assert launches[0].command == "ftui launch cpu-demo"


async def test_going_back_and_forth_loses_no_edit() -> None:
    app = FtuiApp(demo=True)
    async with app.run_test() as pilot:
        await at(pilot, "hardware")
        await until(pilot, lambda: wizard(pilot).state.layout)
        await wizard(pilot).go("settings")
        await set_value(pilot, "adapter.rank", "32")
        for _ in range(6):  # the first one ends the search
            await pilot.press("escape")
        await at(pilot, "hardware")
        for _ in range(6):
            await pilot.press("ctrl+n")
        screen = await at(pilot, "review")
        assert screen.state.draft.adapter.rank == 32
        assert "adapter.rank 32" in text(app)
        assert "--set adapter.rank=32" in text(app)


async def test_a_wizard_that_was_left_is_resumed_where_it_was(alpaca: Path) -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        await pilot.press("n")
        await at(pilot, "hardware")
        await pilot.press("enter")
        await at(pilot, "model")
        await pilot.press(*"demo", "enter")
        await until(pilot, lambda: wizard(pilot).state.shape)
        await pilot.press("ctrl+n")
        await at(pilot, "data")
        app.screen.query_one("#path", Input).value = str(alpaca)
        await pilot.press("enter")
        await until(pilot, lambda: wizard(pilot).state.profile)
        await pilot.press("ctrl+n")
        await at(pilot, "goal")
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "Go on where you left" in text(app))
    kept = paths.state_file("wizard.json")
    assert kept.stat().st_mode & 0o077 == 0
    again = FtuiApp()
    async with again.run_test() as pilot:
        await until(pilot, lambda: "Go on where you left" in text(again))
        await pilot.press("home", "enter")
        screen = await at(pilot, "goal")
        await until(pilot, lambda: screen.state.layout)
        assert screen.state.draft.model.base == "demo"
        assert screen.state.profile is not None
        assert screen.state.profile.rows == 60


async def test_a_bad_row_is_shown_with_its_line_and_the_rest_loads(alpaca: Path) -> None:
    async with on_data(alpaca) as pilot:
        assert "60 rows of conversation, 1 bad" in text(pilot.app)
        assert "line 61" in text(pilot.app)


class on_data:
    """The wizard's Data step on `path`, with the embedded model."""

    def __init__(self, path: Path | str, size: tuple[int, int] = (80, 24)) -> None:
        self.app = FtuiApp()
        self.context = self.app.run_test(size=size)
        self.path = path

    async def __aenter__(self) -> Pilot[int]:
        pilot = await self.context.__aenter__()
        screen = WizardScreen()
        await pilot.app.push_screen(screen)
        await at(pilot, "hardware")
        screen._edited(screen.state.assigned({"model.base": "demo"}))
        await until(pilot, lambda: screen.state.shape)
        await screen.go("data")
        await pilot.pause()
        screen.query_one("#path", Input).value = str(self.path)
        await pilot.press("enter")
        await pilot.pause(0.05)
        await until(pilot, lambda: not screen.state.busy)
        await pilot.pause(0.1)
        return pilot

    async def __aexit__(self, *about: Any) -> None:
        await self.context.__aexit__(*about)


async def test_a_previewed_row_marks_its_trained_tokens_by_more_than_colour(alpaca: Path) -> None:
    async with on_data(alpaca, (120, 40)) as pilot:
        await until(pilot, lambda: "row 1 " in text(pilot.app))
        assert "‹Here is 0." in text(pilot.app)
        await pilot.press("n")
        await until(pilot, lambda: "‹Here is 1." in text(pilot.app))
        await pilot.press("p", "p")
        await until(pilot, lambda: "‹Here is 59." in text(pilot.app))


async def test_unknown_columns_are_mapped_by_hand(questions: Path) -> None:
    async with on_data(questions, (120, 40)) as pilot:
        assert "no format" in wizard(pilot).state.problems["data"].what
        await pilot.press("m")
        await until(pilot, lambda: "Columns of" in text(pilot.app))
        await pilot.press("q", "enter", "a", "enter")  # the second role gets the focus, since it needs a column
        await until(pilot, lambda: isinstance(pilot.app.screen, WizardScreen))
        await until(pilot, lambda: wizard(pilot).state.profile)
        source = wizard(pilot).state.draft.data.sources[0]
        assert source.columns == {"prompt": "q", "completion": "a"}
        await until(pilot, lambda: "40 rows" in text(pilot.app))
        said = wizard(pilot)._step.command()  # type: ignore[union-attr]  # a long path may cut it on the screen
        assert "--format prompt-completion" in said, "the command line says how the file is read"
        # Mapped once more, while a page is shown that is hidden for the reading: enter still goes on.
        await pilot.press("m")
        await until(pilot, lambda: "Columns of" in text(pilot.app))
        await pilot.press("ctrl+a", "ctrl+k", "a", "enter", "ctrl+a", "ctrl+k", "q", "enter")
        await until(pilot, lambda: wizard(pilot).state.draft.data.sources[0].columns["prompt"] == "a")
        await until(pilot, lambda: wizard(pilot).state.profile)
        await until(pilot, lambda: pilot.app.focused is not None)
        await pilot.press("enter")
        await at(pilot, "goal")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.jsonl", None, "gone.jsonl"),
        ("empty.jsonl", b"", "empty"),
        ("binary.jsonl", b"\x00\xff\x00\x01" * 100, "binary"),
    ],
)
async def test_unusable_data_is_said_in_place_with_what_to_do(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    async with on_data(path, (120, 40)) as pilot:
        problem = wizard(pilot).state.problems["data"]
        assert said in problem.what
        assert problem.hint
        assert "✗" in text(pilot.app)
        await pilot.press("ctrl+n", "ctrl+n")
        await pilot.pause()
        assert wizard(pilot).state.step == "goal", "the plan needs data, and the step says so"


async def test_an_unknown_model_is_said_in_place_and_another_can_be_taken() -> None:
    app = FtuiApp()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = WizardScreen()
        await app.push_screen(screen)
        await at(pilot, "hardware")
        await pilot.press("enter")
        await at(pilot, "model")
        screen.query_one("#ref", Input).value = "/no/such/folder"
        await pilot.press("enter")
        await until(pilot, lambda: "model" in screen.state.problems)
        assert "/no/such/folder" in text(app)
        screen.query_one("#ref", Input).value = "demo"
        await pilot.press("enter")
        await until(pilot, lambda: screen.state.shape)
        assert "model" not in screen.state.problems


async def test_typing_filters_the_catalogue_and_the_machine_is_judged(machine: Callable[[Hardware], None]) -> None:
    machine(gpu_box())
    app = FtuiApp()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = WizardScreen()
        await app.push_screen(screen)
        await at(pilot, "hardware")
        await pilot.press("enter")
        await at(pilot, "model")
        await until(pilot, lambda: "Qwen/Qwen3-8B" in text(app))
        await until(pilot, lambda: "Suggested for your goal" in text(app))
        await pilot.press(*"qwen3-8")
        await pilot.pause()
        assert "Qwen/Qwen3-8B" in text(app)
        assert "SmolLM2" not in text(app)
        assert "QLoRA" in next(row for row in rows(app) if "Qwen/Qwen3-8B" in row)


async def test_problems_of_the_machine_stand_with_their_advice(machine: Callable[[Hardware], None]) -> None:
    machine(gpu_box())
    app = FtuiApp()
    async with app.run_test() as pilot:
        await app.push_screen(WizardScreen())
        await at(pilot, "hardware")
        said = "71.0 GiB free of 80.0 GiB", "alice", "pip install torch"
        await until(pilot, lambda: all(words in text(app) for words in said))
        await pilot.press("down", "enter")
        screen = await at(pilot, "model")
        assert screen.state.draft.compute.gpus == 0


async def test_another_option_of_the_plan_is_taken_and_taken_back(machine: Callable[[Hardware], None]) -> None:
    machine(gpu_box())
    app = FtuiApp()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = WizardScreen()
        await app.push_screen(screen)
        await at(pilot, "hardware")
        screen._change(screen.state.having(profile=small_profile()))
        screen.state = screen.state.assigned({"model.base": "Qwen/Qwen3-0.6B", "data.sources": "rows.jsonl"})
        screen._describe()
        await until(pilot, lambda: screen.state.shape and not screen.state.busy)
        screen.state = screen.state.having(profile=small_profile())
        screen._plan()
        await until(pilot, lambda: screen.state.layout)
        await screen.go("plan")
        await until(pilot, lambda: "★" in text(app))
        plan = screen.state.plan
        assert plan is not None
        recommended = screen.state.layout.recipe
        await pilot.press("down", "enter")
        await at(pilot, "settings")
        await until(pilot, lambda: screen.state.option == plan.alternatives[0].method)
        await until(pilot, lambda: screen.state.layout.recipe != recommended)
        await pilot.press("escape")
        await at(pilot, "plan")
        await pilot.press("home", "enter")
        await until(pilot, lambda: screen.state.option is None and screen.state.layout.recipe == recommended)


async def test_resizing_loses_nothing() -> None:
    app = FtuiApp(demo=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await at(pilot, "hardware")
        await until(pilot, lambda: wizard(pilot).state.layout)
        await wizard(pilot).go("settings")
        await set_value(pilot, "train.seed", "5")
        for size in ((60, 20), (80, 24), (200, 60), (30, 10), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert wizard(pilot).state.draft.train.seed == 5
        await wizard(pilot).go("review")
        await until(pilot, lambda: "train.seed 5" in text(app))


def test_a_draft_that_cannot_be_read_gives_a_fresh_wizard() -> None:
    from ftui.screens.wizard.wizard import restored

    assert restored({"step": "plan"}).step == "hardware"
    assert restored({"step": "plan", "furthest": 4, "draft": "nonsense: ["}).step == "hardware"


async def test_a_defect_in_a_look_up_leaves_the_wizard_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Hardware:
        raise KeyError("surprise")

    monkeypatch.setattr("ftui.hardware.probe", broken, raising=False)
    app = FtuiApp()
    async with app.run_test() as pilot:
        await app.push_screen(WizardScreen())
        await until(pilot, lambda: "KeyError" in text(app))
        monkeypatch.setattr("ftui.hardware.probe", cpu_box, raising=False)
        assert isinstance(app.screen, WizardScreen)


async def test_an_unreadable_recipe_problem_is_raised_as_bad_input(tmp_path: Path) -> None:
    from ftui.screens.wizard.review import save

    taken = tmp_path / "taken.yaml"
    taken.write_text("x")
    with pytest.raises(BadInput, match="exists already"):
        save(taken, "version: 1")


async def test_the_mouse_does_what_the_keys_do() -> None:
    app = FtuiApp(demo=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await at(pilot, "hardware")
        await until(pilot, lambda: wizard(pilot).state.layout)
        titles = rows(app)[1]
        await pilot.click("Stepper", offset=(titles.index("Settings"), 0))
        await at(pilot, "settings")
        keys = rows(app)[-1]
        await pilot.click("KeyBar", offset=(keys.index("Next") - 1, 0))
        await at(pilot, "review")


async def test_a_step_that_lacks_something_says_what() -> None:
    app = FtuiApp()
    async with app.run_test() as pilot:
        await app.push_screen(WizardScreen())
        screen = await at(pilot, "hardware")
        await screen.go("review")
        await until(pilot, lambda: "choose one in the Model step" in text(app))
        assert screen.state.step == "hardware"
