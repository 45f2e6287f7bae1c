"""Configurations of other tools: what is known is translated and said, what matters and isn't is refused by name."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.errors import BadInput
from ftui.recipe import Recipe, get, parse, sections, write
from ftui.recipe.foreign_rules import BY_RULE
from ftui.recipe.foreign_words import LEFT_OUT, SAME
from ftui.recipe.text import load
from ftui.recipe.translation import KNOWN, is_foreign, translate, translated

LLAMA_FACTORY = """
model_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct
quantization_bit: 4
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: identity,alpaca_en_demo
template: llama3
cutoff_len: 2048
output_dir: saves/llama3-8b/lora/sft
logging_steps: 10
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
resume_from_checkpoint: null
val_size: 0.1
eval_strategy: steps
eval_steps: 500
"""
AXOLOTL = """
base_model: NousResearch/Llama-3.2-1B
load_in_4bit: true
datasets:
  - path: teknium/GPT4-LLM-Cleaned
    type: alpaca
val_set_size: 0.1
adapter: qlora
lora_model_dir:
sequence_len: 2048
sample_packing: true
pad_to_sequence_len: true
lora_r: 16
lora_alpha: 32
lora_target_modules: [gate_proj, down_proj]
gradient_accumulation_steps: 2
micro_batch_size: 2
num_epochs: 1
optimizer: adamw_8bit
lr_scheduler: cosine
learning_rate: 0.0002
train_on_inputs: false
bf16: auto
gradient_checkpointing: true
flash_attention: true
evals_per_epoch: 4
special_tokens:
"""
OF_2023 = """
model_name_or_path: facebook/opt-350m
dataset_name: timdettmers/openassistant-guanaco
torch_dtype: bfloat16
max_seq_length: 512
evaluation_strategy: steps
eval_steps: 100
warmup_ratio: 0.03
lora_r: 64
gradient_checkpointing_kwargs: {use_reentrant: false}
per_device_train_batch_size: 4
optim: paged_adamw_32bit
"""


def of(text: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(what the translation fixes by dotted path, its lines)."""
    from ftui.recipe import asked

    values, _ = load(text, "old.yaml")
    assert is_foreign(values)
    found = translate(values, "old.yaml")
    return {path: get(found.recipe, path) for path in asked(found.recipe)}, found.said


def test_llama_factorys_example_becomes_a_recipe() -> None:
    values, said = of(LLAMA_FACTORY)
    assert values["model.base"] == "meta-llama/Meta-Llama-3-8B-Instruct"
    assert (values["model.quantization"], values["model.dtype"]) == ("nf4", "bfloat16")
    assert (values["adapter.kind"], values["adapter.rank"], values["adapter.targets"]) == ("lora", 8, "all-linear")
    assert (values["train.micro_batch"], values["train.effective_batch"]) == (1, 8)
    assert (values["train.warmup"], values["train.epochs"], values["train.eval_steps"]) == (0.1, 3.0, 500)
    assert (values["data.max_length"], values["data.validation"]) == (2048, 0.1)
    assert "data.sources" not in values
    assert "warmup_ratio: 0.1 -> train.warmup: 0.1" in said
    assert any(line.startswith("dataset: identity,alpaca_en_demo -> left out: ") for line in said)


def test_axolotls_example_becomes_a_recipe() -> None:
    values, said = of(AXOLOTL)
    (source,) = values["data.sources"]
    assert (source.path, source.format) == ("teknium/GPT4-LLM-Cleaned", "alpaca")
    assert (values["adapter.kind"], values["model.quantization"]) == ("lora", "nf4")
    assert values["adapter.targets"] == ("gate_proj", "down_proj")
    assert (values["train.micro_batch"], values["train.effective_batch"]) == (2, 4)
    assert values["objective.loss_on"] == "assistant"
    assert values["model.attention"] == "flash_attention_2"
    assert "data.padding" not in values
    assert not any(line.startswith(("special_tokens", "lora_model_dir")) for line in said)


