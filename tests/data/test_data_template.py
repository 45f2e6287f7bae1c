"""Turns become text by the right template, and exactly the assistant's words with their end are trained."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.canonical import RowError, make_row
from ftui.data.images import as_parts
from ftui.data.masking import Writer
from ftui.data.named_templates import NAMED
from ftui.data.template import ChatTemplate, LossOn, choose_template
from ftui.data.tokenizer import Tokenizer
from ftui.errors import BadInput

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}
ENDS = {"chatml": "<|im_end|>", "plain": "</s>", "alpaca": "</s>", "llama-3": "<|eot_id|>", "mistral": "</s>",
        "gemma": "<end_of_turn>", "qwen": "<|im_end|>", "phi": "<|end|>", "llama-2": " </s>",
        "vicuna": "</s>"}  # fmt: skip
TALK = [
    {"role": "user", "content": "Hi, who?"},
    {"role": "assistant", "content": "I am Bo."},
    {"role": "user", "content": "Sum 1+1"},
    {"role": "assistant", "content": "It is 2.\n\nDone"},
]
SYSTEM = {"role": "system", "content": "Be kind."}


def template(source: str, **more: Any) -> ChatTemplate:
    return ChatTemplate("test", source, VARIABLES, **more)


def turns(chosen: ChatTemplate, messages: list[dict[str, Any]] = TALK) -> list[str]:
    rendered = chosen.render_row(messages)
    return [rendered.text[start:end] for start, end in rendered.turns]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("messages", [TALK, [SYSTEM, *TALK]], ids=["plain", "system"])
def test_named_templates_train_what_the_assistant_says_and_its_end(
    with_bos: Tokenizer, name: str, messages: list[dict[str, str]]
) -> None:
    chosen = choose_template(name, with_bos)
    assert turns(chosen, messages) == [f"I am Bo.{ENDS[name]}", f"It is 2.\n\nDone{ENDS[name]}"]
    text = chosen.render(messages)
    assert text.startswith("<s>")
    assert text.count("<s>") == (2 if name == "llama-2" else 1)
    assert all(message["content"] in text for message in messages)
    assert chosen.end_of_turn == ENDS[name]


@pytest.mark.parametrize("name", NAMED)
def test_what_a_template_lets_the_assistant_continue_is_how_the_row_goes_on(with_bos: Tokenizer, name: str) -> None:
    chosen = choose_template(name, with_bos)
    prompt = chosen.render(TALK[:3], prompt=True)
    assert chosen.render(TALK).startswith(prompt)


letters = st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs", "Zs", "Cn"])
words = st.text(letters, min_size=1)
conversations = st.lists(st.tuples(words, words), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(pairs=conversations, name=st.sampled_from(sorted(NAMED)), loss_on=st.sampled_from(["assistant", "completion"]))
def test_trained_tokens_decode_to_exactly_the_answers_and_their_ends(
    with_bos: Tokenizer, pairs: list[tuple[str, str]], name: str, loss_on: LossOn
) -> None:
    answers = [answer for _, answer in pairs][-1 if loss_on == "completion" else 0 :]
    messages = []
    for question, answer in pairs:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    writer = Writer(with_bos, choose_template(name, with_bos), loss_on)
    [tokens] = writer.tokens([writer.write(make_row("", 1, "conversation", {"messages": messages}))])
    trained = with_bos.decode([index for index, yes in zip(tokens.ids, tokens.trained, strict=True) if yes])
    expected = "".join(answer + ENDS[name] for answer in answers)
    if name in ("mistral", "llama-2", "vicuna"):
        # The space before an answer is one token with its first letters.
        trained, expected = trained.replace(" ", ""), expected.replace(" ", "")
    assert trained == expected


def test_loss_on_all_trains_all_tokens_but_the_first(with_bos: Tokenizer) -> None:
    writer = Writer(with_bos, choose_template("chatml", with_bos), "all")
    [tokens] = writer.tokens([writer.write(make_row("", 1, "conversation", {"messages": TALK}))])
    assert tokens.ids[0] == with_bos.bos_id
    assert list(tokens.trained) == [0] + [1] * (len(tokens.ids) - 1)


@pytest.mark.parametrize("loss_on", ["assistant", "completion", "all"])
def test_plain_text_stands_between_bos_and_eos_and_is_all_trained(with_bos: Tokenizer, loss_on: LossOn) -> None:
    writer = Writer(with_bos, choose_template("auto", with_bos), loss_on)
    [tokens] = writer.tokens([writer.write(make_row("", 1, "text", {"text": "words"}))])
    assert list(tokens.ids) == [with_bos.bos_id, *with_bos.encode("words"), with_bos.eos_id]
    assert list(tokens.trained) == [0] + [1] * (len(tokens.ids) - 1)


def trl_templates() -> list[Path]:
    """Real models' templates, as trl ships them, each with a twin in which trl marks what is trained."""
    import importlib.util

    spec = importlib.util.find_spec("trl")
    places = list(spec.submodule_search_locations or []) if spec else []
    folder = Path(places[0]) / "chat_templates" if places else Path("nowhere")
    return sorted(path for path in folder.glob("*.jinja") if path.with_stem(f"{path.stem}_training").exists())


