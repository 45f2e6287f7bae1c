"""What a template refuses, and a mask that is wrong, are found before training, and mended by a repair."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data import check, prepare, profile
from ftui.data.canonical import Row, make_row
from ftui.data.document import Finding
from ftui.data.mask_check import mask_fault
from ftui.data.named_templates import NAMED
from ftui.data.repairs import Context, parse, repaired
from ftui.data.template import ChatTemplate, LossOn, choose_template
from ftui.data.tokenizer import Tokenizer
from ftui.errors import BadInput
from ftui.models import describe
from ftui.recipe import parse as recipe_of

STRICT = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Gemma's: no system turn, and user and assistant in turn."""
SYSTEM, ASK, SAY = ({"role": role, "content": role[0]} for role in ("system", "user", "assistant"))


def strict(folder: Path) -> str:
    path = folder / "strict.jinja"
    path.write_text(STRICT)
    return str(path)


def findings(path: str, model: Path, template: str) -> dict[str, Finding]:
    return {found.name: found for found in check(path, describe(str(model)), template=template).findings}


@pytest.fixture
def model(bpe_folder: Path) -> Path:
    """A folder that can be described as a model: a tokenizer and a small Llama's configuration."""
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 16, "num_hidden_layers": 1,
              "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 600, "max_position_embeddings": 512}
    (bpe_folder / "config.json").write_text(json.dumps(config))
    return bpe_folder


@pytest.mark.parametrize(
    ("turns", "names"),
    [
        ([SYSTEM, ASK, SAY], ["system-refused"]),
        ([ASK, ASK, SAY], ["turns-refused"]),
        ([ASK, SAY, SAY, ASK, SAY], ["turns-refused"]),
        ([SAY, ASK, SAY], ["opening-refused"]),
        ([SYSTEM, SAY, ASK, ASK, SAY], ["opening-refused", "system-refused", "turns-refused"]),
        ([ASK, {"role": "tool", "content": "7"}, SAY], ["template-refuses"]),
    ],
)
def test_what_the_template_refuses_is_named_with_the_repair_by_which_it_is_taken(
    jsonl: Callable[..., str], tmp_path: Path, model: Path, turns: list[Any], names: list[str]
) -> None:
    path = jsonl(*[{"messages": [ASK, SAY]}] * 2, {"messages": turns})
    found = findings(path, model, strict(tmp_path))
    refused = {name: finding for name, finding in found.items() if name.endswith(("-refused", "-refuses"))}
    assert sorted(refused) == names
    assert all(finding.severity == "warning" and finding.count == 1 for finding in refused.values())
    assert [example.line for finding in refused.values() for example in finding.examples] == [3] * len(names)
    repairs = [finding.repair for finding in refused.values() if finding.repair]
    settings: dict[str, Any] = {"sources": [{"path": path}], "template": strict(tmp_path), "prepare": repairs,
                                "validation": 0, "max_length": 64}  # fmt: skip
    prepared = prepare(recipe_of(json.dumps({"data": settings})), model, seed=1)
    assert prepared.train_rows == (2 if names == ["template-refuses"] else 3)


def test_where_every_row_is_refused_it_is_an_error(jsonl: Callable[..., str], tmp_path: Path, model: Path) -> None:
    found = findings(jsonl({"messages": [SYSTEM, ASK, SAY]}), model, strict(tmp_path))
    assert found["system-refused"].severity == "error"
    pair = {"chosen": [SYSTEM, ASK, SAY], "rejected": [SYSTEM, ASK, {**SAY, "content": "b"}]}
    assert findings(jsonl(pair), model, strict(tmp_path))["system-refused"].repair == {"fold_system": None}


def turned(repair: str, turns: list[Any]) -> list[Any]:
    items = iter([(0, make_row("", 1, "conversation", {"messages": turns}))])
    [(_, row)] = repaired(items, parse([{repair: None}]), Context(1), lambda *_: None)
    return list(row.value["messages"])


