"""`ftui data`: what a person and a script see, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.cli.main import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `ftui data ...` here: (exit code, stdout, stderr)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            main(["data", *arguments])
            code = 0
        except SystemExit as leave:
            code = int(leave.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def path(jsonl: Callable[..., str]) -> str:
    return jsonl({"question": "q1", "answer": "a1"}, "{", {"question": "q2\x1b[31m", "answer": "a2"})


def test_show_prints_what_there_is_with_the_bad_rows_lines(run: Run, path: str) -> None:
    code, out, _ = run("show", path)
    assert code == 0
    assert "prompt-completion (80% sure)" in out
    assert "data.jsonl:2:brokenJSON" in "".join(out.split())


def test_show_json_is_one_document_and_nothing_else(run: Run, path: str) -> None:
    code, out, err = run("show", path, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["rows"], found["bad_rows"], found["bad"][0]["line"]) == (2, 1, 2)


def test_a_row_is_shown_with_its_trained_part_marked_and_escapes_made_visible(run: Run, path: str) -> None:
    code, out, _ = run("show", path, "--row", "2")
    assert code == 0
    assert "\x1b" not in out
    assert "q2\\x1b[31m" in out
    assert "»a2«" in out
    _, out, _ = run("show", path, "--row", "1", "--json")
    assert json.loads(out)["tokens"][1]["text"] == "a1"


def test_columns_are_mapped_on_the_command_line(run: Run, jsonl: Callable[..., str]) -> None:
    path = jsonl({"q": "1", "a": "2"})
    code, out, _ = run("show", path, "--map", "prompt=q", "--map", "completion=a", "--json")
    assert (code, json.loads(out)["sources"][0]["columns"]) == (0, {"prompt": "q", "completion": "a"})
    assert run("show", path, "--map", "prompt")[0] == 2
    assert run("show", path, "--format", "alpaca")[0] == 2


def test_check_lists_findings_and_leaves_with_zero(run: Run, path: str) -> None:
    code, out, _ = run("check", path)
    assert code == 0
    assert "warning: 1 row can't be read." in out
    code, out, _ = run("check", path, "--json")
    assert {finding["name"] for finding in json.loads(out)["findings"]} == {"bad-rows", "few-rows"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "There is no file"),
        (b"", "is empty"),
        (b"[]", "has no rows"),
        (b"\x00\x01\x02\x03", "binary"),
        ('{"text": "a"}'.encode("utf-16"), "iconv"),
        (b'{"x": 1}', "--map"),
    ],
)
@pytest.mark.parametrize("command", ["show", "check"])
def test_what_is_unusable_leaves_with_two_and_one_sentence(
    run: Run, tmp_path: Path, command: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / "data.jsonl"
    if content is not None:
        path.write_bytes(content)
    code, out, err = run(command, str(path), "--json")
    assert code == 2
    assert says in err
    error: dict[str, Any] = json.loads(out)["error"]
    assert all(error.values())
    assert run(command, str(tmp_path))[0] == 2


def test_a_models_tokenizer_counts(run: Run, path: str, bpe_folder: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(bpe_folder, folder)
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 16,
        "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": 600,
        "max_position_embeddings": 64, "torch_dtype": "float32",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    code, out, err = run("show", path, "--model", str(folder), "--json")
    assert code == 0, err
    assert json.loads(out)["lengths"]["exact"] is True
    code, out, _ = run("show", path, "--model", str(folder), "--row", "1", "--max-length", "5")
    assert "5 tokens, 0 trained" in out
