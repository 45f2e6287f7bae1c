"""A constitution is read whole, or refused in one sentence that says where and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.errors import BadInput
from ftui.recipe.constitution import DEFAULT, PARTS, parse, read

GOOD = """
- name: honest
  critique: Name what is wrong.
  revise: Rewrite it so that it is true.
- {name: "short", critique: "Say what is too long.", revise: "Make it shorter."}
"""


def test_each_principle_has_a_name_a_critique_and_a_revision() -> None:
    first, second = parse(GOOD)
    assert (first.name, first.critique, first.revise) == (
        "honest", "Name what is wrong.", "Rewrite it so that it is true.")
    assert second.name == "short"


def test_the_constitution_that_ships_is_read_where_none_is_given() -> None:
    principles = read()
    assert principles == read(DEFAULT)
    assert len({principle.name for principle in principles}) == len(principles) >= 5
    assert all("assistant's last answer" in text for one in principles for text in (one.critique, one.revise))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("[]", "is empty"),
        ("name: honest", "no list of principles"),
        ("- honest", "line 1: a principle has the keys name, critique, revise"),
        ("- {name: a, critique: b}", "has no revise"),
        ("- {name: a, critique: b, revise: c, weight: 2}", "has no 'weight'"),
        ("- {name: a, critque: b, revise: c}", "no 'critque'. Did you mean critique?"),
        ("- {name: a, critique: 3, revise: c}", "critique must be a text"),
        ("- {name: a, critique: b, revise: '  '}", "revise must be a text"),
        ("- {name: a, critique: b, revise: c}\n- {name: a, critique: b, revise: c}", "line 2: the name 'a' is there"),
        ("- {name: a, name: b, critique: b, revise: c}", "name is set twice"),
        ("- {name: a, critique: !!python/object:os.system b, revise: c}", "tag"),
        ("- {name: a, critique: [b, revise: c}", "this is not YAML"),
        ("a: &a [*a]", "too deeply to be a constitution"),
        ("- {name: a, critique: b, revise: c}\n---\n- b", "one document"),
    ],
)
def test_what_is_no_constitution_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text, "rules.yaml")
    assert said in str(refused.value)
    assert str(refused.value).startswith("rules.yaml")
    assert refused.value.hint
    assert "recipe" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfea", "UTF-16"), (b"a\0b", "binary file, not a constitution"), (b"- \xe4", "not UTF-8")],
)
def test_what_is_no_text_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read(path)


def test_a_missing_file_leads_to_the_one_that_ships(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"There is no constitution at .*none\.yaml\. .*constitution\.yaml"):
        read(tmp_path / "none.yaml")
    with pytest.raises(BadInput, match="is a folder, not a constitution"):
        read(tmp_path)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([*PARTS, "nmae", "other"]), inner, max_size=4), max_leaves=12,
)


@given(values)
def test_any_yaml_is_either_a_whole_constitution_or_refused(value: object) -> None:
    import io

    from ruamel.yaml import YAML

    stream = io.StringIO()
    YAML(typ="safe").dump(value, stream)
    is_whole_or_refused(stream.getvalue())


@given(st.text(alphabet=st.sampled_from("-:{}[]&*!|>'\"#,? \t\nnamecritiquerevise0\x85\u2028é\x07"), max_size=80))
def test_any_text_is_either_a_whole_constitution_or_refused(text: str) -> None:
    is_whole_or_refused(text)


def is_whole_or_refused(text: str) -> None:
    try:
        principles = parse(text)
    except BadInput:
        return
    assert principles
    assert all(getattr(one, part).strip() for one in principles for part in PARTS)