def test_repairs_put_turns_into_order_and_lose_no_words() -> None:
    assert turned("fold_system", [SYSTEM, ASK, SAY]) == [{"role": "user", "content": "s\n\nu"}, SAY]
    assert turned("fold_system", [{**SYSTEM, "content": ""}, ASK, SAY]) == [ASK, SAY]
    assert turned("fold_system", [SYSTEM, SAY]) == [{"role": "user", "content": "s"}, SAY]
    assert turned("merge_turns", [ASK, ASK, SAY]) == [{"role": "user", "content": "u\n\nu"}, SAY]
    result = {"role": "tool", "content": "7"}
    assert turned("merge_turns", [ASK, result, result, SAY]) == [ASK, result, result, SAY], "each is of its own call"
    call = {"function": {"name": "f", "arguments": {}}}
    calling = {"role": "assistant", "content": "", "tool_calls": [call]}
    assert turned("merge_turns", [ASK, SAY, calling]) == [ASK, {**SAY, "tool_calls": [call]}]
    assert turned("begin_with_user", [SYSTEM, SAY, ASK, SAY]) == [SYSTEM, ASK, SAY]


def test_a_pair_keeps_its_answers_when_its_question_is_mended() -> None:
    value = {"prompt": [SYSTEM, ASK], "chosen": [SAY], "rejected": [{**SAY, "content": "b"}], "margin": 1.0}
    row = make_row("", 7, "preference", value, order=3.0)
    [(_, mended)] = repaired(iter([(0, row)]), parse([{"fold_system": None}]), Context(1), lambda *_: None)
    assert isinstance(mended, Row)
    assert mended.value == {**value, "prompt": [{"role": "user", "content": "s\n\nu"}]}
    assert (mended.line, mended.order) == (7, 3.0)


PROMPT_TRAINED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}\n"
    "{% endfor %}"
)
SWAPPED = (
    "{% for m in messages %}{% if m.role == 'user' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}"
    "{{ m.content }}{% endif %}<|im_end|>{% endfor %}"
)
NOTHING = (
    "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{% generation %}{% endgeneration %}{% endif %}"
    "{% endfor %}"
)
ONLY_LAST = (
    "{% for m in messages %}{% if m.role == 'assistant' and loop.last %}{% generation %}{{ m.content }}"
    "{% endgeneration %}{% elif m.role == 'assistant' %}{% generation %}{% endgeneration %}{{ m.content }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}"
)


@pytest.mark.parametrize(
    ("source", "loss_on", "says"),
    [
        (SWAPPED, "assistant", "marks what the user says"),
        (NOTHING, "assistant", "nothing would be trained"),
        (ONLY_LAST, "assistant", "some of what the assistant says"),
        (ONLY_LAST, "completion", None),
        (SWAPPED, "all", None),
        (STRICT, "assistant", None),
        ("{{ raise_exception('no') }}", "assistant", None),
    ],
)
def test_a_mask_that_is_wrong_is_told_from_one_that_is_right(source: str, loss_on: LossOn, says: str | None) -> None:
    fault = mask_fault(ChatTemplate("own.jinja", source, {}), loss_on)
    assert fault is None if says is None else says in str(fault)


def test_tags_around_every_turn_are_not_taken_for_the_assistants() -> None:
    """There are then more of them than answers, and the turns are found without them."""
    template = ChatTemplate("own.jinja", PROMPT_TRAINED, {})
    assert mask_fault(template, "assistant") is None
    rendered = template.render_row([ASK, SAY])
    assert [rendered.text[start:end] for start, end in rendered.turns] == ["a<|im_end|>"]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("loss_on", ["assistant", "completion"])
def test_no_named_template_has_a_wrong_mask(bpe: Tokenizer, name: str, loss_on: LossOn) -> None:
    assert mask_fault(choose_template(name, bpe), loss_on) is None


def test_a_wrong_mask_forbids_the_check_the_profile_and_the_preparation(
    jsonl: Callable[..., str], tmp_path: Path, model: Path
) -> None:
    path, template = jsonl({"messages": [ASK, SAY]}), tmp_path / "own.jinja"
    template.write_text(SWAPPED)
    found = findings(path, model, str(template))
    assert (found["mask"].severity, found["mask"].repair) == ("error", None)
    shape = describe(str(model))
    assert "what the user says" in profile(path, shape, template=str(template)).faults[0]
    settings = {"sources": [{"path": path}], "template": str(template), "validation": 0}
    with pytest.raises(BadInput, match="what the user says"):
        prepare(recipe_of(json.dumps({"data": settings})), model, seed=1)
    assert profile(jsonl({"text": "plain"}), shape, template=str(template)).faults == (), "plain text has no turns"
