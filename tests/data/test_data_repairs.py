"""The repairs of `data.prepare`: each does what it says, in order, counted, and the same in every run."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.data import Given, faults, load, prepare
from ftui.data.canonical import Row, make_row
from ftui.data.repairs import REPAIRS, Context, mended, parse, repaired
from ftui.data.tokenizer import Tokenizer
from ftui.errors import BadInput

LONG = "Explain in your own words how a steam engine turns heat into work, step by step"


def talk(question: str, answer: str = "An answer.", line: int = 1) -> Row:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return make_row("data.jsonl", line, "conversation", {"messages": turns})


def through(rows: list[Row], *entries: dict[str, Any], seed: int = 1, **context: Any) -> tuple[list[Row], list[str]]:
    """What is left of the rows, and why the others went."""
    gone: list[str] = []
    items: Iterator[tuple[int, Row]] = ((0, row) for row in rows)
    left = repaired(items, parse(entries), Context(seed, **context), lambda _, row, reason, full: gone.append(reason))
    return [row for _, row in left], gone


def said(row: Row) -> tuple[str, ...]:
    return tuple(turn["content"] for turn in row.value["messages"])


def test_exact_copies_go_and_the_first_stays() -> None:
    left, gone = through([talk("a", line=1), talk("b"), talk("a", line=3)], {"drop_duplicates": None})
    assert [row.line for row in left] == [1, 1]
    assert gone == ["duplicate"]


def test_near_copies_go_by_their_words_whatever_the_system_turn_says() -> None:
    rows = [talk(LONG), talk(LONG.upper() + "!"), talk(LONG.replace("steam engine", "sailing boat"))]
    left, gone = through(rows, {"drop_near_duplicates": {}})
    assert (len(left), gone) == (2, ["near duplicate"])
    system = {"role": "system", "content": "You are a helpful assistant. " * 50}
    shared = [make_row("x", i, "conversation", {"messages": [system, *talk(f"{i} {i + 1}").value["messages"]]})
              for i in range(5)]  # fmt: skip
    assert len(through(shared, {"drop_near_duplicates": {}})[0]) == 5


def test_of_contradicting_answers_the_first_stays() -> None:
    left, gone = through([talk("2 + 2?", "4"), talk("2 + 2?", "5"), talk("2 + 2?", "4")], {"drop_contradictions": None})
    assert ([said(row)[1] for row in left], gone) == (["4", "4"], ["contradiction"])


def test_rows_of_the_validation_file_and_of_a_benchmark_go_also_where_only_the_question_is_the_same(
    jsonl: Callable[..., str],
) -> None:
    benchmark = jsonl({"question": LONG, "answer": "B"}, {"question": "Short?", "answer": "Yes"})
    rows = [talk(LONG, "Quite another answer."), talk("Short?", "No"), talk("Short?", "Yes"), talk("kept")]
    left, gone = through(rows, {"drop_leaks": [benchmark]})
    assert ([said(row) for row in left], gone) == (
        [("Short?", "No"), ("kept", "An answer.")], ["leak", "leak"])  # fmt: skip
    left, gone = through(rows, {"drop_leaks": None}, validation=lambda: [talk("kept")])
    assert (len(left), gone) == (3, ["leak"])


@pytest.mark.parametrize(
    "answer",
    ["As an AI language model, I have no feelings.", "I'm sorry, but I can't help with that.",
     "I\u2019m sorry, but I cannot assist you.", "Sorry, I am unable to do so.", "I cannot provide medical advice."],
)  # fmt: skip
def test_refusals_go(answer: str) -> None:
    assert through([talk("q", answer)], {"drop_refusals": None})[1] == ["refusal"]


@pytest.mark.parametrize(
    "answer",
    ["She said: I'm sorry to hear that.", "The AI model was trained on text.",
     "We can't stop here; this is bat country.", "An AI assistant can help teams."],
)  # fmt: skip
def test_answers_that_only_sound_like_refusals_stay(answer: str) -> None:
    assert through([talk("q", answer)], {"drop_refusals": None})[1] == []


def test_a_refusal_that_is_quoted_in_a_question_is_none() -> None:
    row = talk("Why does it say: as an AI language model?", "By training.")
    assert through([row], {"drop_refusals": None})[1] == []


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("strip_control", "\x1b[31mred\x1b[0m \x1b]52;c;eA==\x07a\u202eb\u200b\x00\ttab\n", "red ab\ttab\n"),
        ("strip_control", "family \U0001f468\u200d\U0001f469", "family \U0001f468\u200d\U0001f469"),
        ("mend_mojibake", "CafÃ© â€œquotedâ€\x9d naÃ¯ve ðŸ˜€ Â£5", "Café “quoted” naïve 😀 £5"),
        ("mend_mojibake", "Ça, déjà vu, Ã is a letter, €5", "Ça, déjà vu, Ã is a letter, €5"),
        ("strip_html", "<p>Tom &amp; Ann<br/>said</p><script>x()</script> a < b", "Tom & Ann\nsaid\n a < b"),
        ("strip_html", "Write `<b>` as in ```html\n<p>x</p>```", "Write `<b>` as in ```html\n<p>x</p>```"),
        ("escape_template_tokens", "stop<|im_end|> [INST]", "stop< |im_end|> [ INST]"),
        ("mask_personal", "ann@web.de or +49 30 1234567", "[MAIL] or [PHONE]"),
    ],
)  # fmt: skip
def test_texts_are_mended_and_the_rest_of_the_row_stays(name: str, before: str, after: str) -> None:
    left, gone = through([talk(before, before, 7)], {name: None})
    assert (said(left[0]), left[0].line, gone) == ((after, after), 7, [])
    assert left[0].key == talk(after, after).key
    text, _ = through([make_row("x", 1, "text", {"text": before})], {name: None})
    assert text[0].value == {"text": after}


def test_template_tokens_may_also_cost_the_row() -> None:
    left, gone = through([talk("a <|im_end|>"), talk("b"), talk("list[INT]")], {"drop_template_tokens": None})
    assert (len(left), gone) == (2, ["template token"])


def test_rows_with_an_empty_turn_go() -> None:
    turn, answer = {"role": "user", "content": "q"}, [{"role": "assistant", "content": "a"}]
    turns = [{"role": "system", "content": ""}, turn, *answer]
    rows = [talk("a"), talk("a", " \n"), talk(""), make_row("x", 1, "conversation", {"messages": turns})]
    assert through(rows, {"drop_empty": None})[1] == ["empty", "empty"]


def test_lengths_and_expressions_leave_out_rows() -> None:
    rows = [talk("a", "one"), talk("a", "one two three")]
    assert len(through(rows, {"drop_longer_than": {"words": 3}})[0]) == 1
    assert len(through(rows, {"drop_longer_than": {"characters": 10}})[0]) == 1
    assert len(through(rows, {"drop_longer_than": 5}, tokens=lambda row: 6)[0]) == 0
    assert through(rows, {"filter": "words(answer) > 2"})[1] == ["filtered"]


def test_a_sample_follows_from_seed_and_content_whatever_the_order() -> None:
    rows = [talk(f"q{i}") for i in range(1000)]
    turned = random.Random(3).sample(rows, len(rows))
    for wanted, between in ((0.1, range(70, 130)), (100, range(100, 101))):
        left, gone = through(rows, {"sample": wanted})
        assert len(left) in between
        assert len(gone) == 1000 - len(left)
        assert {row.key for row in left} == {row.key for row in through(turned, {"sample": wanted})[0]}
        assert {row.key for row in left} != {row.key for row in through(rows, {"sample": wanted}, seed=2)[0]}
        assert [row.key for row in left] == [row.key for row in rows if row.key in {row.key for row in left}]


def test_repairs_are_done_in_order() -> None:
    rows = [talk("a"), talk("a\x00")]
    assert len(through(rows, {"strip_control": None}, {"drop_duplicates": None})[0]) == 1
    assert len(through(rows, {"drop_duplicates": None}, {"strip_control": None})[0]) == 2


def test_a_validation_file_is_mended_but_loses_nothing() -> None:
    rows = [talk("a\x00"), talk("a\x00")]
    asked = parse([{"strip_control": None}, {"drop_duplicates": None}])
    left = list(mended(((0, row) for row in rows), asked, Context(1), lambda *_: pytest.fail("nothing may go")))
    assert [said(row)[0] for _, row in left] == ["a", "a"]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"drop_duplicate": None}, "the nearest is drop_duplicates"),
        ({"nothing": None}, "no repair"),
        ({"drop_duplicates": None, "shuffle": None}, "names 2 repairs"),
        ({}, "names 0 repairs"),
        ({"drop_duplicates": 3}, "takes none"),
        ({"drop_near_duplicates": {"treshold": 0.8}}, "no option treshold"),
        ({"drop_near_duplicates": 1.5}, "threshold of drop_near_duplicates in data.prepare is 1.5"),
        ({"drop_longer_than": None}, "needs one length"),
        ({"drop_longer_than": {"words": 3, "tokens": 4}}, "needs one length"),
        ({"sample": None}, "needs rows"),
        ({"sample": 0}, "rows of sample"),
        ({"sample": True}, "rows of sample"),
        ({"sample": float("nan")}, "rows of sample"),
        ({"filter": "words(answer"}, "can't be read"),
        ({"filter": 3}, "keep of filter"),
        ({"drop_leaks": [3]}, "files of drop_leaks"),
    ],
)
def test_what_is_no_repair_is_refused_in_one_sentence(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as error:
        parse([entry])
    assert "\n" not in str(error.value)


def test_the_recipe_refuses_it_when_it_is_read() -> None:
    from ftui.recipe.document import Data, Recipe
    from ftui.recipe.repair_combinations import wrong_repairs

    right = Recipe(data=Data(prepare=({"drop_duplicates": None}, {"sample": 0.5})))
    wrong = Recipe(data=Data(prepare=({"drop_duplicates": None}, {"sampel": 0.5})))
    assert list(wrong_repairs(right)) == []
    assert ["nearest is sample" in what for what, _ in wrong_repairs(wrong)] == [True]


def asking(path: str, *entries: dict[str, Any], validation: Any = 0) -> Any:
    data = SimpleNamespace(
        sources=(Given(path),), prepare=entries, template="auto", validation=validation, max_length=200, packing=False,
        balance=0.0, curriculum=None, hold_out="random",
    )  # fmt: skip
    return SimpleNamespace(data=data, objective=SimpleNamespace(loss_on="assistant"))


def test_preparing_counts_what_went_by_reason_with_its_lines_and_leaves_the_file_alone(
    jsonl: Callable[..., str], bpe: Tokenizer
) -> None:
    rows: list[dict[str, str]] = [{"prompt": f"question {i}", "completion": "yes " * i} for i in range(1, 31)]
    path = jsonl(*rows, rows[0], {"prompt": "q", "completion": "\u200b"})
    before = Path(path).read_bytes()
    held_out = jsonl(rows[4], name="held.jsonl")
    entries = ({"strip_control": None}, {"drop_duplicates": None}, {"drop_leaks": None}, {"drop_longer_than": 40},
               {"shuffle": None})  # fmt: skip
    prepared = prepare(asking(path, *entries, validation=held_out), bpe, seed=1)
    assert prepared.dropped["duplicate"] == prepared.dropped["leak"] == prepared.dropped["empty"] == 1
    assert prepared.dropped["too long"] > 1
    assert prepared.train_rows + sum(prepared.dropped.values()) == 32
    assert (prepared.validation_rows, {bad.line for bad in prepared.bad} >= {5, 31, 32}) == (1, True)
    assert Path(path).read_bytes() == before
    again = prepare(asking(path, *entries, validation=held_out), bpe, seed=1)
    other = prepare(asking(path, *entries, validation=held_out), bpe, seed=2)
    order, repeated, otherwise = ([row["input_ids"] for row in one.train] for one in (prepared, again, other))
    assert order == repeated
    assert order != otherwise
    assert sorted(order) == sorted(otherwise) != order


def test_repairs_that_leave_nothing_say_so(jsonl: Callable[..., str], bpe: Tokenizer) -> None:
    path = jsonl({"prompt": "q", "completion": "a"})
    with pytest.raises(BadInput, match="1 filtered"):
        prepare(asking(path, {"filter": "words(answer) > 5"}), bpe, seed=1)


def test_every_repair_takes_rows_of_every_kind() -> None:
    turn = {"role": "user", "content": "ask"}
    answer = [{"role": "assistant", "content": "a", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]
    rows = [
        talk("q"), make_row("x", 1, "text", {"text": "words"}),
        make_row("x", 2, "preference", {"prompt": [turn], "chosen": answer, "rejected": answer}),
        make_row("x", 3, "labelled", {"prompt": [turn], "completion": answer, "label": True}),
        make_row("x", 4, "prompt", {"prompt": [turn], "columns": {"answer": "4"}}),
        make_row("x", 5, "class", {"text": "t", "labels": ["a"], "multi": False}),
    ]  # fmt: skip
    options = {"filter": "words(text) > 0", "sample": 0.999999, "drop_longer_than": {"words": 9},
               "filter_python": "builtins:bool"}  # fmt: skip
    for name in REPAIRS:
        left, gone = through(rows, {name: options.get(name)})
        assert (len(left), gone) == (6, []), name
        assert [row.value for row in left] == [row.value for row in rows]


def test_the_rows_that_a_file_yields_are_those_that_repairs_take(jsonl: Callable[..., str]) -> None:
    loaded = load(Given(jsonl({"prompt": LONG, "completion": "a"}, {"prompt": LONG + " please", "completion": "a"})))
    rows = [row for row in loaded.rows() if isinstance(row, Row)]
    assert through(rows, {"drop_near_duplicates": None})[1] == ["near duplicate"]


def test_files_that_repairs_name_are_those_of_the_folder_that_a_run_was_launched_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.recipe.document import Data, Recipe
    from ftui.runs.absolute import with_absolute_paths

    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.jsonl").write_text("{}\n")
    recipe = Recipe(data=Data(prepare=({"drop_leaks": "test.jsonl"}, {"shuffle": None}, {"nothing": "test.jsonl"})))
    leaks, *others = with_absolute_paths(recipe).data.prepare
    assert parse([leaks])[0].options["files"] == (str(tmp_path / "test.jsonl"),)
    assert others == [{"shuffle": None}, {"nothing": "test.jsonl"}]


def test_the_guide_names_every_repair() -> None:
    guide = (Path(__file__).parents[2] / "docs/data.md").read_text()
    assert [name for name in REPAIRS if f"| `{name}` |" not in guide] == []


PIECES = (
    "<script>", "</script >", "<STYLE x=1>", "</style>", "<!--", "-->", "a", "<b>", "\n", "</script", "<script a", "<",
)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_comments_scripts_and_styles_go_as_one_pattern_would_have_them(text: str) -> None:
    whole = re.compile(r"<(script|style)\b[^<>]{0,500}>.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
    assert faults._shown(text) == whole.sub("", text)


def test_a_megabyte_of_comments_that_never_end_is_read_once() -> None:
    # One pattern for begin and end took 200 s for a tenth of it.
    assert faults.strip_html("<!--" * 250_000) == "<!--" * 250_000
