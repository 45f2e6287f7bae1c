"""`ftui models extend`: what is asked becomes a run, what can't be is refused, and untrained rows are said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.models.extended import added_tokens
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.added_tokens import untrained_tokens, with_added_tokens
from ftui.runs.folder import Run

Ftui = Callable[..., tuple[int, str, str]]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs whose workers would have been started."""
    from ftui.runs import control

    found: list[Run] = []
    monkeypatch.setattr(control, "start", found.append)
    return found


def test_a_template_names_its_tokens_and_the_last_one_ends_an_answer(
    ftui: Ftui, begun: list[Run], tmp_path: Path
) -> None:
    code, _, err = ftui("models", "extend", "openai-community/gpt2", "--template", "chatml", "--token", "<tool>",
                        "--out", str(tmp_path / "more"))  # fmt: skip
    assert code == 0, err
    args = begun[0].info.args
    assert args["tokens"] == ["<|im_start|>", "<|im_end|>", "<tool>"]
    assert args["end"] == "<|im_end|>"
    assert begun[0].info.command == (
        f"ftui models extend openai-community/gpt2 --out {tmp_path / 'more'} --token '<tool>' --template chatml"
    )


@pytest.mark.parametrize(("words", "told"), [
    (("--template", "plain"), "Those with tokens of their own: chatml, "),
    ((), "No token to add is named."),
    (("--token", " "), "No token to add is named."),
])
def test_what_cannot_be_added_is_said_in_a_sentence(
    ftui: Ftui, begun: list[Run], tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    code, _, err = ftui("models", "extend", "openai-community/gpt2", *words, "--out", str(tmp_path / "more"))
    assert (code, told in err) == (2, True), err
    assert not begun


def test_nothing_is_written_over(ftui: Ftui, begun: list[Run], tmp_path: Path) -> None:
    code, _, err = ftui("models", "extend", "openai-community/gpt2", "--token", "<t>", "--out", str(tmp_path))
    assert code != 0
    assert "is there already" in err
    assert not begun


def test_only_what_trains_the_new_rows_is_taken(tmp_path: Path) -> None:
    (tmp_path / "ftui.json").write_text(json.dumps({"added_tokens": ["<a>", "<b>"]}))
    recipe = assign(Recipe(), {"model.base": str(tmp_path)})
    assert added_tokens(str(tmp_path)) == ("<a>", "<b>")
    whole = with_added_tokens(recipe)
    assert whole.adapter.tokens == ("<a>", "<b>")  # type: ignore[union-attr]  # LoRA's
    assert untrained_tokens(whole) is None
    assert with_added_tokens(assign(recipe, {"adapter.tokens": ["<b>"]})).adapter.tokens == ("<b>",)  # type: ignore[union-attr]
    other = assign(recipe, {"adapter.kind": "ia3"})
    assert with_added_tokens(other) == other
    assert "doesn't train the tokens that were added" in untrained_tokens(other)[0]  # type: ignore[index]
    assert untrained_tokens(assign(recipe, {"adapter.kind": "none"})) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"added_tokens": 3}', '{"added_tokens": [1]}'])
def test_a_folder_of_somebody_else_has_no_added_tokens(tmp_path: Path, text: str) -> None:
    (tmp_path / "ftui.json").write_text(text)
    assert added_tokens(str(tmp_path)) == ()