def test_the_names_of_2023_are_translated_and_said() -> None:
    values, said = of(OF_2023)
    assert values["train.warmup"] == 0.03
    assert values["data.max_length"] == 512
    assert values["model.dtype"] == "bfloat16"
    assert values["train.optimizer"] == "paged_adamw"
    assert values["data.sources"][0].path == "timdettmers/openassistant-guanaco"
    for key in ("max_seq_length", "warmup_ratio", "evaluation_strategy", "torch_dtype", "lora_r",
                "gradient_checkpointing_kwargs", "per_device_train_batch_size"):
        assert any(line.startswith(f"{key}: ") for line in said), key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optim: adamw_torch\nfoo_bar: 3\nbaz: 1", "2 of its keys can't be translated: foo_bar: 3"),
        ("optim: my_own", "ftui has none of that name"),
        ("learning_rat: 1\noptim: sgd", "did you mean learning_rate?"),
        ("optim: sgd\ndeepspeed: ds.json", "one GPU"),
        ("optim: sgd\nbf16: true\nfp16: true", "contradicts model.dtype: bfloat16"),
        ("warmup_steps: 100\noptim: sgd", "write warmup_ratio"),
        ("gradient_accumulation_steps: 4\noptim: sgd", "per_device_train_batch_size"),
        ("adapter: qlora\nbase_model: x", "load_in_4bit"),
        ("datasets: [{path: a, type: mine}]\nbase_model: x", "can't read the type mine"),
        ("lr_scheduler_type: cosine_with_min_lr", "min_lr_rate isn't given"),
        ("push_to_hub: true\noptim: sgd", "hub_model_id"),
        ("report_to: [comet_ml]\noptim: sgd", "wandb and tensorboard"),
    ],
)
def test_what_matters_and_is_unknown_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        of(text)
    assert said in error.value.what


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("max_steps: 200\nwarmup_steps: 20", "train.warmup", 0.1),
        ("max_steps: -1\nlr: 0.1", "train.max_steps", None),
        ("lr_scheduler_type: cosine_with_min_lr\nlearning_rate: 1e-4\nlr_scheduler_kwargs: {min_lr: 1e-5}",
         "train.min_rate", pytest.approx(0.1)),
        ("lr_scheduler_type: cosine_with_restarts", "train.cycles", 1),
        ("lr_scheduler_type: warmup_stable_decay\nmax_steps: 100\nlr_scheduler_kwargs: {num_decay_steps: 10}",
         "train.decay_share", 0.1),
        ("stage: pt", "objective.loss_on", "all"),
        ("stage: dpo\npref_beta: 0.2", "objective.beta", 0.2),
        ("stage: dpo\npref_loss: simpo", "objective.kind", "cpo"),
        ("finetuning_type: full", "adapter.kind", "none"),
        ("load_in_8bit: true", "model.quantization", "int8"),
        ("load_in_4bit: true\nbnb_4bit_quant_type: fp4", "model.quantization", "fp4"),
        ("evaluation_strategy: 'no'", "data.validation", 0),
        ("metric_for_best_model: eval_f1", "evaluate.best_by", "f1"),
        ("loraplus_lr_ratio: 8", "adapter.update", "plus"),
        ("pad_to_sequence_len: true\nbase_model: x", "data.padding", "max_length"),
        ("use_liger_kernel: true", "train.loss", "liger"),
        ("hub_model_id: me/it\npush_to_hub: true", "tracking.hub", "me/it"),
    ],
)
def test_values_that_hang_together_are_worked_out(text: str, path: str, value: Any) -> None:
    assert get(translate(load(text, "old.yaml")[0]).recipe, path) == value


def test_no_recipe_is_taken_for_another_tools_file() -> None:
    from ftui.recipe import presets

    for preset in presets():
        assert translated(preset.path) is None
    assert not is_foreign({"name": "x", "train": {"epochs": 1}})
    assert not is_foreign({})
    assert not is_foreign(None)
    assert not is_foreign({"modle": {"base": "x"}})
    assert not KNOWN & set(sections())


def test_every_known_key_leads_to_a_setting_that_there_is() -> None:
    from ftui.recipe import walk_all

    paths = {entry.path for entry in walk_all()}
    assert set(SAME.values()) <= paths
    assert not set(SAME) & set(LEFT_OUT)
    assert not set(BY_RULE) & (set(SAME) | set(LEFT_OUT))


KEYS = st.sampled_from(sorted(KNOWN))
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 4000), st.floats(0, 2), st.sampled_from(
        ["auto", "no", "steps", "epoch", "cosine", "linear", "adamw_torch", "lora", "full", "sft", "dpo", "all",
         "bfloat16", "alpaca", "wandb", "a/b", "", "x y: {"],
    ), st.lists(st.sampled_from(["q_proj", "a/b", "none"]), max_size=2),
)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=8))
def test_every_configuration_is_said_whole_or_refused_in_one_sentence(configuration: dict[str, Any]) -> None:
    found = None
    with contextlib.suppress(BadInput):
        found = translate(configuration, "old.yaml")
    if found is None:
        return
    assert parse(write(found.recipe)) == found.recipe
    for key, value in configuration.items():
        silent = value is None or value in ("", [])
        assert silent or any(line.startswith(f"{key}: ") for line in found.said) or key in SAID_WITH_ANOTHER, key


