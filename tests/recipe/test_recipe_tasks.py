"""Tasks that the sources name, beside an adapter that tells tasks apart."""

from __future__ import annotations

import pytest

from ftui.recipe import parse
from ftui.recipe.trainable import planned_only

TWO = "data: {packing: false, sources: [{path: a.jsonl, task: a}, {path: b.jsonl, task: b}]}\n"


def test_as_many_tasks_as_the_adapter_tells_apart_can_be_trained() -> None:
    assert planned_only(parse(f"{TWO}adapter: {{kind: poly, tasks: 2}}")) is None
    assert planned_only(parse(f"{TWO}adapter: {{kind: multitask_prompt_tuning, tasks: 2}}")) is None


def test_other_adapters_take_the_names_for_what_they_are_to_the_mixing_of_rows() -> None:
    assert planned_only(parse(f"{TWO}adapter: {{kind: lora}}")) is None


def test_a_column_may_name_them_whose_number_is_known_when_it_is_read() -> None:
    text = "data: {packing: false, sources: [{path: a.jsonl, task: column:kind}]}\nadapter: {kind: poly, tasks: 5}"
    assert planned_only(parse(text)) is None


@pytest.mark.parametrize(("text", "said", "write"), [
    (f"{TWO}adapter: {{kind: poly, tasks: 3}}", "names 2 tasks (a, b), and adapter.tasks is 3", "adapter.tasks: 2"),
    (f"{TWO}adapter: {{kind: poly}}", "names 2 tasks (a, b), and adapter.tasks is 1", "adapter.tasks: 2"),
    ("data: {sources: [{path: a.jsonl, task: a}, b.jsonl]}", "b.jsonl names no task, and others do", "leave out"),
    (f"{TWO}adapter: {{kind: poly, tasks: 2}}\nobjective: dpo", "tells the model no task", "sft or classify"),
    (f"{TWO.replace('false', 'true')}adapter: {{kind: poly, tasks: 2}}", "several tasks would stand in one",
     "packing: false"),
    (f"{TWO.replace('packing: false', 'validation: v.jsonl')}adapter: {{kind: poly, tasks: 2}}",
     "don't say which of its rows", "column:NAME"),
])
def test_what_its_tasks_cannot_be_is_refused(text: str, said: str, write: str) -> None:
    found = planned_only(parse(text))
    assert found is not None
    assert said in found[0]
    assert write in found[1]