def strip(text: str) -> str:
    """Differences of opinion, not of masks: white space, and headers and empty thoughts that trl trains, too."""
    thoughts = ("<think>\n\n</think>", "<think></think>", "</think>")
    for part in (*thoughts, "<｜Assistant｜>", "<|start|>assistant", "<eos>"):
        text = text.replace(part, "")
    return "".join(text.split())


@pytest.mark.parametrize("path", trl_templates(), ids=lambda path: path.stem)
def test_turns_found_in_real_templates_are_those_that_trl_marks(path: Path) -> None:
    variables = {"bos_token": "<bos>", "eos_token": "<eos>"}
    ours = ChatTemplate(path.stem, path.read_text(), variables, stops=("<|user|>",))
    marked = ChatTemplate("trl", path.with_stem(f"{path.stem}_training").read_text(), variables)
    try:
        found = turns(ours)
    except RowError as error:
        assert "refuses" in str(error)  # noqa: PT017
        return
    # Vision models' templates write nothing for plain text.
    talk = [{**turn, "content": as_parts(turn["content"])} for turn in TALK] if ours.in_parts else TALK
    text, spans = marked.compiled.render(talk, tools=None, documents=None, add_generation_prompt=False, **variables)
    theirs = "".join(text[start:end] for start, end in spans)
    # GLM's last answer ends with a header that only trl's twin writes.
    assert strip("".join(found)) == strip(theirs).removesuffix("<|user|>")


def test_a_template_that_writes_thoughts_only_for_the_last_turn_keeps_both_masks_right() -> None:
    source = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}"
        "<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    assert turns(template(source)) == ["I am Bo.<|im_end|>", "<think>\n\n</think>\n\nIt is 2.\n\nDone<|im_end|>"]


def test_a_template_that_trims_what_is_said_keeps_the_masks_right() -> None:
    source = "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}</s>{% endfor %}"
    messages = [{"role": "user", "content": " a "}, {"role": "assistant", "content": "\n b "}]
    assert turns(template(source), messages) == ["b</s>"]


def test_the_same_answer_twice_is_found_in_its_own_places() -> None:
    source = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    messages = [{"role": "user", "content": "b"}, {"role": "assistant", "content": "b"}] * 2
    rendered = template(source).render_row(messages)
    assert [rendered.text[start - 11 : end] for start, end in rendered.turns] == ["assistant: b"] * 2


