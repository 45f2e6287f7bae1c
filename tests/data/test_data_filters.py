"""The grammar of filters: it reads what it says it reads, refuses the rest in a sentence, and never runs Python."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ftui.data.canonical import make_row
from ftui.data.filters import FIELDS, parse
from ftui.errors import BadInput

ROW = make_row("data.jsonl", 12, "conversation", {"messages": [
    {"role": "system", "content": "Be kind."}, {"role": "user", "content": "How are you?"},
    {"role": "assistant", "content": "Very well, thank you."},
]})  # fmt: skip
CLASS = make_row("data.jsonl", 3, "class", {"text": "t", "labels": ["spam", "ad"], "multi": True})


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("words(answer) == 4", True),
        ("characters(question) < 12", False),
        ("turns >= 3 and line <= 12", True),
        ("answer contains 'THANK'", True),
        ("not answer contains 'thank' or system == 'Be kind.'", True),
        ("not (answer contains 'thank' or system == 'Be kind.')", False),
        ("script in ['Latin', \"Greek\"]", True),
        ("kind in ['text']", False),
        ("line in [1, 12]", True),
        ("words(text) > words(question)", True),
        ("source != 'other.jsonl'", True),
        ("1 < 2 or 1 > 2 and 1 > 2", True),
        ("-1 < 0.5", True),
    ],
)
def test_expressions_mean_what_they_say(expression: str, holds: bool) -> None:
    assert parse(expression)(ROW) is holds


def test_labels_are_read_as_text() -> None:
    assert parse("label contains 'spam'")(CLASS)
    assert not parse("label == 'spam'")(CLASS)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "Expected a name, a number or a text"),
        ("anwser == 'a'", "perhaps answer"),
        ("answer > 3", "compares a text with a number"),
        ("turns contains 3", "compares a number with a number by contains"),
        ("words(turns) > 3", "counts in a text"),
        ("turns > 1 turns", "Expected and, or, or its end"),
        ("turns", "Expected one of"),
        ("turns in [1, 'a']", "Expected a number"),
        ("(turns > 1", "Expected \\)"),
        ("__import__('os').system('true')", "can't be read"),
        ("turns > 1; turns", "can't be read at ;"),
        ("not " * 60 + "turns > 1", "nested deeper than 50"),
        ("turns > 1 or " * 300 + "turns > 1", "3909 characters"),
    ],
)
def test_what_is_no_expression_is_refused(expression: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse(expression)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.lists(st.sampled_from(
    [*FIELDS, "words", "(", ")", "[", "]", ",", "in", "and", "or", "not", "contains", "<", "==", "'a'", "3"]
), max_size=10).map(" ".join))  # fmt: skip
@example("in in in")
def test_any_text_is_an_expression_or_a_sentence(expression: str) -> None:
    try:
        test = parse(expression)
    except BadInput:
        return
    assert isinstance(test(ROW), bool)


NUMBERS, SIGNS = st.integers(-9, 9), st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
COMPARISONS = st.tuples(NUMBERS, SIGNS, NUMBERS).map(lambda parts: " ".join(map(str, parts)))
EXPRESSIONS: st.SearchStrategy[Any] = st.recursive(
    COMPARISONS,
    lambda inner: inner.map(lambda one: f"not ({one})")
    | st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})")
    | st.tuples(COMPARISONS, st.sampled_from(["and", "or"]), inner).map(" ".join),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS)
def test_and_or_and_not_bind_as_they_do_in_python(expression: str) -> None:
    assert parse(expression)(ROW) is eval(expression)  # made above of numbers and words alone
