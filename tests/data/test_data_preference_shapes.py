"""Better and worse answers in every shape in which such data is published become one kind of pair."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.canonical import Row, RowError
from ftui.data.convert import FORMATS
from ftui.data.given import Given
from ftui.data.loading import load
from ftui.data.transcripts import is_transcript, turns_in


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def rated(**scores: Any) -> dict[str, Any]:
    """UltraFeedback's annotations: a rating for each aspect, as texts."""
    return {"annotations": {aspect: {"Rating": score, "Rationale": "..."} for aspect, score in scores.items()}}


PAIR = {"prompt": [user("q")], "chosen": [assistant("good")], "rejected": [assistant("bad")]}
HH = "\n\nHuman: q\n\nAssistant: first\n\nHuman: more\n\nAssistant: "
HH_PAIR = {"prompt": [user("q"), assistant("first"), user("more")], "chosen": [assistant("good")],
           "rejected": [assistant("bad")]}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "format", "value"),
    [
        ({"chosen": HH + "good", "rejected": HH + "bad"}, "preference", HH_PAIR),
        ({"prompt": HH.rstrip(), "chosen": " good", "rejected": " bad"}, "preference",
         HH_PAIR | {"chosen": [assistant(" good")], "rejected": [assistant(" bad")]}),
        ({"prompt": "q", "chosen": "good", "rejected": "bad", "score_chosen": 8.5, "score_rejected": "6"}, "preference",
         PAIR | {"margin": 2.5}),
        ({"prompt": "q", "chosen": "good", "rejected": "bad", "chosen-rating": 1, "rejected-rating": 3}, "preference",
         PAIR | {"margin": 0.0}),
        ({"prompt": "q", "chosen": "good", "rejected": "bad", "margin": 1, "score_chosen": 9, "score_rejected": 1},
         "preference", PAIR | {"margin": 1.0}),
        ({"prompt": "q", "chosen": [user("q"), assistant("good")], "rejected": [user("q"), assistant("bad")],
          "messages": [user("q"), assistant("good")], "score_chosen": 9.0, "score_rejected": None}, "preference", PAIR),
        ({"instruction": "q", "completions": [
            {"model": "x", "response": "bad", "overall_score": 10.0, **rated(honesty="1", truth="2")},
            {"model": "y", "response": "good", "overall_score": 5.0, **rated(honesty="5", truth="N/A")}]},
         "ranked", PAIR | {"margin": 3.5}),
        ({"instruction": "q", "completions": [{"response": "good", "overall_score": 8.0},
                                              {"response": "bad", "overall_score": 2}]},
         "ranked", PAIR | {"margin": 6.0}),
        ({"instruction": "q", "generations": ["soso", "good", "bad"], "ratings": [3.0, 5.0, 1.0]}, "ranked",
         PAIR | {"margin": 4.0}),
        ({"prompt": "q", "responses": ["soso", "good", "bad"], "ranks": [2, 1, 3]}, "ranked", PAIR),
        ({"prompt": "q", "answers": [{"answer": "bad", "rank": 7.0}, {"answer": "good", "rank": 1.0}]}, "ranked", PAIR),
        ({"question": "q", "responses": [[assistant("good")], [assistant("bad")]], "scores": [1, 0]}, "ranked",
         PAIR | {"margin": 1.0}),
        ({"prompt": "q", "response_0": "bad", "response_1": "good", "is_response_0_safe": False,
          "better_response_id": 1, "safer_response_id": 0}, "safe-rlhf", PAIR),
        ({"prompt": "q", "response_0": "good", "response_1": "bad", "safer_response_id": 0.0}, "safe-rlhf", PAIR),
        ({"post_id": "x", "history": "q", "human_ref_A": "good", "human_ref_B": "bad", "labels": 1, "score_A": 52,
          "score_B": 54, "score_ratio": 1.0}, "shp", PAIR),
        ({"history": "q", "human_ref_A": "bad", "human_ref_B": "good", "labels": "0"}, "shp", PAIR),
        ({"model_a": "x", "model_b": "y", "winner": "model_b", "conversation_a": [user("q"), assistant("bad")],
          "conversation_b": [user("q"), assistant("good")]}, "arena", PAIR),
        ({"prompt": "q", "response_a": "good", "response_b": "bad", "winner": "A"}, "arena", PAIR),
        ({"prompt": "q", "response": "a", "label": "thumbs_up"}, "kto",
         {"prompt": [user("q")], "completion": [assistant("a")], "label": True}),
        ({"question": "q", "answer": "a", "kto_tag": "undesirable"}, "kto",
         {"prompt": [user("q")], "completion": [assistant("a")], "label": False}),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "desirable": True}, "kto",
         {"prompt": [user("q")], "completion": [assistant("a")], "label": True}),
    ],
)  # fmt: skip
def test_every_published_shape_becomes_one_form(
    jsonl: Callable[..., str], row: dict[str, Any], format: str, value: dict[str, Any]
) -> None:
    loaded = load(Given(jsonl(row, row)))
    assert loaded.format.format == format
    assert loaded.format.confidence >= 0.9
    assert [row.value if isinstance(row, Row) else row.reason for row in loaded.rows()] == [value, value]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"answers": ["a", "b"], "scores": [1]}, "1 scores for 2 answers"),
        ({"answers": ["a", "b"], "scores": [1, 1]}, "all its answers are scored alike"),
        ({"answers": ["a", "a"], "scores": [1, 2]}, "its best and its worst answer are the same"),
        ({"answers": ["a", "b"], "scores": [None, 0]}, "fewer than two of its answers are scored"),
        ({"answers": ["a", "b"]}, "its answers have no scores"),
        ({"answers": [{"model": "x", "score": 1}, {"model": "y", "score": 2}]}, "without a text"),
        ({"answers": "a", "scores": [1]}, "holds a text where a list should be"),
        ({"answers": [{"response": "a", "score": "inf"}, {"response": "b", "score": True}]}, "fewer than two"),
    ],
)
def test_answers_without_a_best_and_a_worst_say_why(row: dict[str, Any], reason: str) -> None:
    columns = {"prompt": "prompt", "answers": "answers", "scores": "scores"}
    with pytest.raises(RowError, match=reason):
        FORMATS["ranked"].convert({"prompt": "q", **row}, columns)


