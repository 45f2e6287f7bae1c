"""DPO, KTO, ORPO, CPO with SimPO, and reward models: whole runs on rows that can be learnt within seconds."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.errors import Refused
from ftui.methods import OBJECTIVES

from .preference_rows import pairs, verdicts

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]

SIMPO = {"objective__loss_type": "simpo", "objective__beta": 2.0, "objective__cpo_alpha": 0.0}
LEARNT: dict[str, dict[str, Any]] = {
    "dpo": {}, "dpo, precomputed": {"objective__precompute_reference": True}, "dpo, full": {"adapter": None},
    "dpo, nf4": {"model__quantization": "nf4"}, "kto": {}, "kto, full": {"adapter": None}, "orpo": {}, "cpo": {},
    "cpo, simpo": SIMPO,
}  # fmt: skip


def settings_of(case: str, folder: Path, **more: Any) -> dict[str, Any]:
    """The recipe's settings for a case of `LEARNT`: its objective is the first word."""
    kind = case.split(",")[0]
    data = pairs(folder, margin=0.5) if kind == "reward" else pairs(folder)
    own = LEARNT.get(case, {})
    rate = {"train__learning_rate": 5e-4} if "adapter" in own else {}
    return {"objective__kind": kind, "data__sources": data, "data__validation": 0.2, **rate, **own, **more}


