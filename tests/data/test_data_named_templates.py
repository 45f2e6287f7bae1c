"""Each named template against rows written out by hand, what is trained between ⟦ and ⟧, and against published ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from ftui.data.canonical import make_row
from ftui.data.masking import Writer
from ftui.data.named_templates import NAMED
from ftui.data.template import ChatTemplate, choose_template
from ftui.data.tokenizer import Tokenizer

ASK, ANSWER = {"role": "user", "content": "Hi, who?"}, {"role": "assistant", "content": "I am Bo."}
MORE, LAST = {"role": "user", "content": "Sum 1+1"}, {"role": "assistant", "content": "It is 2.\n\nDone"}
SYSTEM = {"role": "system", "content": "Be kind."}
TALK, TOLD = [ASK, ANSWER, MORE, LAST], [SYSTEM, ASK, ANSWER, MORE, LAST]
CALLING = {
    "role": "assistant", "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}],
}  # fmt: skip
RESULT = {"role": "tool", "content": "7"}
CALLED = [ASK, CALLING, RESULT, LAST]
CALL = '{"name": "add", "arguments": {"a": 1}}'
QWEN = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."

WRITTEN: dict[str, tuple[str, str, str]] = {
    "chatml": (
        "<s><|im_start|>user\nHi, who?<|im_end|>\n<|im_start|>assistant\n⟦I am Bo.<|im_end|>⟧\n"
        "<|im_start|>user\nSum 1+1<|im_end|>\n<|im_start|>assistant\n⟦It is 2.\n\nDone<|im_end|>⟧\n",
        "<s><|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi, who?<|im_end|>\n"
        "<|im_start|>assistant\n⟦I am Bo.<|im_end|>⟧\n<|im_start|>user\nSum 1+1<|im_end|>\n"
        "<|im_start|>assistant\n⟦It is 2.\n\nDone<|im_end|>⟧\n",
        f"<s><|im_start|>user\nHi, who?<|im_end|>\n<|im_start|>assistant\n⟦{CALL}<|im_end|>⟧\n"
        "<|im_start|>tool\n7<|im_end|>\n<|im_start|>assistant\n⟦It is 2.\n\nDone<|im_end|>⟧\n",
    ),
    "qwen": (
        f"<s><|im_start|>system\n{QWEN}<|im_end|>\n"
        "<|im_start|>user\nHi, who?<|im_end|>\n<|im_start|>assistant\n⟦I am Bo.<|im_end|>⟧\n"
        "<|im_start|>user\nSum 1+1<|im_end|>\n<|im_start|>assistant\n⟦It is 2.\n\nDone<|im_end|>⟧\n",
        "<s><|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi, who?<|im_end|>\n"
        "<|im_start|>assistant\n⟦I am Bo.<|im_end|>⟧\n<|im_start|>user\nSum 1+1<|im_end|>\n"
        "<|im_start|>assistant\n⟦It is 2.\n\nDone<|im_end|>⟧\n",
        f"<s><|im_start|>system\n{QWEN}<|im_end|>\n<|im_start|>user\nHi, who?<|im_end|>\n"
        f"<|im_start|>assistant\n⟦<tool_call>\n{CALL}\n</tool_call><|im_end|>⟧\n"
        "<|im_start|>user\n<tool_response>\n7\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n⟦It is 2.\n\nDone<|im_end|>⟧\n",
    ),
    "plain": (
        "<s>### Instruction:\nHi, who?\n\n### Response:\n⟦I am Bo.</s>⟧\n\n"
        "### Instruction:\nSum 1+1\n\n### Response:\n⟦It is 2.\n\nDone</s>⟧",
        "<s>Be kind.\n\n### Instruction:\nHi, who?\n\n### Response:\n⟦I am Bo.</s>⟧\n\n"
        "### Instruction:\nSum 1+1\n\n### Response:\n⟦It is 2.\n\nDone</s>⟧",
        f"<s>### Instruction:\nHi, who?\n\n### Response:\n⟦{CALL}</s>⟧\n\n"
        "### Result:\n7\n\n### Response:\n⟦It is 2.\n\nDone</s>⟧",
    ),
    "alpaca": (
        f"<s>{ALPACA}\n\n### Instruction:\nHi, who?\n\n### Response:\n⟦I am Bo.</s>⟧\n\n"
        "### Instruction:\nSum 1+1\n\n### Response:\n⟦It is 2.\n\nDone</s>⟧",
        "<s>Be kind.\n\n### Instruction:\nHi, who?\n\n### Response:\n⟦I am Bo.</s>⟧\n\n"
        "### Instruction:\nSum 1+1\n\n### Response:\n⟦It is 2.\n\nDone</s>⟧",
        f"<s>{ALPACA}\n\n### Instruction:\nHi, who?\n\n### Response:\n⟦{CALL}</s>⟧\n\n"
        "### Result:\n7\n\n### Response:\n⟦It is 2.\n\nDone</s>⟧",
    ),
    "llama-3": (
        "<s><|start_header_id|>user<|end_header_id|>\n\nHi, who?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦I am Bo.<|eot_id|>⟧"
        "<|start_header_id|>user<|end_header_id|>\n\nSum 1+1<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦It is 2.\n\nDone<|eot_id|>⟧",
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi, who?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦I am Bo.<|eot_id|>⟧"
        "<|start_header_id|>user<|end_header_id|>\n\nSum 1+1<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦It is 2.\n\nDone<|eot_id|>⟧",
        "<s><|start_header_id|>user<|end_header_id|>\n\nHi, who?<|eot_id|>"
        f"<|start_header_id|>assistant<|end_header_id|>\n\n⟦{CALL}<|eot_id|>⟧"
        "<|start_header_id|>ipython<|end_header_id|>\n\n7<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦It is 2.\n\nDone<|eot_id|>⟧",
    ),
    "llama-2": (
        "<s>[INST] Hi, who? [/INST] ⟦I am Bo. </s>⟧<s>[INST] Sum 1+1 [/INST] ⟦It is 2.\n\nDone </s>⟧",
        "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi, who? [/INST] ⟦I am Bo. </s>⟧"
        "<s>[INST] Sum 1+1 [/INST] ⟦It is 2.\n\nDone </s>⟧",
        f"<s>[INST] Hi, who? [/INST] ⟦{CALL} </s>⟧<s>[INST] 7 [/INST] ⟦It is 2.\n\nDone </s>⟧",
    ),
    "mistral": (
        "<s>[INST] Hi, who? [/INST] ⟦I am Bo.</s>⟧[INST] Sum 1+1 [/INST] ⟦It is 2.\n\nDone</s>⟧",
        "<s>[INST] Be kind.\n\nHi, who? [/INST] ⟦I am Bo.</s>⟧[INST] Sum 1+1 [/INST] ⟦It is 2.\n\nDone</s>⟧",
        f"<s>[INST] Hi, who? [/INST] ⟦{CALL}</s>⟧[INST] 7 [/INST] ⟦It is 2.\n\nDone</s>⟧",
    ),
    "gemma": (
        "<s><start_of_turn>user\nHi, who?<end_of_turn>\n<start_of_turn>model\n⟦I am Bo.<end_of_turn>⟧\n"
        "<start_of_turn>user\nSum 1+1<end_of_turn>\n<start_of_turn>model\n⟦It is 2.\n\nDone<end_of_turn>⟧\n",
        "<s><start_of_turn>user\nBe kind.\n\nHi, who?<end_of_turn>\n<start_of_turn>model\n⟦I am Bo.<end_of_turn>⟧\n"
        "<start_of_turn>user\nSum 1+1<end_of_turn>\n<start_of_turn>model\n⟦It is 2.\n\nDone<end_of_turn>⟧\n",
        f"<s><start_of_turn>user\nHi, who?<end_of_turn>\n<start_of_turn>model\n⟦{CALL}<end_of_turn>⟧\n"
        "<start_of_turn>user\n7<end_of_turn>\n<start_of_turn>model\n⟦It is 2.\n\nDone<end_of_turn>⟧\n",
    ),
    "phi": (
        "<s><|user|>\nHi, who?<|end|>\n<|assistant|>\n⟦I am Bo.<|end|>⟧\n"
        "<|user|>\nSum 1+1<|end|>\n<|assistant|>\n⟦It is 2.\n\nDone<|end|>⟧\n</s>",
        "<s><|system|>\nBe kind.<|end|>\n<|user|>\nHi, who?<|end|>\n<|assistant|>\n⟦I am Bo.<|end|>⟧\n"
        "<|user|>\nSum 1+1<|end|>\n<|assistant|>\n⟦It is 2.\n\nDone<|end|>⟧\n</s>",
        f"<s><|user|>\nHi, who?<|end|>\n<|assistant|>\n⟦{CALL}<|end|>⟧\n"
        "<|user|>\n7<|end|>\n<|assistant|>\n⟦It is 2.\n\nDone<|end|>⟧\n</s>",
    ),
    "vicuna": (
        f"<s>{VICUNA} USER: Hi, who? ASSISTANT: ⟦I am Bo.</s>⟧USER: Sum 1+1 ASSISTANT: ⟦It is 2.\n\nDone</s>⟧",
        "<s>Be kind. USER: Hi, who? ASSISTANT: ⟦I am Bo.</s>⟧USER: Sum 1+1 ASSISTANT: ⟦It is 2.\n\nDone</s>⟧",
        f"<s>{VICUNA} USER: Hi, who? ASSISTANT: ⟦{CALL}</s>⟧USER: 7 ASSISTANT: ⟦It is 2.\n\nDone</s>⟧",
    ),
}  # fmt: skip
"""Name -> a talk of two questions, the same with a system turn, and a function call with its result."""


@pytest.fixture(scope="module")
def knowing(with_bos: Tokenizer) -> Tokenizer:
    """A tokenizer whose vocabulary has every template's markers."""
    from dataclasses import replace

    from tokenizers import AddedToken
    from tokenizers import Tokenizer as Backend

    backend = Backend.from_str(with_bos.backend.to_str())
    markers = {marker for template in NAMED.values() for marker in template.markers} | {"<|system|>"}
    backend.add_special_tokens([AddedToken(marker, special=True, normalized=False) for marker in sorted(markers)])
    return replace(with_bos, backend=backend)