USUAL: dict[str, st.SearchStrategy[Any]] = {
    "model_name_or_path": st.just("some/model"), "per_device_train_batch_size": st.integers(1, 64),
    "gradient_checkpointing": st.booleans(), "num_train_epochs": st.floats(0.5, 10), "max_steps": st.integers(10, 1000),
    "learning_rate": st.floats(1e-6, 1e-2), "lr_scheduler_type": st.sampled_from(["cosine", "linear", "polynomial"]),
    "warmup_ratio": st.floats(0, 0.5), "optim": st.sampled_from(["adamw_torch", "adamw_bnb_8bit", "sgd", "lion_32bit"]),
    "weight_decay": st.floats(0, 0.5), "max_grad_norm": st.floats(0, 5), "seed": st.integers(0, 10_000),
    "bf16": st.booleans(), "load_in_4bit": st.booleans(), "finetuning_type": st.just("lora"),
    "lora_rank": st.integers(1, 64), "lora_alpha": st.integers(1, 128), "lora_dropout": st.floats(0, 0.5),
    "lora_target": st.sampled_from(["all", "q_proj,v_proj"]), "cutoff_len": st.integers(16, 8192),
    "val_size": st.floats(0.01, 0.5), "eval_strategy": st.sampled_from(["steps", "epoch"]),
    "save_steps": st.integers(1, 500), "logging_steps": st.integers(1, 100), "output_dir": st.just("out"),
    "report_to": st.sampled_from(["none", "wandb", ["tensorboard"]]), "packing": st.booleans(),
    "neftune_noise_alpha": st.floats(0, 10), "use_dora": st.booleans(), "deepspeed": st.just(False),
}


@given(st.fixed_dictionaries({"stage": st.just("sft")}, optional=USUAL))
def test_usual_configurations_are_translated_whatever_their_values(configuration: dict[str, Any]) -> None:
    found = translate(configuration, "old.yaml")
    assert parse(write(found.recipe)) == found.recipe
    assert found.tool == "LLaMA-Factory"
    for key in configuration:
        assert any(line.startswith(f"{key}: ") for line in found.said), key
    for line in found.said:
        _, arrow, what = line.partition(" -> ")
        path, colon, value = what.partition(": ")
        assert arrow
        assert path == "left out" or (colon and value and get(found.recipe, path) is not None)


SAID_WITH_ANOTHER = {"bnb_4bit_quant_type", "quantization_type", "lr_scheduler_kwargs", "report_to", "max_samples",
                     "max_train_samples", "dataset_train_split", "dataset_split"}
"""Keys that have their part in another's line."""


@given(st.dictionaries(KEYS, VALUES, max_size=3), st.from_regex(r"zz_[a-z]{3,8}", fullmatch=True))
def test_a_key_that_nobody_knows_is_always_refused(configuration: dict[str, Any], key: str) -> None:
    with pytest.raises(BadInput) as error:
        translate({**configuration, key: 1})
    assert key in error.value.what


def test_a_launch_and_a_plan_take_such_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ftui.runs.command import ask, launch_command

    old = tmp_path / "old.yaml"
    old.write_text("model_name_or_path: demo\ndataset_name: demo\nlora_r: 4\n", encoding="utf-8")
    asked = ask(str(old))
    assert isinstance(asked.recipe, Recipe)
    assert asked.text is None
    assert "lora_r: 4 -> adapter.rank: 4" in asked.said
    assert launch_command(asked.recipe, reference=str(old)) == f"ftui launch {old}"


def test_the_command_prints_the_recipe_and_says_each_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from typer.testing import CliRunner

    from ftui.cli.recipe import app

    old = tmp_path / "old.yaml"
    old.write_text(OF_2023, encoding="utf-8")
    ran = CliRunner().invoke(app, ["translate", str(old)])
    assert ran.exit_code == 0
    assert get(parse(ran.stdout), "train.warmup") == 0.03
    assert "ftui: warmup_ratio: 0.03 -> train.warmup: 0.03" in ran.stderr