@pytest.mark.parametrize("case", LEARNT)
def test_the_margin_rises_on_held_out_rows(
    case: str, train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    ran = train(**settings_of(case, tmp_path, train__max_steps=15, train__eval_steps=5))
    assert ran.end["status"] == "finished", ran.end
    margins = [event.data["values"]["rewards/margins"] for event in ran.of("evaluation")]
    assert margins == sorted(margins)
    before, least = (0.0, 0.5) if case[:3] in ("dpo", "kto") else (ran.of("metric")[0].data["values"][
        "rewards/margins"], 0.1)  # fmt: skip
    assert margins[-1] > before + least
    if "kto" not in case:
        assert ran.of("evaluation")[-1].data["values"]["rewards/accuracies"] == 1.0
    assert [path.name for path in ran.run.output.iterdir() if path.is_dir()] == [], "no copy of the reference is saved"
    kind = case.split(",")[0]
    card = (ran.run.output / "README.md").read_text()
    assert f"by {OBJECTIVES[kind].inline} on" in card
    assert f"tags: [ftui, {kind}" in card
    assert "rewards/margins" in ran.run.report.read_text()


def test_kto_takes_single_verdicts_and_tells_of_its_divergence(
    train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    settings = {"objective__kind": "kto", "data__sources": verdicts(tmp_path, 60), "data__validation": 0.2}
    ran = train(**settings, train__max_steps=12, train__eval_steps=6)
    values = [event.data["values"] for event in ran.of("evaluation")]
    assert values[-1]["rewards/chosen"] > values[-1]["rewards/rejected"] + 0.5
    assert values[-1]["kl"] >= 0
    single = train(**settings, train__micro_batch=1, train__effective_batch=1, train__max_steps=3)
    assert single.end["status"] == "finished", "rows that come one by one borrow from another batch"


@pytest.mark.parametrize("adapter", [{}, {"adapter": None, "train__learning_rate": 5e-4}], ids=["lora", "full"])
@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_a_reference_asked_beforehand_gives_the_same_losses(
    kind: str, adapter: dict[str, Any], train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    settings = settings_of(kind, tmp_path, **adapter)
    each, before = train(**settings), train(**settings, objective__precompute_reference=True)
    assert before.losses == pytest.approx(each.losses, abs=1e-4)
    assert before.end["metrics"]["eval_loss"] == pytest.approx(each.end["metrics"]["eval_loss"], abs=1e-4)


RESUMED: dict[str, dict[str, Any]] = {
    **{kind: {"objective__kind": kind} for kind in ("dpo", "kto", "orpo", "cpo", "reward")},
    "dpo, full, precomputed": {"objective__kind": "dpo", "adapter": None, "objective__precompute_reference": True},
    "kto, full": {"objective__kind": "kto", "adapter": None},
    "kto, precomputed": {"objective__kind": "kto", "objective__precompute_reference": True},
    "dpo, changed base": {"objective__kind": "dpo", "adapter__init": "pissa"},
    "dpo, prefix": {"objective__kind": "dpo", "prefix": True},
    "reward, full": {"objective__kind": "reward", "adapter": None},
}


@pytest.mark.parametrize("case", RESUMED)
def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(
    case: str, make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any],
    resolved: Callable[..., Any], random_demo: Path, tmp_path: Path,
) -> None:
    from safetensors.torch import load_file

    settings = {"data__sources": pairs(tmp_path), "data__validation": 0.2, **RESUMED[case]}
    prefix = settings.pop("prefix", False)

    def run() -> Any:
        recipe = resolved(**settings)
        if prefix:
            recipe = type(recipe).model_validate(
                {**recipe.model_dump(), "adapter": {"kind": "prefix_tuning", "virtual_tokens": 4}}
            )
        return make(recipe)

    whole, broken = work(run()), work(run(), commanded({5: RuntimeError("the power went")}))
    assert work(broken.run).end["status"] == "finished"
    assert broken.of("metric")[-1].attempt == 2
    assert broken.losses == whole.losses
    ours, theirs = ({name: tensor for file in ran.run.output.glob("*.safetensors")
                     for name, tensor in load_file(file).items()} for ran in (broken, whole))  # fmt: skip
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)


@pytest.mark.parametrize("case", ["dpo", "kto, precomputed", "orpo", "reward"])
def test_the_trial_on_the_longest_rows_leaves_no_trace(
    case: str, train: Callable[..., Any], random_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.worker import canary

    settings = {"data__sources": pairs(tmp_path), "train__max_steps": 3, **RESUMED[case]}
    plain = train(**settings)
    monkeypatch.setattr(canary, "is_worthwhile", lambda *_: True)
    tried = train(**settings)
    assert any("longest rows fit" in str(event.data.get("text")) for event in tried.of("progress"))
    assert tried.losses == plain.losses
    assert tried.of("metric")[0].data["values"] == plain.of("metric")[0].data["values"]


def test_a_start_that_changed_the_base_is_held_against_itself(
    train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    ran = train(**settings_of("dpo", tmp_path, adapter__init="pissa", train__max_steps=3))
    first = ran.of("metric")[0].data
    assert first["loss"] == pytest.approx(0.693147, abs=1e-5)
    assert first["values"]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert not list(ran.run.output.rglob("ref"))


def test_an_adapter_on_the_head_is_refused_with_a_sentence(
    train: Callable[..., Any], resolved: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    recipe = resolved(objective__kind="dpo", data__sources=pairs(tmp_path))
    recipe = type(recipe).model_validate({**recipe.model_dump(), "adapter": {"kind": "trainable_tokens", "tokens": 40}})
    ran = train(recipe)
    assert ran.end["status"] == "failed"
    assert "sits on the model's head" in ran.end["text"]


@pytest.mark.parametrize("how", ["lora", "full", "nf4"])
def test_a_reward_model_learns_to_tell_answers_apart_and_scores_without_ftui(
    how: str, train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    more = {"full": {"adapter": None, "train__learning_rate": 5e-4}, "nf4": {"model__quantization": "nf4"}}.get(how, {})
    ran = train(**settings_of("reward", tmp_path, train__max_steps=15, train__eval_steps=5, **more))
    assert ran.end["status"] == "finished", ran.end
    assert ran.end["metrics"]["accuracy"] == 1.0
    assert "accuracy of the held-out rows is 1.0000" in ran.end["text"]
    assert ran.of("evaluation")[-1].data["judged_by"] == "accuracy"
    losses = {event.step: event.data["eval_loss"] for event in ran.of("evaluation")}
    best = [event.step for event in ran.of("evaluation") if event.data["best"]][-1]
    assert losses[best] == min(losses.values()), "of equal accuracies the lower loss is the better one"
    assert not ran.of("sample"), "a model of scores writes nothing"

    scores: list[float] = []
    code = ran.run.report.read_text().split("```python\n")[1].split("```")[0]
    assert "ftui try" not in ran.run.report.read_text()
    for answer in ("Yes, red is good.", "No idea about red 7."):
        asked = code.replace('"Hello!"', '"What about red number 7?"').replace('"Hello, what can I do?"', f'"{answer}"')
        exec(asked.replace("print(", "scores.append("), {"scores": scores})
    assert scores[0] > scores[1] + 0.5


def test_scores_are_kept_near_zero_where_the_recipe_asks_for_it(
    train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    free, centred = (
        train(**settings_of("reward", tmp_path, objective__center_rewards_coefficient=value, train__max_steps=10))
        for value in (None, 1.0)
    )
    means = [abs(ran.of("evaluation")[-1].data["values"]["mean_reward"]) for ran in (free, centred)]
    assert means[1] < 0.5 * means[0]


def test_a_margin_asks_for_more_distance(train: Callable[..., Any], random_demo: Path, tmp_path: Path) -> None:
    settings = {"objective__kind": "reward", "train__max_steps": 2}
    plain, wide = (
        train(**settings, data__sources=pairs(tmp_path / name, **columns))
        for name, columns in (("plain", {}), ("wide", {"margin": 2.0})) if (tmp_path / name).mkdir() is None
    )
    assert wide.losses[1] > plain.losses[1] + 1.0


def test_a_model_of_scores_is_not_asked_for_answers(
    train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    from ftui.cli.try_ import command

    ran = train(**settings_of("reward", tmp_path, train__max_steps=2))
    with pytest.raises(Refused, match="gives scores"):
        command(ran.run.id, ["Hello!"], 8, False)


def test_every_loss_of_dpo_moves_the_model(
    make: Callable[..., Any], resolved: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    import torch

    from ftui.methods import DpoOptions

    losses = DpoOptions.model_fields["loss_type"].annotation.__args__  # type: ignore[union-attr]
    options = [{"loss_type": name} for name in losses] + [
        {"imitation": 1.0}, {"divergence": "js_divergence"}, {"tail_weight": 0.5}, {"weighting": True},
    ]
    for own in options:
        smoothing = 0.1 if own.get("loss_type") in ("robust", "exo_pair") else 0.0
        trainer = _built(resolved(
            objective__kind="dpo", data__sources=pairs(tmp_path, 8), objective__label_smoothing=smoothing,
            **{f"objective__{name}": value for name, value in own.items()},
        ))
        batch = trainer.data_collator([trainer.train_dataset[index] for index in range(4)])
        batch.pop("tokens")
        trainer.model.train()
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        moved = [p.grad.abs().max() for p in trainer.model.parameters() if p.grad is not None]
        assert torch.isfinite(loss), own
        assert max(moved) > 0, own


def _built(recipe: Any) -> Any:
    """The trainer of `recipe` on the random model, as the worker builds it."""
    from ftui.data import prepare
    from ftui.models import demo
    from ftui.worker.adapters import BUILDERS
    from ftui.worker.base import load_model, load_tokenizer
    from ftui.worker.objectives import builder
    from ftui.worker.precision import choose

    folder = demo.folder()
    prepared = prepare(recipe, folder, seed=1, form=OBJECTIVES[recipe.objective.kind].form)
    precision = choose(recipe, cuda=False, bf16=False)
    model = BUILDERS[recipe.adapter.kind](load_model(recipe, folder, precision, "cpu"), recipe)
    tokenizer = load_tokenizer(folder, prepared.template.source)
    return builder(recipe.objective.kind)(model, recipe, prepared, tokenizer, precision, "cpu", folder)


ROW = {"prompt_ids": [5, 6, 7], "chosen_ids": [8, 9], "rejected_ids": [10], "chosen_mask": [1, 1],
       "rejected_mask": [1], "completion_ids": [8, 9], "completion_mask": [1, 1], "label": True,
       "KL_completion_ids": [11, 12], "KL_completion_mask": [1, 1]}  # fmt: skip
OTHER = {**ROW, "prompt_ids": [5], "rejected_ids": [10, 11, 12, 13], "rejected_mask": [1] * 4, "label": False}


def test_micro_batches_are_what_trls_own_collators_make() -> None:
    from trl.experimental.utils import DPODataCollatorWithPadding
    from trl.trainer.dpo_trainer import DataCollatorForPreference
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    from ftui.worker.collate_pairs import LabelledCollator, PairCollator, SidesCollator

    rows = [ROW, OTHER]
    _same(PairCollator(0)(rows), DataCollatorForPreference(pad_token_id=0)(rows))
    _same(LabelledCollator(0, 100)(rows), DataCollatorForUnpairedPreference(pad_token_id=0)(rows))
    told = [{
        **{f"{side}_input_ids": row["prompt_ids"] + row[f"{side}_ids"] for side in ("chosen", "rejected")},
        **{f"{side}_labels": [-100] * len(row["prompt_ids"]) + row[f"{side}_ids"] for side in ("chosen", "rejected")},
        **{f"{side}_attention_mask": [1] * len(row["prompt_ids"] + row[f"{side}_ids"])
           for side in ("chosen", "rejected")},
    } for row in rows]  # fmt: skip
    _same(SidesCollator(0)(rows), DPODataCollatorWithPadding(pad_token_id=0)(told))


def _same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.pop("tokens") > 0
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert (ours[name] == tensor).all(), name


def test_every_micro_batch_is_as_wide_as_padding_to_the_sequence_length_asks_for() -> None:
    from ftui.recipe import Recipe, assign
    from ftui.worker.collate_pairs import LabelledCollator, PairCollator, SidesCollator, least_width
    from ftui.worker.objectives.classify import ClassCollator

    wide = least_width(assign(Recipe(), {"data.padding": "max_length", "data.max_length": 20}))
    assert least_width(assign(Recipe(), {"data.max_length": 20})) == 0
    rows = [ROW, OTHER]
    labelled = [{"input_ids": [5, 6], "label": 0}, {"input_ids": [7], "label": 1}]
    assert PairCollator(0, width=wide)(rows)["input_ids"].shape == (4, 20)
    assert PairCollator(0, multiple=8, width=wide)(rows)["attention_mask"].shape == (4, 24)
    assert SidesCollator(0, width=wide)(rows)["rejected_labels"].shape == (2, 20)
    assert LabelledCollator(0, 100, width=wide)(rows)["KL_input_ids"].shape == (2, 20)
    assert ClassCollator(0, width=wide)(labelled)["input_ids"].shape == (2, 20)


@pytest.mark.parametrize("objective", ["dpo", "kto", "orpo", "cpo", "reward"])
def test_every_preference_trainer_pads_as_its_recipe_says(
    objective: str, resolved: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    settings = settings_of(objective, tmp_path, data__padding="max_length", data__max_length=200)
    trainer = _built(resolved(**settings))
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(2)])
    assert {value.shape[1] for value in batch.values() if getattr(value, "ndim", 0) == 2} == {200}


def test_an_answer_meets_the_next_prompt_and_never_its_own() -> None:
    from ftui.worker.mismatched import Mismatched

    class Rows(list[dict[str, Any]]):
        def lengths(self) -> list[int]:
            return [len(row["prompt_ids"]) for row in self]

    rows = Rows({"prompt_ids": [n], "completion_ids": [n], "completion_mask": [1], "label": True} for n in range(7))
    for block in (1, 2, 4, 7, 10):
        mixed = Mismatched(rows, block, seed=3, strangers=True)
        assert sorted(row["prompt_ids"][0] for row in mixed) == list(range(7))
        assert all(row["KL_completion_ids"] != row["completion_ids"] for row in mixed), block
    assert "KL_completion_ids" not in Mismatched(rows, 4, seed=3, strangers=False)[0]
    assert [row["label"] for row in Mismatched(Rows(rows[:1]), 4, seed=3, strangers=True)] == [True]


@pytest.mark.parametrize(("module", "trainer", "config"), [
    ("trl.experimental.orpo", "ORPOTrainer", "ORPOConfig"), ("trl.experimental.cpo", "CPOTrainer", "CPOConfig"),
])  # fmt: skip
def test_trl_still_has_its_experimental_trainers_where_ftui_looks(module: str, trainer: str, config: str) -> None:
    import trl

    try:
        found = importlib.import_module(module)
        kind, options = getattr(found, trainer), getattr(found, config)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"trl {trl.__version__} has moved or dropped {trainer} ({error}): see ftui/worker/experimental.py.")
    asked = inspect.signature(kind.get_batch_loss_metrics).parameters
    assert list(asked) == ["self", "model", "batch", "train_eval"], "ftui/worker/experimental.py calls it"
    made = inspect.signature(kind.__init__).parameters
    assert {"model", "args", "data_collator", "train_dataset", "processing_class"} <= made.keys()
    wanted = {"beta", "max_length"} | ({"loss_type", "cpo_alpha", "simpo_gamma", "label_smoothing"}
                                       if trainer == "CPOTrainer" else set())  # fmt: skip
    assert wanted <= inspect.signature(options).parameters.keys()
