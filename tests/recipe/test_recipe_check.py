"""What a wrong recipe is answered with: path, reason, and the nearest right name."""

from __future__ import annotations

import pytest

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe import BadRecipe, Recipe, parse, source_settings, walk_all
from ftui.recipe.declaration import UNIONS, json_schema, walk
from ftui.recipe.names import ELSEWHERE


def mistakes(text: str) -> dict[str, str]:
    with pytest.raises(BadRecipe) as caught:
        parse(text)
    return {problem.path: problem.reason for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("train: {learning_rate: .nan}", "train.learning_rate", "NaN is not a number to work with"),
        ("train: {learning_rate: nan}", "train.learning_rate", "something like 2e-4"),
        ("train: {max_grad_norm: .inf}", "train.max_grad_norm", "infinity"),
        ("data: {sources: [{path: x, weight: .nan}]}", "data.sources.0.weight", "NaN"),
        ("data: {max_length: 2k}", "data.max_length", "write 2048"),
        ("data: {max_length: 2048 tokens}", "data.max_length", "write 2048"),
        ("data: {max_length: 1 parsec}", "data.max_length", "unit that ftui can't read"),
        ("data: {validation: 1.5}", "data.validation", "a share below 1"),
        ("data: {validation: -3}", "data.validation", "a share below 1"),
        ("data: {validation: true}", "data.validation", "true is not"),
        ("train: {learning_rate: 5e-4%}", "train.learning_rate", "write 5e-06"),
        ("train: {warmup: 100}", "train.warmup", "a number of steps"),
        ("train: {warmup: 3%}", "train.warmup", "write 0.03"),
        ("train: {epochs: true}", "train.epochs", "true is not a number"),
        ("train: {epochs: null}", "train.epochs", "can't be empty"),
        ("adapter: {rank: 3.5}", "adapter.rank", "not whole; write a whole number from 1 to 1,024"),
        ("adapter: {rank: 0}", "adapter.rank", "from 1 to 1,024, or auto"),
        ("compute: {max_hours: 90min}", "compute.max_hours", "write 1.5"),
        ("objective: {loss_type: simpo}", "objective.loss_type", "it belongs to objective.kind cpo"),
        ("model: {quantization: 4bit}", "model.quantization", "the nearest is nf4"),
        ("train: {optimizer: adamw_hf}", "train.optimizer", "the nearest is adamw"),
        ("adapter: {kind: none, rank: 8}", "adapter.rank", "belongs to adapter.kind lora"),
        ("adapter: {kind: loro}", "adapter.kind", "the nearest is lora"),
        ("recovery: {out_of_memory: [halve]}", "recovery.out_of_memory", "the nearest is halve_batch"),
        ("train: 5", "train", "is a section, not a value"),
        ("adapter: 5", "adapter", "is a section, not a value"),
        ("version: 2", "version", "write version: 1"),
        ("modle: {}", "modle", "the nearest is model"),
        ("train: {epoch: 3}", "train.epoch", "the nearest is train.epochs"),
        ("train: {rank: 3}", "train.rank", "that is adapter.rank here"),
        ("epochs: 3", "epochs", "that is train.epochs here"),
        ("data: {sources: [{pth: x}]}", "data.sources.0.path", "is needed"),
        ("data: {sources: 5}", "data.sources", "a list of files"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(text: str, path: str, said: str) -> None:
    found = mistakes(text)
    assert said in found[path]


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("max_seq_length", "data.max_length"),
        ("per_device_train_batch_size", "train.micro_batch"),
        ("lora_r", "adapter.rank"),
        ("evaluation_strategy", "train.eval_steps"),
        ("warmup_ratio", "train.warmup"),
        ("load_in_4bit", "model.quantization"),
        ("gradient_accumulation_steps", "train.effective_batch"),
    ],
)
def test_names_of_other_tools_are_recognised(name: str, here: str) -> None:
    assert f"that is {here} here" in mistakes(f"{name}: 1")[name]
    assert f"that is {here} here" in mistakes(f"train: {{{name}: 1}}")[f"train.{name}"]


def test_every_name_of_another_tool_leads_to_a_setting_that_exists() -> None:
    known = {entry.path for entry in (*walk_all(), *source_settings())}
    assert {here for here in ELSEWHERE.values() if here not in known} == set()