def by_hand(marked: str) -> tuple[str, list[bool]]:
    """A row without its marks, and for each character whether it stands between them."""
    text, inside, within = [], [], False
    for character in marked:
        if character in "⟦⟧":
            within = character == "⟦"
            continue
        text.append(character)
        inside.append(within)
    return "".join(text), inside


def test_every_named_template_has_its_rows_written_out() -> None:
    assert set(WRITTEN) == set(NAMED)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(("messages", "which"), [(TALK, 0), (TOLD, 1), (CALLED, 2)], ids=["talk", "system", "call"])
def test_tokens_and_mask_are_those_of_the_row_written_by_hand(
    knowing: Tokenizer, name: str, messages: list[dict[str, Any]], which: int
) -> None:
    text, inside = by_hand(WRITTEN[name][which])
    writer = Writer(knowing, choose_template(name, knowing), "assistant")
    written = writer.write(make_row("", 1, "conversation", {"messages": messages}))
    assert written.text == text
    [tokens] = writer.tokens([written])
    encoded = knowing.backend.encode(text, add_special_tokens=False)
    assert list(tokens.ids) == encoded.ids
    for place, (token, (start, end)) in enumerate(zip(encoded.tokens, encoded.offsets, strict=True)):
        # A space before a word is one token with it, and the model writes that token.
        assert tokens.trained[place] == any(inside[start:end]), (place, token, text[start:end])


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("messages", [TALK, TOLD, CALLED], ids=["talk", "system", "call"])
def test_without_its_tags_a_template_gives_the_same_mask_by_its_prefixes(
    knowing: Tokenizer, name: str, messages: list[dict[str, Any]]
) -> None:
    tagged = choose_template(name, knowing)
    bare = tagged.source.replace("{%- generation %}", "{%- if true %}").replace("{% endgeneration %}", "{% endif %}")
    assert "generation %}" not in bare
    without = ChatTemplate(name, bare, tagged.variables, stops=("</s>",))
    ours, theirs = tagged.render_row(messages), without.render_row(messages)
    assert ours.text == theirs.text
    said = [ours.text[start:end].strip() for start, end in ours.turns]
    assert [theirs.text[start:end].strip() for start, end in theirs.turns] == said


