"""`ftui methods`: every row of the catalogue can be listed and read, and every goal leads somewhere."""

from __future__ import annotations

import json

import pytest

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.methods.families import COMMON, FAMILIES
from ftui.planner.rules.goals import WISHES
from ftui.recipe.cards import card, find_card

from .conftest import Ftui


def test_every_adapter_stands_in_one_family_and_the_common_ones_come_first() -> None:
    listed = [kind for kinds in FAMILIES.values() for kind in kinds]
    assert sorted(listed) == sorted(ADAPTERS)
    assert tuple(listed[: len(COMMON)]) == COMMON
    assert listed[0] == "lora"


def test_no_objective_shares_its_name_with_an_adapter() -> None:
    assert not set(OBJECTIVES) & set(ADAPTERS), "a card is asked for by its name alone"


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_an_objectives_card_says_what_its_row_declares(kind: str) -> None:
    row, found = OBJECTIVES[kind], card("objective", kind)
    facts = dict(found.facts)
    assert (found.title, found.when, found.source) == (row.title, row.when, row.source)
    assert all(data in facts["data"] for data in row.data)
    assert {each.name for each in found.settings} == set(row.options.model_fields) - {"kind"}
    assert ("trains" in facts) is not row.trains


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapters_card_says_what_its_row_declares(kind: str) -> None:
    row, found = ADAPTERS[kind], card("adapter", kind)
    facts = dict(found.facts)
    assert (found.title, found.when, found.source) == (row.title, row.when, row.source)
    assert row.formula in facts["trains"]
    for base, works in (("nf4", row.on_nf4), ("int8", row.on_int8)):
        assert (base in facts["bases"].partition("; not ")[0]) is works
    assert facts["merged"].startswith("yes") is row.mergeable
    assert facts.get("answering", "") == row.inference
    assert (row.compared is None) is ("measured" not in facts)
    assert row.compared is None or f"{row.compared.accuracy:.1%}" in facts["measured"]
    assert {each.name for each in found.settings} == set(row.options.model_fields) - {"kind"}


def test_the_list_holds_every_method_and_fits_a_terminal(ftui: Ftui) -> None:
    code, out, err = ftui("methods")
    assert code == 0, err
    words = [line.split()[0] for line in out.splitlines() if line]
    assert all(kind in words for kind in (*OBJECTIVES, *ADAPTERS))
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = ftui("methods", "--json")
    found = json.loads(out)
    assert [each["kind"] for each in found["objectives"]] == list(OBJECTIVES)
    assert {each["kind"]: each["family"] for each in found["adapters"]}["lora"] == "Common"


@pytest.mark.parametrize("kind", ["dpo", "grpo", "lora", "none", "prompt_tuning"])
def test_a_card_is_printed_and_can_be_had_as_json(ftui: Ftui, kind: str) -> None:
    code, out, err = ftui("methods", "show", kind)
    assert code == 0, err
    expected = find_card(kind)
    assert expected.title in out
    assert expected.source in out
    assert all(setting.path in out for setting in expected.settings)
    _, out, _ = ftui("methods", "show", kind, "--json")
    assert json.loads(out)["facts"] == dict(expected.facts)


def test_a_wrong_name_is_answered_with_the_nearest(ftui: Ftui) -> None:
    assert "Did you mean dpo?" in ftui("methods", "show", "dqo")[2]
    assert ftui("methods", "show", "zzzzz")[0] == 2


def test_every_goal_is_listed_with_what_it_leads_to(ftui: Ftui) -> None:
    code, out, err = ftui("methods", "goals")
    assert code == 0, err
    assert all(wish.title in out for wish in WISHES.values())
    found = {each["goal"]: each["rows"] for each in json.loads(ftui("methods", "goals", "--json")[1])}
    assert found["prefer"]["preference"][0]["objective"] == "dpo"
    why_not = {way["objective"]: way for way in found["prefer"]["conversation"]}
    assert why_not["dpo"] == {
        "objective": "dpo", "fit": "impossible", "reason": "the rows have no rejected answers", "needs": None,
    }
