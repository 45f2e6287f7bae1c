"""Stages with real trainings: SFT and then DPO, interrupted between and within them, and an adapter merged between."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.folder import Run
from ftui.runs.follow import history
from ftui.runs.launch import launch, lay_out
from ftui.runs.status import status

from .preference_rows import pairs

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.xdist_group("worker")]


@pytest.fixture
def staged(
    resolved: Callable[..., Recipe], tmp_path: Path, random_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Run]:
    """Make the runs of SFT and then DPO; the second stage may say more."""

    def make(**second: Any) -> Run:
        monkeypatch.setattr("ftui.runs.stages.start", lambda run: None)
        recipe = resolved(compute__gpus=0, train__max_steps=4, train__save_steps=2, train__eval_steps=2)
        dpo = {"name": "dpo", "objective": {"kind": "dpo"}, "data": {"sources": pairs(tmp_path)}, **second}
        recipe = assign(recipe, {"stages": [{"name": "sft"}, dpo]})
        return launch(lay_out(recipe), command="ftui launch chat.yaml", force=True)

    return make


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, work: Callable[..., Any]) -> dict[int, Callable[..., None]]:
    """Have stages work in this process; under the number of a start stands the job to do in place of the run's own."""
    jobs: dict[int, Callable[..., None]] = {}
    started = 0

    def start(run: Run, *, beside: bool) -> None:
        nonlocal started
        started += 1
        assert beside
        work(run, jobs.get(started))

    monkeypatch.setattr("ftui.worker.jobs.stages.start", start)
    return jobs


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def test_stages_that_were_interrupted_end_as_if_nothing_had_been(
    staged: Callable[..., Run], here: dict[int, Callable[..., None]], work: Callable[..., Any],
    commanded: Callable[..., Any],
) -> None:
    whole = work(staged())
    assert whole.end["status"] == "finished", whole.end
    # The first stage breaks within, the second before its first step, then within.
    crash = RuntimeError("the power went")

    def at_once(context: Any) -> None:
        raise crash

    here |= {3: commanded({3: crash}), 5: at_once, 6: commanded({3: crash})}
    broken = work(staged())
    assert broken.end["text"].startswith("Stage 1 of 2, sft: RuntimeError")
    for said in ("Stage 2 of 2, dpo: RuntimeError", "Stage 2 of 2, dpo: RuntimeError", "All 2 stages are done"):
        assert work(broken.run).end["text"].startswith(said)
    sft, dpo = broken.run.stages()
    assert (status(sft).attempt, status(dpo).attempt) == (2, 3)
    ours, theirs = weights(broken.run.output), weights(whole.run.output)
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    losses = [
        {event.step: event.data["loss"] for event in type(whole)(run.stages()[1], 0).of("metric")}
        for run in (broken.run, whole.run)
    ]
    assert losses[0] == losses[1]
    assert losses[0][1] == pytest.approx(math.log(2), abs=1e-5), "DPO is held against what SFT left"


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_merged_model_answers_as_base_and_adapter_did(
    quantization: str, train: Callable[..., Any], work: Callable[..., Any], random_demo: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from ftui.runs.folder import create

    ran = train(model__quantization=quantization, train__learning_rate=1e-2)
    merging = work(create("merge", "merged", command="", args={"run": ran.run.id}))
    assert merging.end["status"] == "finished", merging.end
    merged = AutoModelForCausalLM.from_pretrained(merging.run.output)
    base: Any = AutoModelForCausalLM.from_pretrained(random_demo)
    if quantization != "none":
        from ftui.worker.base import load_model
        from ftui.worker.precision import choose

        recipe = ran.run.recipe()
        base = load_model(recipe, random_demo, choose(recipe, cuda=False, bf16=False), "cpu")
    rows = torch.arange(1, 41).reshape(2, 20)
    with torch.no_grad():
        bare = base(input_ids=rows).logits
        apart = PeftModel.from_pretrained(base, ran.run.output)(input_ids=rows).logits
        one = merged(input_ids=rows).logits
    assert (bare - apart).abs().max() > 0.05, "the adapter has learnt something"
    assert (one - apart).abs().max() < 1e-4
    assert json.loads((merging.run.output / "ftui.json").read_text())["merged"] == ran.run.id


def test_a_stage_begins_on_the_merged_model_where_the_adapter_is_another(
    staged: Callable[..., Run], here: dict[int, Callable[..., None]], work: Callable[..., Any]
) -> None:
    run = staged(adapter={"kind": "ia3"})
    ended = work(run)
    assert ended.end["status"] == "finished", ended.end
    sft, merge, dpo = run.stages()
    assert [each.info.kind for each in (sft, merge, dpo)] == ["train", "merge", "train"]
    recipe = dpo.recipe()
    assert recipe is not None
    assert recipe.model.base == str(merge.output)
    assert json.loads((run.output / "adapter_config.json").read_text())["base_model_name_or_path"] == str(merge.output)


def test_the_preset_of_two_stages_trains_in_miniature(
    here: dict[int, Callable[..., None]], work: Callable[..., Any], tmp_path: Path, random_demo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ftui.recipe import preset

    pairs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ftui.runs.stages.start", lambda run: None)
    recipe = assign(preset("sft-then-dpo").recipe, {
        "model.base": "demo", "model.dtype": "float32", "data.sources": ["demo"], "data.max_length": 128,
        "train.max_steps": 2, "train.micro_batch": 2, "evaluate.max_new_tokens": 2, "compute.gpus": 0,
    })  # fmt: skip
    stages = [dict(stage) for stage in recipe.stages]
    stages[1]["train"] = {**stages[1]["train"], "effective_batch": 2}  # type: ignore[dict-item]
    recipe = assign(recipe, {"stages": stages, "train.effective_batch": 2})
    run = launch(lay_out(recipe), command="ftui launch sft-then-dpo")
    assert work(run).end["status"] == "finished"
    sft, dpo = (stage.recipe() for stage in run.stages())
    assert sft is not None
    assert dpo is not None
    assert (dpo.adapter.start_from, dpo.adapter.rank, dpo.model.quantization) == (  # type: ignore[union-attr]
        str(run.stages()[0].output), 32, "nf4",
    )
    assert (run.output / "adapter_model.safetensors").is_file()


def test_a_reward_model_of_one_stage_scores_the_answers_of_the_next(
    here: dict[int, Callable[..., None]], work: Callable[..., Any], resolved: Callable[..., Recipe], tmp_path: Path,
    random_demo: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ftui.runs.stages.start", lambda run: None)
    compared = {"sources": pairs(tmp_path)}
    recipe = assign(resolved(compute__gpus=0, train__max_steps=2, train__eval_steps=2), {"stages": [
        {"name": "sft"},
        {"name": "score", "objective": "reward", "data": compared},
        {"name": "policy", "data": compared, "objective": {
            "kind": "rloo", "rewards": ["stage:score", "0.1*length:8"], "generations": 2, "max_completion_length": 8,
            "eval_prompts": 2,
        }},
    ]})  # fmt: skip
    run = launch(lay_out(recipe), command="ftui launch rlhf.yaml", force=True)
    assert work(run).end["status"] == "finished"
    sft, score, policy = run.stages()
    assert [stage.recipe().adapter.start_from for stage in (score, policy)] == [str(sft.output)] * 2
    values = [event.data["values"] for event in history(policy) if event.kind == "metric"]
    assert len(values) == 2
    assert all(f"rewards/model:{score.id}/mean" in each for each in values)


def written(folder: Path, **answers: str) -> list[str]:
    """A file for each task, in which it has its own answer to the same questions."""
    paths = [folder / f"{task}.jsonl" for task in answers]
    for path, answer in zip(paths, answers.values(), strict=True):
        rows = [{"prompt": f"What is {number}?", "completion": answer} for number in range(8)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [str(path) for path in paths]


def test_tasks_that_train_apart_leave_an_adapter_each_on_one_base(
    here: dict[int, Callable[..., None]], work: Callable[..., Any], commanded: Callable[..., Any],
    resolved: Callable[..., Recipe], tmp_path: Path, random_demo: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr("ftui.runs.stages.start", lambda run: None)
    recipe = assign(resolved(compute__gpus=0, train__max_steps=3, train__eval_steps=3, train__save_steps=2), {
        "data.sources": written(tmp_path, one="It is one.", two="They are two."), "data.tasks": "apart",
        "stages": [{"name": "two", "adapter": {"rank": 4}}],
    })  # fmt: skip
    run = launch(lay_out(recipe), command="ftui launch tasks.yaml", force=True)
    # The second task breaks; a resume leaves the first as it is.
    here[2] = commanded({3: RuntimeError("the power went")})
    assert work(run).end["text"].startswith("Stage 2 of 2, two: RuntimeError")
    ended = work(run)
    assert ended.end["text"] == "All 2 tasks are trained: one, two."
    first, second = run.stages()
    assert [(status(stage).attempt, stage.recipe().adapter.rank) for stage in (first, second)] == [(1, 8), (2, 4)]
    assert [stage.recipe().adapter.start_from for stage in (first, second)] == [None, None]
    report = run.report.read_text()
    assert f'model.load_adapter("{run.output}/two", adapter_name="two")' in report

    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(random_demo), run.output / "one", adapter_name="one"
    )
    model.load_adapter(str(run.output / "two"), adapter_name="two")
    ids = torch.arange(3, 15)[None]
    with torch.no_grad():
        said = []
        for name in ("one", "two"):
            model.set_adapter(name)
            said.append(model(input_ids=ids).logits)
    assert not torch.equal(*said)


def test_the_preset_of_tasks_apart_trains_in_miniature(
    here: dict[int, Callable[..., None]], work: Callable[..., Any], tmp_path: Path, random_demo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ftui.recipe import preset

    monkeypatch.setattr("ftui.runs.stages.start", lambda run: None)
    recipe = assign(preset("multitask-adapters").recipe, {
        "model.base": "demo", "model.dtype": "float32", "data.max_length": 64, "train.effective_batch": 2,
        "data.sources": written(tmp_path, one="It is one.", two="They are two."), "train.max_steps": 2,
        "train.micro_batch": 2, "evaluate.max_new_tokens": 2, "compute.gpus": 0,
    })  # fmt: skip
    run = launch(lay_out(recipe), command="ftui launch multitask-adapters")
    assert work(run).end["status"] == "finished"
    assert sorted(path.parent.name for path in run.output.glob("*/adapter_model.safetensors")) == ["one", "two"]