def published(name: str) -> str:
    """A template as its model's authors publish it, which trl brings along."""
    spec = importlib.util.find_spec("trl")
    places = list(spec.submodule_search_locations or []) if spec else []
    path = Path(places[0]) / "chat_templates" / f"{name}.jinja" if places else Path("nowhere")
    if not path.is_file():
        pytest.skip(f"trl doesn't bring the template {name} along")
    return path.read_text()


@pytest.mark.parametrize("name", ["gemma", "phi", "qwen", "llama-3"])
@pytest.mark.parametrize("messages", [TALK, TOLD, CALLED, [*CALLED[:2], RESULT, RESULT, LAST]],
                         ids=["talk", "system", "call", "results"])  # fmt: skip
@pytest.mark.parametrize("prompt", [False, True])
def test_it_writes_what_the_published_template_writes(
    knowing: Tokenizer, name: str, messages: list[dict[str, Any]], prompt: bool
) -> None:
    if name != "qwen" and messages[1:2] == [CALLING]:
        pytest.skip("the published template has no form for calls")
    if name == "gemma" and messages is TOLD:
        pytest.skip("the published template refuses a system turn, which ours puts before the question")
    theirs = {"phi": "phi3", "qwen": "qwen2_5", "llama-3": "llama3"}.get(name, name)
    variables = {"bos_token": "" if name in ("phi", "qwen") else "<s>", "eos_token": "</s>"}
    ours = ChatTemplate(name, NAMED[name].source, variables)
    own = ChatTemplate("published", published(theirs), variables)
    tools = [{"type": "function", "function": {"name": "add"}}] if messages[1:2] == [CALLING] else None
    messages = messages[:-1] if prompt else messages
    assert ours.render(messages, tools, prompt=prompt) == own.render(messages, tools, prompt=prompt)
