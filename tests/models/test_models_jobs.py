"""The jobs `download` and `count`, in this process and as detached workers, and the command line over them."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ftui.cli.main import main
from ftui.errors import BadInput
from ftui.models import catalogue, describe, families, locate
from ftui.runs.control import create
from ftui.runs.writer import RunWriter
from ftui.worker.context import JobContext
from ftui.worker.jobs import count, download


def work(job: ModuleType, kind: Any, *, stop: bool = False, **args: Any) -> tuple[JobContext, list[dict[str, Any]]]:
    """Run a job in this process; returns its context and its events."""
    run = create(kind, f"{kind} test", args=args, command="")
    with RunWriter(run.path) as writer:
        context = JobContext(run, writer)
        if stop:
            context.ask_stop("it was asked to")
        job.run(context)
    return context, [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """What `ftui models ...` prints and returns."""
    capsys.readouterr()
    code = 0
    try:
        main(["models", *words])
    except SystemExit as leave:
        code = int(leave.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A folder with the config of a family without a row."""
    folder = tmp_path / "persimmon"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["PersimmonForCausalLM"], "model_type": "persimmon", "hidden_size": 64,
        "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 500, "intermediate_size": 256,
    }))
    return folder


def test_the_download_job_moves_a_bar_in_bytes_and_ends_with_the_folder(hub: Any) -> None:
    context, events = work(download, "download", ref="tiny/llama", revision=None)
    assert context.outcome is not None
    assert context.outcome.output == str(locate("tiny/llama"))
    bars = [event["data"] for event in events if event["kind"] == "progress"]
    assert bars[-1]["unit"] == "byte"
    assert bars[-1]["done"] == bars[-1]["total"] == context.outcome.metrics["bytes"]
    again, _ = work(download, "download", ref="tiny/llama", revision=None)
    assert again.outcome is not None
    assert "on this disk already" in again.outcome.text


def test_a_stopped_download_says_how_to_go_on(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftui.models.fetch.PAUSE", 0.3)
    for name in hub.weights("tiny/llama"):
        hub.drop[name] = [100] + [0] * 50
    context, _ = work(download, "download", stop=True, ref="tiny/llama", revision=None)
    assert context.stop_seen
    assert context.outcome is not None
    assert "is kept" in context.outcome.text
    assert "ftui runs resume" in (context.outcome.hint or "")


@pytest.mark.torch
def test_the_count_job_makes_the_next_description_exact(strange: Path) -> None:
    before = describe(str(strange))
    assert not before.exact
    context, _ = work(count, "count", ref=str(strange), revision=None)
    after = describe(str(strange))
    kept = json.loads((context.output / "count.json").read_text())
    assert after.exact
    assert after.parameters == kept["parameters"] == 214_272
    assert {row.name: row.count for row in after.linears} == {
        "query_key_value": 3, "dense": 3, "dense_h_to_4h": 3, "dense_4h_to_h": 3,
    }
    assert (after.gated_mlp, after.tied_embeddings) == (False, False)


@pytest.mark.torch
@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gemma2", "phi3", "gpt2", "gpt_neox", "mixtral"])
def test_the_count_job_agrees_with_the_rows(model_type: str) -> None:
    config: dict[str, Any] = {
        "model_type": model_type, "vocab_size": 97, "hidden_size": 32, "intermediate_size": 56, "n_inner": 56,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "num_local_experts": 4, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0,
    }
    family = families.FAMILIES[model_type]
    s = families.sizes(family, config)
    counted = count.count(config)
    assert (counted.parameters, counted.tied_embeddings) == (families.count(family, s), s.tied)
    assert counted.embedding_parameters == s.vocab * s.hidden

    def rows(linears: Any) -> set[tuple[Any, ...]]:
        return {(row.name, row.inputs, row.outputs, row.bias, row.count, row.per_layer, row.packed) for row in linears}

    assert rows(counted.linears) == rows(families.linears(family, s))


@pytest.mark.torch
def test_a_model_that_transformers_does_not_know_is_refused_in_a_sentence(strange: Path) -> None:
    (strange / "config.json").write_text('{"model_type": "nonesuch", "hidden_size": 64, "num_hidden_layers": 2}')
    with pytest.raises(BadInput, match="no causal language model for the model type 'nonesuch'"):
        work(count, "count", ref=str(strange), revision=None)


def test_show_prints_the_exact_numbers_and_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(capsys, "show", "qwen3-8b")
    assert code == 0
    for words in ("8,190,735,360", "36 layers", "32 heads (8 key-value) of 128", "apache-2.0", "15.3 GiB at 16 bit"):
        assert words in out
    code, out, _ = command(capsys, "show", "qwen3-8b", "--json")
    document = json.loads(out)
    assert (document["parameters"], document["source"]) == (8_190_735_360, "catalogue")
    assert document["bytes"] == {"16": 16_381_470_720, "8": 9_435_703_296, "4": 5_962_819_584}
    code, out, _ = command(capsys, "show", "mixtral-8x7b-instruct-v0.1")
    assert "gate_up_proj (packed)" in out


def test_list_shows_the_whole_catalogue_or_what_suits_a_goal(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = command(capsys, "list", "--json")
    assert [row["id"] for row in json.loads(out)] == [entry.id for entry in catalogue()]
    code, out, _ = command(capsys, "list", "--for", "code")
    assert code == 0
    assert "Qwen/Qwen2.5-Coder-7B" in out
    assert "gpt2" not in out
    assert all(len(line) <= 120 for line in out.splitlines())
    code, _, err = command(capsys, "list", "--for", "cooking")
    assert code == 2
    assert "no goal 'cooking'" in err


def test_search_on_the_command_line_says_when_it_asked_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(capsys, "search", "smollm2")
    assert code == 0
    assert "SmolLM2-360M" in out
    assert "HF_HUB_OFFLINE" in err
    code, out, _ = command(capsys, "search", "smollm2", "--json")
    assert json.loads(out)[0]["source"] == "catalogue"
    code, out, _ = command(capsys, "search", "no such model anywhere")
    assert (code, "Nothing found" in out) == (0, True)


def test_bad_models_leave_with_code_two_and_one_json_document(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for ref in ("two words", str(tmp_path / "absent"), str(tmp_path), "somebody/unknown"):
        code, out, err = command(capsys, "show", ref, "--json")
        assert code == 2
        assert json.loads(out)["error"]["what"]
        assert "Traceback" not in err
        assert command(capsys, "download", ref)[0] == 2


def test_text_from_a_config_never_reaches_the_terminal_as_escapes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({
        "model_type": "evil\x1b[31m", "architectures": ["\x1b]0;owned\x07"], "hidden_size": 8, "num_hidden_layers": 1,
    }))
    _, out, _ = command(capsys, "show", str(tmp_path))
    assert "\x1b" not in out
    assert "\x07" not in out


@pytest.mark.slow
def test_a_detached_download_outlives_a_dropped_line_and_is_found(hub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shard = "model-00001-of-00002.safetensors"
    hub.drop[shard] = [5000, 7000]
    code, out, _ = command(capsys, "download", "tiny/llama", "--wait", "--json")
    document = json.loads(out)
    assert (code, document["status"]) == (0, "finished")
    assert document["output"] == str(locate("tiny/llama"))
    code, out, _ = command(capsys, "show", "tiny/llama")
    assert "on disk" in out
    assert document["output"] in out
    hub.add("tiny/gated", gated=True)
    code, _, err = command(capsys, "download", "tiny/gated", "--wait")
    assert code == 2
    assert "ftui login" in err
