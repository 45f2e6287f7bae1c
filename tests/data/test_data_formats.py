"""Formats are named with their confidence, rows become canonical, and a row that doesn't says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.canonical import Row, make_row
from ftui.data.convert import FORMATS
from ftui.data.document import BadRow
from ftui.data.formats import choose, detect
from ftui.data.given import Given, as_sources
from ftui.data.loading import Loaded, load
from ftui.errors import BadInput


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def values(loaded: Loaded) -> list[Any]:
    return [row.value if isinstance(row, Row) else row.reason for row in loaded.rows()]


@pytest.mark.parametrize(
    ("file", "columns", "format", "kind", "rows"),
    [
        ("llamafactory/alpaca_en_demo.json", {}, "alpaca", "conversation", 999),
        ("llamafactory/identity.json", {}, "alpaca", "conversation", 91),
        ("llamafactory/glaive_toolcall_en_demo.json", {}, "sharegpt", "conversation", 300),
        ("llamafactory/dpo_en_demo.json", {}, "preference", "preference", 300),
        ("llamafactory/kto_en_demo.json", {}, "kto", "labelled", 300),
        ("llamafactory/c4_demo.jsonl", {}, "text", "text", 300),
        ("llamafactory/wiki_demo.txt", {}, "text", "text", 30),
        ("gsm8k/train.jsonl", {}, "prompt-completion", "conversation", 7473),
        ("gsm8k/test.jsonl", {"prompt": "question", "completion": "answer"}, "prompt-completion", "conversation", 1319),
        ("crows-pairs/crows_pairs_anonymized.csv", {"chosen": "sent_less", "rejected": "sent_more"}, "preference",
         "preference", 1508),
        ("crows-pairs/crows_pairs_anonymized.csv", {"text": "sent_more"}, "text", "text", 1508),
    ],
)  # fmt: skip
def test_real_files_are_read_whole_in_their_format(
    shared_data: Path, file: str, columns: dict[str, str], format: str, kind: str, rows: int
) -> None:
    loaded = load(Given(str(shared_data / file), columns=columns))
    assert (loaded.format.format, loaded.kind) == (format, kind)
    assert loaded.format.confidence >= 0.8
    found = list(loaded.rows())
    assert len(found) == rows
    assert not [row for row in found if isinstance(row, BadRow)]


def test_a_real_tool_conversation_keeps_its_functions_and_roles(shared_data: Path) -> None:
    loaded = load(Given(str(shared_data / "llamafactory/glaive_toolcall_en_demo.json")))
    first = next(iter(loaded.rows()))
    assert isinstance(first, Row)
    roles = [message["role"] for message in first.value["messages"]]
    assert roles[:6] == ["user", "assistant", "user", "assistant", "tool", "assistant"]
    assert first.value["tools"][0]["function"]["name"] == "search_recipes"


def test_unknown_columns_are_refused_in_one_sentence(shared_data: Path) -> None:
    with pytest.raises(BadInput) as unknown:
        load(Given(str(shared_data / "crows-pairs/crows_pairs_anonymized.csv")))
    assert "sent_more, sent_less" in str(unknown.value)
    assert "--map" in str(unknown.value)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("crows-pairs", "which is no format that ftui knows"),
        ("crows-pairs/crows_pairs_anonymized.csv", "which is no format that ftui knows"),
        ("tokenizers/llama2/tokenizer.model", "is a binary file"),
        ("tokenizers/llama2", "There is no data file in the folder"),
        ("tokenizers", "There is no data file in the folder"),
        ("llamafactory/mllm_demo_data", "There is no data file in the folder"),
        ("llamafactory/mllm_demo_data/1.jpg", "is a JPEG image"),
        ("llamafactory", "holds files of several kinds"),
        ("llamafactory/LICENSE", "is of no kind that is known"),
    ],
)
def test_what_is_no_training_data_is_refused_in_one_sentence(shared_data: Path, path: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        load(Given(str(shared_data / path)))
    assert says in str(refused.value)
    assert "\n" not in refused.value.what


CONVERSATION = [user("q"), assistant("a")]
SHAREGPT = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]


@pytest.mark.parametrize(
    ("row", "format", "value"),
    [
        ({"instruction": "q", "output": "a"}, "alpaca", {"messages": CONVERSATION}),
        ({"instruction": "q", "input": "", "output": "a", "id": 1}, "alpaca", {"messages": CONVERSATION}),
        ({"instruction": "q", "input": "more", "output": "a"}, "alpaca",
         {"messages": [user("q\nmore"), assistant("a")]}),
        ({"instruction": "q", "context": "more", "response": "a"}, "alpaca",
         {"messages": [user("q\nmore"), assistant("a")]}),
        ({"instruction": "q", "output": "a", "system": "be kind", "history": [["x", "y"]]}, "alpaca",
         {"messages": [{"role": "system", "content": "be kind"}, user("x"), assistant("y"), *CONVERSATION]}),
        ({"conversations": SHAREGPT}, "sharegpt", {"messages": CONVERSATION}),
        ({"conversations": SHAREGPT, "system": "s"}, "sharegpt",
         {"messages": [{"role": "system", "content": "s"}, *CONVERSATION]}),
        ({"messages": CONVERSATION}, "messages", {"messages": CONVERSATION}),
        ({"conversations": CONVERSATION}, "messages", {"messages": CONVERSATION}),
        ({"messages": json.dumps(CONVERSATION)}, "messages", {"messages": CONVERSATION}),
        ({"messages": [user("q"), {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]}, "messages",
         {"messages": CONVERSATION}),
        ({"messages": [user("q"), {**assistant("a"), "reasoning_content": "hm"}]}, "messages",
         {"messages": [user("q"), assistant("<think>\nhm\n</think>\n\na")]}),
        ({"prompt": "q", "completion": "a"}, "prompt-completion", {"messages": CONVERSATION}),
        ({"prompt": [user("q")], "completion": [assistant("a")]}, "prompt-completion", {"messages": CONVERSATION}),
        ({"question": "q", "answer": 7}, "prompt-completion", {"messages": [user("q"), assistant("7")]}),
        ({"instruction": "q", "response": "a"}, "prompt-completion", {"messages": CONVERSATION}),
        ({"text": "words"}, "text", {"text": "words"}),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "preference",
         {"prompt": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]}),
        ({"chosen": CONVERSATION, "rejected": [user("q"), assistant("b")]}, "preference",
         {"prompt": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]}),
        ({"prompt": "q", "chosen": CONVERSATION, "rejected": [user("q"), assistant("b")]}, "preference",
         {"prompt": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]}),
        ({"conversations": SHAREGPT[:1], "chosen": SHAREGPT[1], "rejected": {"from": "gpt", "value": "b"}},
         "preference", {"prompt": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]}),
        ({"messages": CONVERSATION, "label": True}, "kto",
         {"prompt": [user("q")], "completion": [assistant("a")], "label": True}),
        ({"prompt": "q", "completion": "a", "label": "False"}, "kto",
         {"prompt": [user("q")], "completion": [assistant("a")], "label": False}),
    ],
)  # fmt: skip
def test_every_format_is_recognized_and_made_canonical(
    jsonl: Callable[..., str], row: dict[str, Any], format: str, value: dict[str, Any]
) -> None:
    loaded = load(Given(jsonl(row, row)))
    assert loaded.format.format == format
    assert values(loaded) == [value, value]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": [{"role": "alien", "content": "x"}]}, "unknown role 'alien'"),
        ({"messages": [{"content": "x"}]}, "a turn has no role"),
        ({"messages": [user("q")]}, "no turn of the assistant, so nothing to learn from"),
        ({"messages": []}, "column 'messages' is an empty list"),
        ({"messages": None}, "column 'messages' is null"),
        ({"messages": 3}, "column 'messages' holds a number where a list should be"),
        ({"messages": "no JSON"}, "column 'messages' holds a text where a list should be"),
        ({"other": 1}, "column 'messages' is missing"),
        ({"messages": [user("q"), {"role": "assistant", "content": None}]},
         "a turn of role 'assistant' has no content"),
        ({"messages": [user("q"), assistant("half \ud800 of it")]}, "half a Unicode character (\\ud800)"),
        ({"messages": [user("q"), {"role": "assistant", "content": [{"type": "image_url"}]}]},
         "a turn holds 'image_url'; only text can be trained"),
        ({"messages": [*CONVERSATION], "images": ["a.jpg"]},
         "its image a.jpg can't be read: No such file or directory"),
        ({"messages": [*CONVERSATION], "images": [3]}, "column 'images' must hold file names"),
        ({"messages": [*CONVERSATION], "videos": ["a.mp4"]}, "has videos; only text can be trained"),
        ({"messages": [["q", "a"]]}, "column 'messages' holds a list where a turn should be"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_told_with_its_line_and_reason(
    jsonl: Callable[..., str], row: dict[str, Any], reason: str
) -> None:
    good = {"messages": CONVERSATION}
    found = list(load(Given(jsonl(good, good, row))).rows())
    assert found[2] == BadRow(source=found[2].source, line=3, reason=reason)


def test_confidence_falls_with_the_rows_that_do_not_fit_and_alternatives_are_named(jsonl: Callable[..., str]) -> None:
    whole = detect([{"text": "a"}] * 4)
    half = detect([{"text": "a"}, {"text": None}, {"text": 3}, {"text": "b"}])
    assert (whole[0].confidence, half[0].confidence) == (0.95, 0.475)
    both = detect([{"messages": CONVERSATION, "text": "q a"}])
    assert [candidate.format for candidate in both] == ["messages", "text"]


def test_columns_are_mapped_by_hand_and_the_format_follows_from_the_parts(jsonl: Callable[..., str]) -> None:
    path = jsonl({"q": "question", "a": "answer", "b": "worse"})
    mapped = load(Given(path, columns={"prompt": "q", "completion": "a"}))
    assert values(mapped) == [{"messages": [user("question"), assistant("answer")]}]
    assert load(Given(path, columns={"text": "a"})).format.format == "text"
    pairs = load(Given(path, columns={"prompt": "q", "chosen": "a", "rejected": "b"}))
    assert values(pairs)[0]["rejected"] == [assistant("worse")]


def test_a_format_said_by_hand_wins_over_the_detected_one(jsonl: Callable[..., str]) -> None:
    path = jsonl({"messages": CONVERSATION, "text": "words"})
    assert values(load(Given(path, format="text"))) == [{"text": "words"}]
    path = jsonl({"prompt": "q", "chosen": "good", "rejected": "bad"})
    chosen = load(Given(path, format="prompt-completion", columns={"completion": "chosen"}))
    assert values(chosen) == [{"messages": [user("q"), assistant("good")]}]


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"columns": {"prompt": "qestion", "completion": "answer"}}, "Did you mean 'question'?"),
        ({"columns": {"promt": "question"}}, "The parts are:"),
        ({"columns": {"prompt": "question"}, "format": "text"}, "Its parts are: text."),
        ({"format": "alpaca"}, "--map instruction=COLUMN; it has: question, answer."),
        ({"format": "chatty"}, "The formats are: alpaca,"),
        ({"format": "kto"}, "no column for"),
    ],
)
def test_a_wrong_mapping_names_what_there_is(jsonl: Callable[..., str], said: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as refused:
        load(Given(jsonl({"question": "q", "answer": "a"}), **said))
    assert says in str(refused.value)


def test_a_file_without_a_good_row_is_refused_with_the_first_reason(jsonl: Callable[..., str]) -> None:
    from ftui.data import profile

    with pytest.raises(BadInput, match=r"No row of .* can be read.*line 1: broken JSON"):
        load(Given(jsonl("{", "{")))
    with pytest.raises(BadInput, match="has no rows"):
        load(Given(jsonl("[]", name="a.json")))
    with pytest.raises(BadInput, match=r"None of the 2 rows .* line 1: column 'text' is null"):
        profile(Given(jsonl({"text": None}, {"text": None}), format="text"))


def test_latin_1_text_is_named_with_the_command_that_converts_it(tmp_path: Path) -> None:
    for name, content in (("a.txt", "Äpfel\n\nÖl\n"), ("a.jsonl", '{"text": "Äpfel"}\n'), ("a.csv", "text\nÄpfel\n")):
        path = tmp_path / name
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(BadInput, match="iconv -f WINDOWS-1252 -t UTF-8"):
            load(Given(str(path)))


def test_parquet_turns_whose_keys_are_all_filled_with_null_are_told_apart(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    turns = [{"from": "human", "value": "q", "role": None}, {"from": "gpt", "value": "a", "role": None}]
    parquet.write_table(pyarrow.Table.from_pylist([{"conversations": turns}]), tmp_path / "a.parquet")
    loaded = load(Given(str(tmp_path / "a.parquet")))
    assert (loaded.format.format, values(loaded)) == ("sharegpt", [{"messages": CONVERSATION}])


def test_limit_takes_the_first_good_rows(jsonl: Callable[..., str]) -> None:
    loaded = load(Given(jsonl({"text": "a"}, "{", {"text": "b"}, {"text": "c"}), limit=2))
    found = values(loaded)
    assert (found[0], found[2:]) == ({"text": "a"}, [{"text": "b"}])
    assert "at column 2" in found[1]


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
turns = st.lists(st.tuples(words, words), min_size=1, max_size=3).map(
    lambda pairs: [message for question, answer in pairs for message in (user(question), assistant(answer))]
)


@settings(max_examples=100, deadline=None)
@given(messages=turns)
def test_a_canonical_conversation_read_again_stays_as_it_is(messages: list[dict[str, str]]) -> None:
    for row, name in (
        ({"messages": messages}, "messages"),
        ({"messages": [{"from": m["role"], "value": m["content"]} for m in messages]}, "sharegpt"),
        ({"prompt": messages[:-1], "completion": messages[-1:]}, "prompt-completion"),
    ):
        detected, _ = choose([json.loads(json.dumps(row))], source="test")
        assert detected.format == name
        value = FORMATS[name].convert(row, detected.columns)
        assert value == {"messages": messages}
        assert make_row("test", 1, "conversation", value).key == make_row("x", 2, "conversation", value).key


def test_a_source_of_a_recipe_stands_for_itself_alone_or_among_others() -> None:
    from ftui.recipe.document import DataSource

    one = DataSource(path="a.jsonl", limit=3)
    assert as_sources(one) == (one,)
    assert as_sources([one, "b.jsonl"]) == (one, Given("b.jsonl"))
    assert as_sources("b.jsonl") == (Given("b.jsonl"),)
