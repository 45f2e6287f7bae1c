"""What the screens say of objectives other than imitation: by name, with what rewards them, and without words that a
model of scores never writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from ftui import models
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.document import Event
from ftui.screens import lookups
from ftui.screens.monitor_picture import Picture
from ftui.screens.widgets.sample_view import SampleView
from ftui.screens.wizard.review import learnt_by

from .screens_help import text


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ({"kind": "sft"}, "supervised fine-tuning"), ({"kind": "classify"}, "classification"), ({"kind": "kto"}, "KTO"),
        ({"kind": "grpo", "rewards": ["exact", "0.2*format"]}, "GRPO, rewarded by exact, 0.2*format,"),
    ],
)
def test_the_review_names_the_objective_and_what_rewards_it(objective: dict[str, Any], said: str) -> None:
    assert learnt_by(assign(Recipe(), {"objective": objective})) == said


async def test_a_run_that_is_over_and_answered_nothing_promises_no_answers() -> None:
    picture = Picture()
    app: App[None] = App()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.screen.mount(view := SampleView())
        view.show(picture)
        await pilot.pause()
        assert "No samples yet" in text(app)
        end = {"seq": 1, "attempt": 1, "time": 1.0, "kind": "end", "data": {"status": "finished", "text": "Done."}}
        picture.take([Event.model_validate(end)])
        view.show(picture)
        await pilot.pause()
        assert "This run answered no prompts" in text(app)


def test_a_row_is_shown_as_text_where_the_models_tokens_are_not_at_hand(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "What?", "completion": "That."}) + "\n")
    draft = assign(Recipe(), {"data.sources": [{"path": str(path)}]})
    shape = models.describe("Qwen/Qwen3-8B")
    found = lookups.preview(draft, 1, shape)
    assert "That." in found.rendered
    assert all(token.id is None for token in found.tokens)
    assert "without its tokens" in found.notes[-1]
