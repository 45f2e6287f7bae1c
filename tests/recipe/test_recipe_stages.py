"""Stages of a recipe: what each takes from the recipe above, whence it starts, and what can't be."""

from __future__ import annotations

import pytest

from ftui.recipe import parse, write
from ftui.recipe.check import BadRecipe
from ftui.recipe.stages import stages_of

WHOLE = """
name: chat
model: {base: demo}
data: {sources: [rows.jsonl], validation: 0.1}
adapter: {kind: lora, rank: 8}
train: {epochs: 2, learning_rate: 1.0e-4}
stages:
  - name: sft
  - name: dpo
    objective: {kind: dpo, beta: 0.2}
    data: {sources: [pairs.jsonl]}
    train: {epochs: 1}
  - name: score
    objective: reward
    data: {sources: [pairs.jsonl]}
  - name: rl
    objective: {kind: grpo, rewards: ["0.5*stage:score", format]}
"""


def starts(text: str) -> list[tuple[str, str, int | None]]:
    return [(stage.name, stage.start, stage.after) for stage in stages_of(parse(text))]


def test_a_stage_takes_what_it_leaves_out_from_the_recipe_above() -> None:
    recipe = parse(WHOLE)
    assert parse(write(recipe)) == recipe
    sft, dpo, score, rl = stages_of(recipe)
    assert (sft.recipe.name, sft.recipe.objective.kind, sft.recipe.train.epochs) == ("chat-sft", "sft", 2)
    assert (dpo.recipe.objective.kind, dpo.recipe.train.epochs, dpo.recipe.train.learning_rate) == ("dpo", 1, 1e-4)
    assert [source.path for source in dpo.recipe.data.sources] == ["pairs.jsonl"]
    assert dpo.recipe.data.validation == 0.1
    assert score.recipe.objective.kind == "reward"
    assert rl.recipe.objective.rewards == ("0.5*model:stage:score", "format")
    assert rl.rewards == (2,)
    assert all(stage.recipe.stages == () for stage in (sft, dpo, score, rl))


def test_a_stage_goes_on_with_the_last_adapter_of_words_where_it_is_the_same() -> None:
    assert starts(WHOLE) == [
        ("sft", "base", None), ("dpo", "adapter", 0), ("score", "adapter", 1), ("rl", "adapter", 1),
    ]


@pytest.mark.parametrize(("second", "start"), [
    ("{name: b}", ("adapter", 0)),
    ("{name: b, adapter: {kind: ia3}}", ("merged", 0)),
    ("{name: b, adapter: {rank: 4}}", ("merged", 0)),
    ("{name: b, adapter: {dropout: 0.1}}", ("adapter", 0)),
    ("{name: b, adapter: {kind: none}}", ("merged", 0)),
    ("{name: b, from: base}", ("base", None)),
    ("{name: b, from: merged}", ("merged", 0)),
])
def test_another_adapter_begins_on_the_merged_model(second: str, start: tuple[str, int | None]) -> None:
    text = f"model: {{base: demo}}\nadapter: {{kind: lora, rank: 8}}\nstages: [{{name: a}}, {second}]"
    assert starts(text)[1][1:] == start


