"""`ftui plan` as its user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.cli.main import main
from ftui.cli.plan_text import memory_bar
from ftui.hardware.document import Hardware
from ftui.planner.document import MemoryEstimate, MemoryParts

BOXES = Path(__file__).parents[1] / "hardware" / "boxes"
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256, "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "max_position_embeddings": 8192, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}
Ran = tuple[int, str, str]


@pytest.fixture
def ftui(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command line; returns its exit code, stdout and stderr."""
    def run(*words: str) -> Ran:
        code: Any = 0
        try:
            main(list(words))
        except SystemExit as leave:
            code = leave.code
        out, err = capsys.readouterr()
        return int(code or 0), out, err

    return run


@pytest.fixture
def config(tmp_path: Path) -> str:
    """The config.json of an 8B Llama, alone."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    return str(path)


@pytest.fixture
def t4(tmp_path: Path, boxes: dict[str, Hardware]) -> str:
    path = tmp_path / "t4.json"
    path.write_text(boxes["t4"].to_json())
    return str(path)


def test_the_plan_names_every_method_and_why_each_value_was_picked(
    ftui: Callable[..., Ran], config: str, t4: str
) -> None:
    code, out, err = ftui("plan", "--model", config, "--hardware", t4, "--goal", "chat")
    assert (code, err) == (0, "")
    for words in ("QLoRA (4-bit base)", "Full fine-tuning", "Does not fit by", "would make it fit:", "adapter.rank",
                  "Tesla T4 has no bfloat16", "Fits:", "No data has been read"):
        assert words in out
    assert all(len(line.rstrip()) <= 80 for line in out.splitlines())


def test_json_holds_the_plan_the_resolved_recipe_and_its_memory_and_time(
    ftui: Callable[..., Ran], config: str, t4: str, tmp_path: Path
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"model: {{base: '{config}', quantization: nf4}}\ndata: {{max_length: 1024}}\n"
                      "train: {micro_batch: 2, effective_batch: 8}\n")
    code, out, _ = ftui("plan", "--recipe", str(recipe), "--hardware", t4, "--json")
    found = json.loads(out)
    assert code == 0
    assert {"allocated_bytes", "reserved_bytes", "process_bytes", "low_bytes", "high_bytes", "parts", "phase"} <= set(
        found["memory"]
    )
    assert {"step_seconds", "tokens_per_second", "total_seconds"} <= set(found["time"])
    assert sum(found["memory"]["parts"].values()) == found["memory"]["process_bytes"]
    assert found["recipe"]["model"]["quantization"] == "nf4"
    assert found["recipe"]["train"]["micro_batch"] == 2
    assert found["recommendation"]["method"] == "qlora"


def test_a_preset_is_planned_by_its_name(ftui: Callable[..., Ran], t4: str, config: str) -> None:
    code, out, _ = ftui("plan", "chat-qlora-16gb", "--model", config, "--hardware", t4)
    assert code == 0
    assert "QLoRA" in out


@pytest.mark.parametrize("box", sorted(BOXES.glob("*.json")), ids=lambda path: path.stem)
def test_every_recorded_machine_can_be_planned_for(ftui: Callable[..., Ran], config: str, box: Path) -> None:
    code, out, err = ftui("plan", "--model", config, "--hardware", str(box))
    assert (code, err) == (0, "")
    assert "Rate:" in out


@pytest.mark.parametrize(("words", "said"), [
    (("plan",), "No base model"),
    (("plan", "--model", "demo", "--hardware", "/nowhere.json"), "nowhere.json"),
    (("plan", "--model", "demo", "--set", "train.epochs=many"), "train.epochs"),
    (("plan", "--model", "demo", "--goal", "poetry"), "goal.task"),
    (("plan", "cpu-demo", "--recipe", "cpu-demo"), "Give one of them"),
    (("plan", "/nowhere/recipe.yaml"), "recipe.yaml"),
])
def test_bad_input_is_one_sentence_and_exit_code_2(
    ftui: Callable[..., Ran], words: tuple[str, ...], said: str
) -> None:
    code, _, err = ftui(*words)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_a_file_that_is_no_machine_is_named(ftui: Callable[..., Ran], config: str) -> None:
    code, _, err = ftui("plan", "--model", config, "--hardware", config)
    assert code == 2
    assert "is no recorded machine" in err


def test_the_bar_shows_what_is_beyond_the_edge() -> None:
    parts = MemoryParts(weights=6 << 30, activations=6 << 30)
    estimate = MemoryEstimate(
        parts=parts, allocated_bytes=12 << 30, reserved_bytes=12 << 30, process_bytes=12 << 30, low_bytes=11 << 30,
        high_bytes=13 << 30, phase="loss forward",
    )
    inside, over = memory_bar(estimate, 24 << 30), memory_bar(estimate, 8 << 30)
    assert inside.index("│") > inside.rindex("▒")
    assert over.index("│") < over.rindex("▒")
    assert over.count("█") == over.count("▒")


def test_the_largest_that_fits_is_a_sentence_and_a_document(
    ftui: Callable[..., Ran], config: str, t4: str
) -> None:
    asked = ("plan", "--model", config, "--hardware", t4, "--largest", "micro_batch", "--largest", "rank")
    code, out, err = ftui(*asked)
    assert (code, err) == (0, "")
    assert "train.micro_batch: " in out
    assert "is the largest that fits" in " ".join(out.split())
    code, out, _ = ftui(*asked, "--json")
    found = json.loads(out)["largest"]
    assert [one["what"] for one in found] == ["micro_batch", "rank"]
    assert all(one["high_bytes"] <= one["room_bytes"] for one in found if one["value"] is not None)


def test_why_not_answers_for_a_value_and_compares_all_options(
    ftui: Callable[..., Ran], config: str, t4: str
) -> None:
    asked = ("plan", "--model", config, "--hardware", t4, "--why-not", "adapter.kind=none", "--why-not",
             "model.quantization")
    code, out, err = ftui(*asked)
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    assert "adapter.kind=none" in flat
    assert "does not fit" in flat
    assert "▸" in out
    for value in ("nf4", "int8", "none"):
        assert value in out
    code, out, _ = ftui(*asked, "--json")
    answers = json.loads(out)["why_not"]
    assert answers[0]["path"] == "adapter.kind"
    assert {one["value"] for one in answers[1:]} == {"none", "nf4", "fp4", "int8"}


def test_why_not_about_no_setting_of_a_recipe_is_bad_input(
    ftui: Callable[..., Ran], config: str, t4: str
) -> None:
    code, out, err = ftui("plan", "--model", config, "--hardware", t4, "--why-not", "train.nonsense=3")
    assert (code, out) == (2, "")
    assert "is no key of ftui's" in err


def test_whether_layers_are_computed_again_stands_beside_each_option(
    ftui: Callable[..., Ran], config: str, t4: str
) -> None:
    _, out, _ = ftui("plan", "--model", config, "--hardware", t4)
    header = next(line for line in out.splitlines() if "method" in line and "fits" in line)
    assert header.split()[-1] == "ckpt"
