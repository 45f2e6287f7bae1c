"""A reasoning model's thoughts stand before the answer, in the part of their own where a template has one, and are
trained with it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data.canonical import Row
from ftui.data.convert import FORMATS
from ftui.data.given import Given
from ftui.data.loading import load
from ftui.data.template import ChatTemplate
from ftui.data.thoughts import apart, part_in, with_thoughts

ASK = {"role": "user", "content": "q"}
THOUGHT = {"role": "assistant", "content": with_thoughts("Let me see.", "It is 7.")}


def real(name: str) -> ChatTemplate:
    """A reasoning model's template, as trl brings it along."""
    spec = importlib.util.find_spec("trl")
    places = list(spec.submodule_search_locations or []) if spec else []
    path = Path(places[0]) / "chat_templates" / f"{name}.jinja" if places else Path("nowhere")
    if not path.is_file():
        pytest.skip(f"trl doesn't bring the template {name} along")
    return ChatTemplate(name, path.read_text(), {"bos_token": "<bos>", "eos_token": "<eos>"}, stops=("<|user|>",))


@pytest.mark.parametrize("column", ["reasoning_content", "reasoning", "thinking"])
@pytest.mark.parametrize("row", [
    {"instruction": "q", "output": "It is 7."},
    {"prompt": "q", "completion": "It is 7."},
    {"prompt": [ASK], "completion": [{"role": "assistant", "content": "It is 7."}]},
])  # fmt: skip
def test_thoughts_in_a_column_of_their_own_stand_before_the_answer(
    jsonl: Callable[..., str], column: str, row: dict[str, Any]
) -> None:
    loaded = load(Given(jsonl({**row, column: "Let me see."}, {**row, column: None})))
    assert loaded.format.columns["reasoning"] == column
    first, second = (row.value["messages"] for row in loaded.rows() if isinstance(row, Row))
    assert first == [ASK, THOUGHT]
    assert second == [ASK, {"role": "assistant", "content": "It is 7."}]


def test_an_answer_that_brings_its_thoughts_along_is_given_none_twice() -> None:
    row = {"prompt": "q", "completion": THOUGHT["content"], "reasoning": "Let me see."}
    made = FORMATS["prompt-completion"].convert(row, {part: part for part in row})
    assert made["messages"] == [ASK, THOUGHT]


def test_thoughts_are_taken_out_of_the_words_under_the_templates_own_name() -> None:
    assert part_in("{{ message.reasoning_content }}") == "reasoning_content"
    assert part_in("{{ m.thinking }}") == "thinking"
    assert part_in("{{ message.get('reasoning') }}") == "reasoning"
    assert part_in("{% if enable_thinking %}{{ message.content }}{% endif %}") is None
    assert apart([ASK, THOUGHT], "thinking") == [ASK, {"role": "assistant", "content": "It is 7.",
                                                      "thinking": "Let me see."}]  # fmt: skip
    empty = {"role": "assistant", "content": "<think>\n\n</think>\n\nIt is 7."}
    assert apart([empty], "thinking") == [empty], "that nothing was thought is for the template to write"


@pytest.mark.parametrize(("name", "trained"), [
    ("qwen3", "<think>\nLet me see.\n</think>\n\nIt is 7.<|im_end|>"),
    ("gptoss", "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant<|channel|>final<|message|>"
               "It is 7.<|return|>"),
    ("qwen3_5_think", "Let me see.\n</think>\n\nIt is 7.<|im_end|>"),
    ("qwen3_6", "Let me see.\n</think>\n\nIt is 7.<|im_end|>"),
    ("nemotron_3_nano", "Let me see.\n</think>\nIt is 7.<|im_end|>"),
    ("glm4moe", "\n<think>Let me see.</think>\nIt is 7."),
    ("qwen2_5", "<think>\nLet me see.\n</think>\n\nIt is 7.<|im_end|>"),
])  # fmt: skip
def test_thoughts_are_trained_with_the_answer_in_real_templates(name: str, trained: str) -> None:
    template = real(name)
    rendered = template.render_row([ASK, THOUGHT])
    assert [rendered.text[start:end] for start, end in rendered.turns] == [trained]


def test_what_was_thought_in_an_earlier_turn_is_left_to_the_template() -> None:
    rendered = real("qwen3").render_row([ASK, THOUGHT, ASK, THOUGHT])
    first, last = (rendered.text[start:end] for start, end in rendered.turns)
    assert first == "It is 7.<|im_end|>"
    assert last.startswith("<think>\nLet me see.")


def test_a_file_of_turns_with_reasoning_keeps_it(jsonl: Callable[..., str]) -> None:
    turns = [ASK, {"role": "assistant", "content": "It is 7.", "reasoning": "Let me see."}]
    [row] = load(Given(jsonl(json.dumps({"messages": turns})))).rows()
    assert isinstance(row, Row)
    assert row.value["messages"] == [ASK, THOUGHT]