def test_a_turn_that_holds_only_calls_is_found() -> None:
    source = (
        "{% for m in messages %}<|{{ m.role }}|>{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}"
        "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    messages = [TALK[0], {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}, TALK[2], TALK[3]]
    assert turns(template(source), messages) == ['[{"name": "f"}]<|end|>', "It is 2.\n\nDone<|end|>"]


def test_a_tagged_template_is_followed_and_its_end_of_turn_is_added() -> None:
    source = (
        "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|end|>\n{% endfor %}"
    )
    assert turns(template(source)) == ["I am Bo.<|end|>", "It is 2.\n\nDone<|end|>"]


def test_a_template_that_refuses_a_row_says_so_in_its_own_words() -> None:
    chosen = template("{{ raise_exception('Roles must alternate') }}")
    with pytest.raises(RowError, match="Roles must alternate"):
        chosen.render(TALK)
    with pytest.raises(RowError, match="fails on it"):
        template("{{ messages[0].content + 1 }}").render(TALK)


def test_templates_run_in_a_sandbox() -> None:
    for escape in (
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('id') }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
    ):
        with pytest.raises(RowError):
            template(escape).render(TALK)


def test_templates_have_the_globals_of_transformers() -> None:
    source = "{{ messages | tojson }} {{ strftime_now('%Y') }}{% for m in messages %}{% break %}{% endfor %}"
    text = template(source).render(TALK)
    assert '{"role": "user", "content": "Hi, who?"}' in text
    assert str(datetime.now().year) in text


def test_a_template_that_writes_the_date_can_be_given_one(bpe: Tokenizer) -> None:
    from dataclasses import replace

    dated = replace(bpe, chat_template="{{ strftime_now('%Y') }}")
    assert choose_template("auto", dated, 86_400.0 * 200).render(TALK) == "1970"


def test_functions_go_into_the_system_turn_where_the_template_has_no_place_for_them() -> None:
    source = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    text = template(source).render([SYSTEM, *TALK], [{"name": "sum"}])
    assert text.startswith('system: Be kind.\n\nYou can call these functions:\n{"name": "sum"}\n')
    assert "sum" in template("{{ tools[0].name }}").render(TALK, [{"name": "sum"}])


def test_auto_takes_the_models_own_then_chatml_where_the_vocabulary_has_it_then_plain_words(
    bpe: Tokenizer, tmp_path: Path
) -> None:
    from dataclasses import replace

    own = replace(bpe, chat_template="{{ messages[0].content }}")
    assert choose_template("auto", own).name == "model"
    assert choose_template("auto", bpe).name == "chatml"
    from tokenizers import Tokenizer as Backend
    from tokenizers import models

    bare = replace(bpe, backend=Backend(models.BPE()))
    chosen = choose_template("auto", bare)
    assert chosen.name == "plain"
    assert "plain words" in chosen.notes[0]
    assert "no tokens of this vocabulary" in choose_template("llama-3", bpe).notes[0]


def test_a_template_file_is_taken_and_a_wrong_name_refused(bpe: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text("{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}")
    assert choose_template(str(path), bpe).render(TALK[:1]) == "Hi, who?<|endoftext|>"
    with pytest.raises(BadInput, match="chatml"):
        choose_template("chatlm", bpe)
    with pytest.raises(BadInput, match="has no chat template"):
        choose_template("model", bpe)
    path.write_text("{% for %}")
    with pytest.raises(BadInput, match="no valid Jinja"):
        choose_template(str(path), bpe).render(TALK)


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("name", NAMED)
def test_transformers_renders_named_templates_to_the_same_tokens_and_masks(
    bos_folder: Path, with_bos: Tokenizer, name: str
) -> None:
    from transformers import AutoTokenizer

    chosen = choose_template(name, with_bos)
    oracle = AutoTokenizer.from_pretrained(bos_folder)
    theirs = oracle.apply_chat_template(
        TALK, chat_template=chosen.source, return_dict=True, return_assistant_tokens_mask=True
    )
    writer = Writer(with_bos, chosen, "assistant")
    [ours] = writer.tokens([writer.write(make_row("", 1, "conversation", {"messages": TALK}))])
    assert list(ours.ids) == theirs["input_ids"]
    assert list(ours.trained) == theirs["assistant_masks"]
