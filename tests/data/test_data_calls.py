"""Function calls in every spelling become one form, which templates write and the model learns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftui.data.canonical import Row, RowError
from ftui.data.convert import FORMATS
from ftui.data.given import Given
from ftui.data.loading import load
from ftui.data.masking import Writer
from ftui.data.named_templates import NAMED
from ftui.data.template import ChatTemplate, choose_template
from ftui.data.tokenizer import Tokenizer

CALL = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
ASK = {"role": "user", "content": "q"}
RESULT = {"role": "tool", "content": "7"}
ANSWER = {"role": "assistant", "content": "It is 7."}
CALLING = {"role": "assistant", "content": "", "tool_calls": [CALL]}
TALK = [ASK, CALLING, RESULT, ANSWER]

QWEN = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}{% endfor %}<|im_end|>\n{% endif %}"
    "{% for m in messages %}"
    "{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n</tool_response><|im_end|>\n"
    "{% else %}<|im_start|>{{ m.role }}\n"
    # As Qwen 3 does it: an empty thinking block in the last turn alone, so that no prefix is how the row goes on.
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}"
    "{% for call in m.tool_calls or [] %}{% if call.function %}{% set call = call.function %}{% endif %}"
    "{% if not loop.first or m.content %}{{ '\n' }}{% endif %}"
    '<tool_call>\n{"name": "{{ call.name }}", "arguments": {{ call.arguments | tojson }}}\n</tool_call>{% endfor %}'
    "<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def turns(template: ChatTemplate, messages: list[dict[str, Any]]) -> list[str]:
    rendered = template.render_row(messages)
    return [rendered.text[start:end] for start, end in rendered.turns]


@pytest.mark.parametrize(
    "turn",
    [
        {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
        {"from": "tool_call", "value": '[{"name": "f", "parameters": {"x": 1}}]'},
        {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {
            "name": "f", "arguments": '{"x": 1}'}}]},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {"x": 1}}]},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"x": 1}'}},
        {"role": "assistant", "content": None, "tool_calls": json.dumps([CALL])},
    ],
    ids=["ShareGPT", "a list as text", "OpenAI", "without wrapping", "OpenAI before tools", "a column of JSON"],
)  # fmt: skip
def test_every_spelling_of_a_call_becomes_one(turn: dict[str, Any]) -> None:
    name = "sharegpt" if "from" in turn else "messages"
    row = {"messages": [ASK, turn, {"from": "observation", "value": "7"}, ANSWER]}
    assert FORMATS[name].convert(row, {"messages": "messages"}) == {"messages": TALK}


def test_ids_tie_a_result_to_its_call() -> None:
    call = {"id": "call_1", **CALL}
    row = {"messages": [ASK, {**CALLING, "tool_calls": [call]},
                        {**RESULT, "tool_call_id": "call_1", "name": "f"}, ANSWER]}  # fmt: skip
    assert FORMATS["messages"].convert(row, {"messages": "messages"}) == row


@pytest.mark.parametrize("column", ["tools", "functions"])
def test_functions_are_described_as_templates_expect_them(column: str) -> None:
    row = {"messages": [ASK, ANSWER], column: json.dumps([{"name": "f", "parameters": {}}])}
    value = FORMATS["messages"].convert(row, {"messages": "messages", "tools": column})
    assert value["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def test_words_of_a_calling_role_that_are_no_call_stay_words() -> None:
    row = {"messages": [ASK, {"from": "function_call", "value": "f(1)"}]}
    value = FORMATS["sharegpt"].convert(row, {"messages": "messages"})
    assert value["messages"][1] == {"role": "assistant", "content": "f(1)"}


@pytest.mark.parametrize("calls", [[{"arguments": {}}], [3], {"function": {"name": " "}}, "f"])
def test_a_call_without_a_name_is_told(calls: Any) -> None:
    with pytest.raises(RowError, match="a function call"):
        FORMATS["messages"].convert({"m": [ASK, {**ANSWER, "tool_calls": calls}]}, {"messages": "m"})


@pytest.mark.parametrize("said", ["", "Let me see."])
def test_a_templates_own_form_of_a_call_is_trained_whole(said: str) -> None:
    template = ChatTemplate("test", QWEN, {})
    written = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call><|im_end|>'
    first, last = turns(template, [ASK, {**CALLING, "content": said}, RESULT, ANSWER])
    assert first == (f"{said}\n" if said else "") + written
    assert last == "<think>\n\n</think>\n\nIt is 7.<|im_end|>"


def test_two_calls_in_one_turn_are_trained_both() -> None:
    other = {"type": "function", "function": {"name": "g", "arguments": {}}}
    first, _ = turns(ChatTemplate("test", QWEN, {}), [ASK, {**CALLING, "tool_calls": [CALL, other]}, RESULT, ANSWER])
    assert first.count("<tool_call>") == 2
    assert first.endswith("</tool_call><|im_end|>")


def test_a_template_without_a_place_for_calls_writes_them_as_words() -> None:
    source = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    first, last = turns(ChatTemplate("test", source, {}), TALK)
    assert (first, last) == ('{"name": "f", "arguments": {"x": 1}}<|end|>', "It is 7.<|end|>")


@pytest.mark.parametrize("name", [name for name in NAMED if name not in ("mistral", "gemma")])
def test_real_calls_are_trained_with_every_template_that_takes_results(
    bpe: Tokenizer, shared_data: Path, name: str
) -> None:
    writer = Writer(bpe, choose_template(name, bpe), "assistant")
    rows = load(Given(str(shared_data / "llamafactory/glaive_toolcall_en_demo.json"))).rows()
    called = [row for row in rows if isinstance(row, Row) and any("tool_calls" in m for m in row.value["messages"])]
    assert len(called) > 100
    for row in called[:20]:
        text = writer.write(row)
        spans = ["".join(text.text[start:end]) for start, end in text.spans]
        calls = [m["tool_calls"][0]["function"]["name"] for m in row.value["messages"] if "tool_calls" in m]
        assert [span for span in spans if '"arguments"' in span and any(call in span for call in calls)]