@pytest.mark.parametrize(("stages", "path", "said"), [
    ("[{name: a}, {name: a}]", "stages.1.name", "an earlier stage's name"),
    ("[{nam: a}]", "stages.0.name", "needs a name"),
    ("[{name: a, trian: {epochs: 1}}]", "stages.0.trian", "the nearest is train"),
    ("[{name: a, train: {epohs: 1}}]", "stages.0.train.epohs", "the nearest is train.epochs"),
    ("[{name: a, stages: []}]", "stages.0.stages", "neither a section"),
    ("[{name: a, from: adapter}]", "stages.0.from", "no stage before it"),
    ("[{name: a}, {name: b, from: home}]", "stages.1.from", "none of base, adapter, merged"),
    ("[{name: a}, {name: b, after: c}]", "stages.1.after", "no earlier stage; write one of a"),
    ("[{name: a}, {name: b, from: adapter, adapter: {kind: ia3}}]", "stages.1.from", "leaves an adapter lora"),
    ("[{name: a}, {name: b, from: adapter, adapter: {rank: 4}}]", "stages.1.from", "adapter.rank is another"),
    ("[{name: a, adapter: {kind: none}}, {name: b, from: adapter}]", "stages.1.from", "a whole model and no adapter"),
    ("[{name: a, adapter: {kind: prompt_tuning}}, {name: b}]", "stages.1.from", "leaves an adapter prompt_tuning"),
    ("[{name: a, adapter: {kind: prompt_tuning}}, {name: b, from: merged}]", "stages.1.from", "can't be merged"),
    ("[{name: a, adapter: {layer_replication: '0-1, 0-1'}}, {name: b, from: merged}]", "stages.1.from", "wrongly"),
    ("[{name: a, objective: reward}, {name: b, after: a}]", "stages.1.from", "gives scores"),
    ("[{name: a, adapter: {kind: ia3}}, {name: b, from: adapter, adapter: {kind: ia3}, objective: dpo}]",
     "stages.1.from", "keeps a copy for LoRA only"),
    ("[{name: a}, {name: b, model: {base: other}}]", "stages.1.from", "another base model"),
    ("[{name: a}, {name: b, objective: {kind: grpo, rewards: ['stage:a']}}]", "stages.1.objective.rewards",
     "no earlier reward stage"),
])
def test_what_can_not_follow_is_said_with_its_place_and_what_to_write(stages: str, path: str, said: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        parse(f"model: {{base: demo}}\nadapter: {{kind: lora, rank: 8}}\nstages: {stages}")
    problem = caught.value.problems[0]
    assert problem.path == path
    assert said in problem.reason
    assert problem.line == 3


def apart(sources: str, more: str = "") -> str:
    return f"name: t\nmodel: {{base: demo}}\ndata: {{tasks: apart, sources: {sources}}}\n{more}"


def test_tasks_that_train_apart_are_stages_from_the_base_model() -> None:
    recipe = parse(apart("[{path: a.jsonl, task: sum up}, {path: b.jsonl, task: qa}, {path: c.jsonl, task: qa}]",
                         "stages: [{name: qa, train: {epochs: 3}}]"))  # fmt: skip
    first, second = stages_of(recipe)
    assert (first.name, first.start, [source.path for source in first.recipe.data.sources]) == (
        "sum-up", "base", ["a.jsonl"])  # fmt: skip
    assert (second.name, second.start, [source.path for source in second.recipe.data.sources]) == (
        "qa", "base", ["b.jsonl", "c.jsonl"])  # fmt: skip
    assert (first.recipe.train.epochs, second.recipe.train.epochs) == (1, 3)
    assert second.recipe.data.tasks == "together"


def test_a_source_that_names_no_task_is_one_by_its_file() -> None:
    assert [stage.name for stage in stages_of(parse(apart("[my/sums.jsonl, qa.csv]")))] == ["sums", "qa"]
    assert stages_of(parse(apart("[]"))) == ()


@pytest.mark.parametrize(("sources", "more", "path", "said"), [
    ("[{path: a.jsonl, task: a}, b.jsonl]", "", "data.sources.1.task", "is missing, and other sources name theirs"),
    ("[a/x.jsonl, b/x.jsonl]", "", "data.sources.1.task", "two sources are called x"),
    ("[{path: a.jsonl, task: column:kind}]", "", "data.sources.0.task", "known only when it is read"),
    ("[a.jsonl, b.jsonl]", "stages: [{name: c}]", "stages.0", "under its name: a, b"),
    ("[a.jsonl, b.jsonl]", "stages: [{name: a, from: merged}]", "stages.0", "under its name: a, b"),
    ("[a.jsonl, b.jsonl]", "adapter: {kind: nonsense}", "adapter.kind", "nonsense"),
])
def test_tasks_that_cannot_train_apart_are_said(sources: str, more: str, path: str, said: str) -> None:
    with pytest.raises(BadRecipe) as error:
        parse(apart(sources, more))
    assert [problem.path for problem in error.value.problems] == [path]
    assert said in str(error.value)