def test_all_problems_are_listed_not_the_first() -> None:
    found = mistakes("train: {epochs: 0, learning_rate: 7, foo: 1}\nmodel: {dtype: bf16}\nadapter: {dropout: 1}")
    assert set(found) == {"train.epochs", "train.learning_rate", "train.foo", "model.dtype", "adapter.dropout"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("model: {quantization: nf4}\nadapter: {kind: none}", "model.quantization"),
        ("model: {quantization: fp4}\nadapter: {kind: none}", "model.quantization"),
        ("model: {quantization: int8}\nadapter: {kind: none}", "model.quantization"),
        ("model: {quantization: int8}\nadapter: {dora: true}", "adapter.dora"),
        ("adapter: {targets: [q_proj, lm_head]}", "adapter.targets"),
        ("adapter: {targets: []}", "adapter.targets"),
        ("train: {micro_batch: 3, effective_batch: 16}", "train.effective_batch"),
        ("train: {micro_batch: 8, effective_batch: 4}", "train.effective_batch"),
        ("train: {micro_batch: 4, effective_batch: 12}\ncompute: {gpus: 2}", "train.effective_batch"),
        ("data: {sources: [{path: a.txt, format: text}]}\nobjective: {loss_on: completion}", "objective.loss_on"),
        ("data: {validation: 0}\nevaluate: {patience: 3}", "evaluate.patience"),
        ("model: {attention: flash_attention_2, dtype: float32}", "model.attention"),
        ("model: {attention: flash_attention_2}\ncompute: {gpus: 0}", "model.attention"),
        ("model: {dtype: float16}\ncompute: {gpus: 0}", "model.dtype"),
        ("compute: {gpus: 2, offload: all}", "compute.offload"),
        ("compute: {gpus: 2, strategy: fsdp, offload: optimizer}", "compute.offload"),
        ("compute: {gpus: 2, strategy: zero2, offload: all}", "compute.offload"),
    ],
)
def test_pairs_that_cannot_be_are_refused(text: str, path: str) -> None:
    assert list(mistakes(text)) == [path]
    assert "write" in mistakes(text)[path] or "leave" in mistakes(text)[path]


def test_what_is_left_to_the_planner_never_clashes() -> None:
    parse("adapter: {kind: none}\ntrain: {micro_batch: auto, effective_batch: 7}")
    parse("model: {attention: flash_attention_2, dtype: auto, quantization: nf4}")


def test_a_whole_recipe_written_by_ftui_is_accepted_with_every_adapter() -> None:
    for kind in ADAPTERS:
        parse(f"adapter: {{kind: {kind}}}")


def test_the_declaration_is_complete() -> None:
    for entry in (*walk_all(), *source_settings()):
        assert entry.title, entry.path
        assert entry.help.endswith("."), entry.path
        assert entry.why.endswith("."), entry.path
        assert entry.kind != "choice" or entry.choices, entry.path
        assert entry.limits, entry.path


def test_walk_follows_the_kind_of_the_adapter() -> None:
    paths = {entry.path for entry in walk()}
    assert "adapter.rank" in paths
    assert "adapter.rank" not in {entry.path for entry in walk(parse("adapter: {kind: none}"))}
    kinds = next(entry for entry in walk() if entry.path == "adapter.kind")
    assert kinds.choices == tuple(ADAPTERS)


def test_every_method_of_the_catalogue_is_a_kind_of_the_recipe() -> None:
    assert set(UNIONS) == {"objective", "adapter"}
    for kind in OBJECTIVES:
        assert parse(f"objective: {{kind: {kind}}}").objective.kind == kind
    for kind in ADAPTERS:
        assert parse(f"adapter: {{kind: {kind}}}").adapter.kind == kind


def test_the_schema_knows_every_setting_and_its_limits() -> None:
    schema = json_schema()
    assert schema["$schema"].startswith("https://json-schema.org")
    rank = schema["$defs"]["LoraOptions"]["properties"]["rank"]
    assert rank["title"] == "Rank"
    assert rank["description"]
    assert set(schema["properties"]) == set(Recipe.model_fields)


def test_an_objective_names_its_own_settings_and_losses() -> None:
    with pytest.raises(BadRecipe, match="none of kto, apo_zero_unpaired"):
        parse("objective: {kind: kto, loss_type: sigmoidal}")
    with pytest.raises(BadRecipe, match=r"belongs to objective\.kind grpo or rloo"):
        parse("objective: {kind: dpo, generations: 4}")


def test_only_objectives_with_a_trainer_are_offered() -> None:
    kinds = next(entry for entry in walk_all() if entry.path == "objective.kind")
    assert "dpo" in kinds.choices
    assert set(kinds.offered) == {kind for kind, row in OBJECTIVES.items() if row.trains}
    assert "distill" in kinds.choices