@pytest.mark.parametrize(
    ("format", "winner", "reason"),
    [
        ("arena", "tie", "neither answer won"), ("arena", "tie (bothbad)", "neither answer won"),
        ("arena", "model_c", "'model_c' where one of model_a, a, model_b, b should be"),
        ("safe-rlhf", -1, "neither answer won"), ("safe-rlhf", None, "is null"), ("shp", 2, "'2' where one of 1, 0"),
    ],
)  # fmt: skip
def test_a_verdict_for_neither_makes_no_pair(format: str, winner: Any, reason: str) -> None:
    row = {"prompt": "q", "first": "a", "second": "b", "winner": winner}
    with pytest.raises(RowError, match=reason):
        FORMATS[format].convert(row, {part: part for part in row})


def test_answers_that_only_took_another_way_to_one_end_begin_where_they_part() -> None:
    row = {"first": [user("q"), assistant("a"), user("r"), assistant("b")],
           "second": [user("q"), assistant("a"), user("r"), assistant("c")], "winner": "model_b"}  # fmt: skip
    made = FORMATS["arena"].convert(row, {part: part for part in row})
    assert made["prompt"] == [user("q"), assistant("a"), user("r")]
    assert (made["chosen"], made["rejected"]) == ([assistant("c")], [assistant("b")])


def test_the_safer_answer_may_be_asked_for_in_place_of_the_better_one(jsonl: Callable[..., str]) -> None:
    path = jsonl({"prompt": "q", "response_0": "good", "response_1": "bad", "better_response_id": 1,
                  "safer_response_id": 0})  # fmt: skip
    loaded = load(Given(path, format="safe-rlhf", columns={"winner": "safer_response_id"}))
    assert [row.value for row in loaded.rows() if isinstance(row, Row)] == [PAIR]


def test_a_mapping_by_hand_leads_to_the_same_form(jsonl: Callable[..., str]) -> None:
    path = jsonl({"ask": "q", "tries": ["good", "bad"], "points": [2, 1]})
    loaded = load(Given(path, columns={"prompt": "ask", "answers": "tries", "scores": "points"}))
    assert loaded.format.format == "ranked"
    assert [row.value for row in loaded.rows() if isinstance(row, Row)] == [PAIR | {"margin": 1.0}]


def test_a_transcript_is_told_from_a_text_that_mentions_one() -> None:
    assert is_transcript("\n\nHuman: q\n\nAssistant: a")
    assert not is_transcript("They wrote:\n\nHuman: q\n\nAssistant: a")
    assert not is_transcript("Human: q")
    assert turns_in("Human: a\n\nb\n\nHuman: c\n\nAssistant: d: Human: e\n\nAssistant:") == [
        user("a\n\nb\n\nc"), assistant("d: Human: e")
    ]  # fmt: skip


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["\n\nHuman: a\n\nAssistant: b", '{"name": "f"}', "[", "user", "assistant", "N/A"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([
        "role", "from", "content", "value", "tool_calls", "function_call", "function", "name", "arguments", "response",
        "score", "rank", "annotations", "Rating", "type", "text", "x",
    ]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(FORMATS)))
def test_no_row_whatever_breaks_a_converter(data: st.DataObject, name: str) -> None:
    from ftui.data.canonical import make_row

    format = FORMATS[name]
    parts = [*format.required, *format.optional]
    row = data.draw(st.fixed_dictionaries(dict.fromkeys(parts, values)))
    given_parts = data.draw(st.sets(st.sampled_from(parts))) | set(format.required)
    columns = {part: part for part in given_parts}
    if name == "kto" and not ({"messages", "prompt", "completion"} <= given_parts):
        columns |= {"prompt": "prompt", "completion": "completion"}
    try:
        made = make_row("x", 1, format.kind, format.convert(row, columns))
    except RowError:
        return
    assert json.dumps(made.value)
