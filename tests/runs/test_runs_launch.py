"""From an asked recipe to a started run: what it means here, what stands in the way, what is written."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import struct
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftui.data
from ftui import hardware
from ftui.data.document import DataProfile, Source
from ftui.errors import BadInput, FtuiError, Refused
from ftui.hardware.document import Cpu, Gpu, GpuProcess, Hardware, Ram, TorchBuild
from ftui.models import demo
from ftui.models.document import Linear, ModelShape
from ftui.planner.document import Verdict
from ftui.recipe import assign, get, read
from ftui.recipe.document import Recipe
from ftui.recipe.presets import presets
from ftui.runs import data_files
from ftui.runs.absolute import with_absolute_paths
from ftui.runs.command import ask, launch_command
from ftui.runs.control import wait
from ftui.runs.folder import create
from ftui.runs.launch import Layout, launch, lay_out
from ftui.runs.obstacles import obstacles
from ftui.units import GiB

SHAPE = ModelShape(
    ref="demo", source="config", model_type="llama", architecture="LlamaForCausalLM", hidden=64, intermediate=128,
    layers=2, heads=4, kv_heads=4, head_dim=16, vocab=512, context_length=512, tied_embeddings=True,
    linears=(Linear(name="q_proj", inputs=64, outputs=64, count=2),), parameters=200_000, embedding_parameters=32_768,
    dtype="float32",
)


def machine(free: int = 8 * GiB) -> Hardware:
    card = Gpu(index=0, name="T4", total_bytes=16 * GiB, used_bytes=16 * GiB - free, free_bytes=free)
    return Hardware(
        host="box", system="Linux", time=time.time(), gpus=(card,), ram=Ram(total_bytes=8 * GiB, available_bytes=free),
        cpu=Cpu(name="cpu", cores=2, host_cores=2, architecture="x86_64"),
    )


def profile(rows: int = 100, kind: Any = "conversation") -> DataProfile:
    return DataProfile(sources=(Source(ref="x", rows=rows, format="messages", confidence=1.0),), kind=kind, rows=rows)


@pytest.fixture
def layout() -> Layout:
    asked = ask("cpu-demo", settings=["train.max_steps=20"])
    return lay_out(asked.recipe, preset=asked.preset, hardware=machine(), shape=SHAPE, profile=profile())


def test_everything_auto_is_filled_in_and_what_was_asked_is_kept(layout: Layout) -> None:
    assert layout.recipe.train.max_steps == 20
    assert "auto" not in (layout.recipe.train.save_steps, layout.recipe.model.attention)
    assert layout.estimate.time.steps == 20
    assert "max_steps: 20" in layout.asked_text
    assert list(obstacles(layout)) == []


def test_a_recipe_without_model_or_data_says_what_to_add() -> None:
    with pytest.raises(Refused, match="--model MODEL"):
        lay_out(Recipe())
    with pytest.raises(Refused, match="--data FILE"):
        lay_out(assign(Recipe(), {"model.base": "demo"}))


def test_a_distillation_without_a_teacher_is_refused_even_with_force(layout: Layout) -> None:
    asked = assign(layout.asked, {"objective.kind": "distill"})
    planned = lay_out(asked, hardware=machine(), shape=SHAPE, profile=profile(kind="prompt"))
    assert "objective.teacher is empty" in next(obstacles(planned)).what
    for force in (False, True):
        with pytest.raises(Refused, match=r"objective\.teacher is empty"):
            launch(planned, command="ftui launch", force=force)


def test_each_obstacle_is_a_sentence_with_a_remedy(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    tight = Verdict(fit="no", spare_bytes=-GiB, text="Does not fit by 1.0 GiB.")
    cases = [
        (replace(layout, profile=profile(rows=0)), "No row of the data"),
        (replace(layout, profile=profile(kind="preference")), "preference rows"),
        (replace(layout, profile=profile().model_copy(update={"faults": ("Its mask is wrong.",)})), "mask is wrong"),
        (replace(layout, recipe=assign(layout.recipe, {"data.hold_out": "group:doc"})), "has no column doc"),
        (replace(layout, estimate=layout.estimate.model_copy(update={"verdict": tight})), "Does not fit by 1.0 GiB"),
        (replace(layout, estimate=layout.estimate.model_copy(update={"disk_bytes": 1 << 60})), "GiB of disk"),
        (replace(layout, recipe=assign(layout.recipe, {"model.base": "some/model"})), "HF_HUB_OFFLINE"),
    ]
    for blocked, what in cases:
        (found,) = obstacles(blocked)
        assert what in found.what
        assert found.hint
        with pytest.raises(Refused, match="--force"):
            launch(blocked, command="ftui launch")


def test_a_torch_that_can_t_use_the_gpu_stands_in_the_way_unless_the_cpu_is_meant(layout: Layout) -> None:
    torch = TorchBuild(version="2.13.0+cpu", problem="torch is built for the CPU.", advice="pip install torch")
    box = layout.hardware.model_copy(update={"torch": torch})
    on_gpu = replace(layout, hardware=box, recipe=assign(layout.recipe, {"compute.gpus": 1}))
    (found,) = obstacles(on_gpu)
    assert "built for the CPU" in str(found)
    assert "pip install torch" in str(found)
    assert list(obstacles(replace(on_gpu, recipe=assign(layout.recipe, {"compute.gpus": 0})))) == []


def test_a_model_that_is_too_large_to_download_is_seen_before(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    shape = SHAPE.model_copy(update={"weight_bytes": 1 << 60})
    (found,) = obstacles(replace(layout, recipe=assign(layout.recipe, {"model.base": "some/model"}), shape=shape))
    assert "to download" in found.what


def test_memory_is_looked_at_again_right_before_the_launch(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    old = replace(layout, hardware=layout.hardware.model_copy(update={"time": time.time() - 60}))
    monkeypatch.setattr(hardware, "probe", lambda: machine(free=1 << 20))
    with pytest.raises(Refused, match="Does not fit"):
        launch(old, command="ftui launch")


def test_who_holds_the_card_is_said_where_it_would_have_room_without_them(layout: Layout) -> None:
    tight = Verdict(fit="no", spare_bytes=-GiB, text="Does not fit by 1.0 GiB.")
    card = machine(free=GiB).gpus[0].model_copy(update={
        "processes": (GpuProcess(pid=4711, user="ann", used_bytes=15 * GiB),)
    })
    shared = replace(
        layout, hardware=machine().model_copy(update={"gpus": (card,)}),
        recipe=assign(layout.recipe, {"compute.gpus": 1}),
        estimate=layout.estimate.model_copy(update={"verdict": tight}),
    )
    (found,) = obstacles(shared)
    assert found.hint.endswith(
        "Process 4711 (user ann) holds 15.0 GiB of the card: --queue waits until it is free."
    )
    alone = replace(shared, hardware=machine(free=16 * GiB))
    assert "queue" not in next(obstacles(alone)).hint


def test_a_weight_file_that_was_cut_since_the_plan_is_named(layout: Layout, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(demo.ensure_folder(), base)
    header = json.dumps({"w": {"dtype": "F32", "shape": [100], "data_offsets": [0, 400]}}).encode()
    (base / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(390))
    there = replace(layout, recipe=assign(layout.recipe, {"model.base": str(base)}))
    (found,) = obstacles(there)
    assert "model.safetensors is damaged: it is cut off" in found.what
    assert "download the model again" in found.hint


@pytest.mark.usefixtures("counting")
def test_the_same_run_twice_at_once_is_refused_unless_forced_or_queued(layout: Layout) -> None:
    first = launch(layout, command="ftui launch cpu-demo")
    with pytest.raises(Refused, match=f"{first.id} is training exactly this recipe already"):
        launch(layout, command="ftui launch cpu-demo")
    other = replace(layout, recipe=assign(layout.recipe, {"train.seed": 18}))
    for run in (launch(layout, command="x", force=True), launch(layout, command="x", queued=True),
                launch(other, command="x")):
        assert wait(run).over
    wait(first)
    assert wait(launch(layout, command="once it has ended nothing is in its way")).over


@pytest.mark.usefixtures("counting")
def test_a_launch_notes_how_the_data_s_files_are_and_a_change_since_is_told_with_both_facts(
    layout: Layout, tmp_path: Path
) -> None:
    rows, more = tmp_path / "rows.jsonl", tmp_path / "held-out.jsonl"
    rows.write_text("{}\n" * 10)
    more.write_text("{}\n")
    recipe = assign(layout.recipe, {"data.sources": [{"path": str(rows)}], "data.validation": str(more)})
    run = create("train", "t", command="x", recipe=recipe)
    data_files.remember(run, recipe)
    assert data_files.changes(run, recipe) == []
    os.utime(rows, (0, 0))
    assert data_files.changes(run, recipe) == [], "the content counts"
    rows.write_text("{}\n" * 9 + "[]\n")
    (said,) = data_files.changes(run, recipe)
    assert said.startswith(f"{rows} has changed since the launch: 30 bytes of 20")
    assert said.count("30 bytes of ") == 2
    more.unlink()
    assert f"{more} can't be read any more; at the launch it had 3 bytes of" in data_files.changes(run, recipe)[1]
    assert data_files.changes(launch(layout, command="x"), layout.recipe) == []


def test_of_large_files_pieces_are_compared(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_files, "READ_BYTES", 1 << 20)
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(bytes(5 << 20))
    recipe = assign(layout.recipe, {"data.sources": [{"path": str(rows)}]})
    before = data_files.look(recipe)
    with open(rows, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    assert data_files.look(recipe)[0].digest != before[0].digest


@pytest.mark.usefixtures("counting")
def test_a_launch_writes_the_folder_and_starts_a_worker(layout: Layout) -> None:
    run = launch(layout, command="ftui launch cpu-demo")
    assert wait(run).state == "finished"
    assert run.recipe() == layout.recipe
    assert run.plan() == layout.plan
    assert run.asked_text == layout.asked_text
    assert (run.info.kind, run.info.preset, run.info.seed) == ("train", "cpu-demo", 17)


def test_a_resolved_recipe_survives_its_own_file(layout: Layout, tmp_path: Path) -> None:
    from ftui.recipe import write

    (tmp_path / "r.yaml").write_text(write(layout.recipe))
    assert read(tmp_path / "r.yaml") == layout.recipe


def test_files_are_named_absolutely_and_names_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train.jsonl", "held.jsonl", "t.jinja", "demo"):
        (tmp_path / name).write_text("")
    (tmp_path / "model").mkdir()
    recipe = assign(Recipe(), {
        "model.base": "model", "data.sources": [{"path": "train.jsonl"}, {"path": "org/set"}, {"path": "demo"}],
        "data.validation": "held.jsonl", "data.template": "t.jinja",
    })
    found = with_absolute_paths(recipe)
    assert found.model.base == str(tmp_path / "model")
    assert [source.path for source in found.data.sources] == [str(tmp_path / "train.jsonl"), "org/set", "demo"]
    assert (found.data.validation, found.data.template) == (str(tmp_path / "held.jsonl"), str(tmp_path / "t.jinja"))
    several = [{"path": "shards/*.jsonl"}, {"path": "own.py:rows"}, {"path": "own:rows"}]
    found = with_absolute_paths(assign(Recipe(), {"data.sources": several}))
    named = [str(tmp_path / "shards/*.jsonl"), str(tmp_path / "own.py:rows"), "own:rows"]
    assert [source.path for source in found.data.sources] == named
    assert with_absolute_paths(Recipe()) == Recipe()
    (tmp_path / "own.py").write_text("")
    rewards = ("exact", "0.5*own.py:polite", "demo:score", "2*model:model", "model:org/judge", "exakt", "json:demo")
    scored = with_absolute_paths(assign(Recipe(), {"objective.kind": "grpo", "objective.rewards": rewards}))
    assert get(scored, "objective.rewards") == (
        "exact", f"0.5*{tmp_path}/own.py:polite", "demo:score", f"2.0*model:{tmp_path}/model", *rewards[4:],
    )
    assert with_absolute_paths(assign(Recipe(), {"data.template": "{{ x }}\0" * 2000}))


def test_a_file_is_kept_verbatim_until_something_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("# my comment\nmodel: {base: demo}\n")
    assert ask(str(path)).text == "# my comment\nmodel: {base: demo}\n"
    assert ask(str(path), settings=["train.epochs=2"]).text is None
    assert ask("cpu-demo").preset == "cpu-demo"


@pytest.mark.parametrize("bad", ["no-such-preset", "missing.yaml", "/"])
def test_a_reference_that_is_nothing_is_one_sentence(bad: str) -> None:
    with pytest.raises(BadInput):
        ask(bad)


TEXT = st.text(st.characters(exclude_categories=["C"]), max_size=10)
CHANGES = st.fixed_dictionaries({}, optional={
    "objective.kind": st.sampled_from(["sft", "dpo", "grpo"]),
    "adapter.kind": st.sampled_from(["lora", "vera", "none"]),
    "name": TEXT, "train.epochs": st.floats(0.5, 10), "train.max_steps": st.integers(1, 99),
    "train.learning_rate": st.floats(1e-6, 1e-2), "train.checkpointing": st.booleans(),
    "evaluate.prompts": st.lists(TEXT, max_size=3).map(tuple), "compute.on_end": TEXT,
    "compute.max_hours": st.floats(0.1, 100), "adapter.rank": st.integers(1, 64), "data.validation": st.integers(0, 9),
    "data.sources": st.lists(
        st.fixed_dictionaries({"path": st.sampled_from(["a.jsonl", "org/set", "x y.csv"])}, optional={
            "columns": st.dictionaries(st.sampled_from(["prompt", "completion"]), st.sampled_from(["q", "a b"])),
            "weight": st.floats(0.5, 5), "limit": st.integers(1, 9),
        }), min_size=1, max_size=3),
})


@settings(deadline=None)
@given(CHANGES, st.sampled_from([None, *(preset.name for preset in presets())]))
def test_the_command_line_of_a_recipe_makes_that_recipe(changes: dict[str, Any], reference: str | None) -> None:
    try:
        recipe = assign(ask(reference).recipe, changes)
    except FtuiError:
        return
    words = shlex.split(launch_command(recipe, reference=reference))
    assert words[:2] == ["ftui", "launch"]
    rest = words[2:]
    if reference:
        assert rest.pop(0) == reference
    flags, data, assigned = {}, [], []
    for flag, value in zip(rest[::2], rest[1::2], strict=True):
        if flag == "--data":
            data.append(value)
        elif flag == "--set":
            assigned.append(value)
        else:
            path = {"--name": "name", "--model": "model.base", "--max-hours": "compute.max_hours",
                    "--on-end": "compute.on_end"}[flag]
            flags[path] = float(value) if flag == "--max-hours" else value
    assert ask(reference, data=data, settings=assigned, flags=flags).recipe == recipe


def test_the_command_line_names_another_kind_and_not_all_the_defaults_that_it_brings() -> None:
    recipe = assign(Recipe(), {"model.base": "demo", "data.sources": ["pairs.json"], "objective.kind": "dpo",
                               "adapter.kind": "vera", "objective.beta": 0.2})
    assert launch_command(recipe) == (
        "ftui launch --set objective.kind=dpo --set adapter.kind=vera --model demo --data pairs.json "
        "--set objective.beta=0.2"
    )
    asked = ask(data=["pairs.json"], settings=["objective.kind=dpo", "adapter.kind=vera", "objective.beta=0.2"],
                flags={"model.base": "demo"})
    assert asked.recipe == recipe
    assert "objective" not in launch_command(assign(recipe, {"objective.kind": "sft"}))


def test_the_real_way_needs_nothing_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def read_profile(sources: Any, shape: Any = None, **_: Any) -> DataProfile:
        asked["sources"], asked["shape"] = sources, shape
        return profile()

    monkeypatch.setitem(vars(ftui.data), "profile", read_profile)
    layout = lay_out(ask("cpu-demo").recipe)
    assert asked["sources"][0].path == "demo"
    assert asked["shape"] is layout.shape
    assert json.loads(layout.plan.to_json())
