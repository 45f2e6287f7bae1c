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


def test_topics_of_which_one_is_rare_are_told(run: Run, jsonl: Callable[..., str]) -> None:
    def uneven(**more: Any) -> list[dict[str, Any]]:
        rows = [
            {"question": f"q{n}", "answer": "a", "category": "sums" if n % 50 else "maps", **more} for n in range(200)
        ]
        _, out, _ = run("check", jsonl(*rows), "--json")
        return [finding for finding in json.loads(out)["findings"] if finding["name"] == "uneven-topics"]

    [found] = uneven()
    assert (found["count"], found["examples"][0]["line"]) == (4, 1)
    assert "maps has 4 rows, sums 196 (of 2 topics)" in found["text"]
    assert uneven(category="sums") == []
    many = jsonl(*({"question": f"q{n}", "answer": "a", "category": f"c{n}"} for n in range(300)))
    assert "uneven-topics" not in run("check", many, "--json")[1], "a name for each row is no topic"


def test_a_test_file_with_columns_of_its_own_is_compared_by_their_mapping(run: Run, jsonl: Callable[..., str]) -> None:
    asked = "Explain in your own words how a steam engine turns heat into work, step by step"
    trained = jsonl(*({"question": f"q{n}", "answer": "a"} for n in range(60)), {"question": asked, "answer": "So."})
    test = jsonl({"frage": asked, "antwort": "It boils."}, name="test.jsonl")
    code, _, err = run("check", trained, "--against", test, "--json")
    assert code == 2, err
    mapped = ("--against-map", "prompt=frage", "--against-map", "completion=antwort")
    code, out, err = run("check", trained, "--against", test, *mapped, "--json")
    assert code == 0, err
    [leak] = [finding for finding in json.loads(out)["findings"] if finding["name"] == "leaks"]
    assert (leak["count"], leak["examples"][0]["line"]) == (1, 61)
    columns = {"prompt": "frage", "completion": "antwort"}
    assert leak["repair"] == {"drop_leaks": {"files": [test], "columns": columns}}
    _, out, _ = run("check", trained, "--against", test, *mapped, "--repair", "leaks")
    assert "prompt: frage" in out
    code, _, err = run("check", trained, "--against", test, "--against-map", "prompt")
    assert (code, "is no PART=COLUMN" in err) == (2, True)


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
    assert "‹a2›" in out
    _, out, _ = run("show", path, "--row", "1", "--json")
    assert json.loads(out)["tokens"][1]["text"] == "a1"


HOSTILE = "\x1b[31m\x1b]52;c;aGk=\x07\x9b2J\u202eevil\u2066\u200f\x00\r\x08"


@pytest.mark.parametrize("arguments", [["show"], ["show", "--row", "1"], ["show", "--row", "2"], ["check"]])
@pytest.mark.parametrize("as_json", [False, True])
def test_nothing_in_rows_or_names_reaches_the_terminal_as_it_is(
    run: Run, jsonl: Callable[..., str], arguments: list[str], as_json: bool
) -> None:
    row = {"messages": [{"role": "user", "content": HOSTILE}, {"role": "assistant", "content": f"a{HOSTILE}"}]}
    alien = {"messages": [{"role": HOSTILE, "content": HOSTILE}], HOSTILE: HOSTILE}
    called = row | {HOSTILE: 1, "tools": [{"name": HOSTILE}]}
    path = jsonl(row, called, alien, HOSTILE.replace("\0", ""), name="a\x1b[2J\u202e.jsonl")
    command, *options = arguments
    code, out, err = run(command, path, *options, *(["--json"] if as_json else []))
    assert code == 0, err
    assert [letter for letter in out + err if not letter.isprintable() and letter not in "\n\t"] == []
    assert json.loads(out) if as_json else "evil" in out


def test_columns_no_format_knows_are_named_without_reaching_the_terminal(run: Run, jsonl: Callable[..., str]) -> None:
    code, out, err = run("show", jsonl({f"a{HOSTILE}": HOSTILE}), "--map", f"prompt={HOSTILE}")
    assert code == 2
    assert [letter for letter in out + err if not letter.isprintable() and letter != "\n"] == []


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
    assert {finding["name"] for finding in json.loads(out)["findings"]} == {
        "bad-rows", "control-characters", "few-rows",
    }  # fmt: skip


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
    assert "‹0 trained›, 5 masked" in out


@pytest.fixture
def faulty(jsonl: Callable[..., str]) -> str:
    row = {"question": "How does a steam engine turn heat into work?", "answer": "By steam that pushes a piston."}
    rows = [row, row, {**row, "answer": row["answer"] + "<|im_end|>"}, {**row, "question": row["question"].upper()}]
    return jsonl(*rows, {"question": "q", "answer": "mail ann@web.de"})


def test_repairs_are_printed_as_the_recipes_section_what_mends_first(run: Run, faulty: str) -> None:
    code, out, _ = run("check", faulty, "--deep", "--repair", "near-duplicates", "--repair", "template-tokens",
                       "--repair", "drop_duplicates", "--repair", "mask_personal")  # fmt: skip
    assert code == 0
    assert "Mended by --repair duplicates (drop_duplicates)" in " ".join(out.split())
    assert out.endswith(
        "\ndata:\n  prepare:\n    - mask_personal:\n    - escape_template_tokens:\n    - drop_duplicates:\n"
        "    - drop_near_duplicates:\n        threshold: 0.8\n"
    )


def test_repairs_are_written_into_a_new_recipe_and_added_to_one_whose_comments_stay(
    run: Run, faulty: str, tmp_path: Path
) -> None:
    from ftui.recipe.text import read

    path = tmp_path / "recipe.yaml"
    assert run("check", faulty, "--repair", "all", "--write", str(path))[0] == 0
    data = read(path).data
    assert [source.path for source in data.sources] == [faulty]
    assert [next(iter(entry)) for entry in data.prepare] == ["escape_template_tokens", "drop_duplicates"]
    path.write_text("# mine\n" + path.read_text() + "train:\n  epochs: 2  # enough\n")
    assert run("check", faulty, "--repair", "drop_refusals", "--repair", "duplicates", "--write", str(path))[0] == 0
    assert [next(iter(entry)) for entry in read(path).data.prepare] == [
        "escape_template_tokens", "drop_duplicates", "drop_refusals",
    ]  # fmt: skip
    assert path.read_text().startswith("# mine\n")
    assert "# enough" in path.read_text()


def test_what_can_not_be_repaired_so_is_said(run: Run, faulty: str, tmp_path: Path) -> None:
    assert "nearest is duplicates" in run("check", faulty, "--repair", "duplicate")[2]
    assert "No repair mends few-rows" in run("check", faulty, "--repair", "few-rows")[2]
    assert "none is" in run("check", faulty, "--write", str(tmp_path / "r.yaml"))[2]
    assert not (tmp_path / "r.yaml").exists()


def test_rows_of_a_benchmark_are_told_with_their_lines(run: Run, faulty: str) -> None:
    code, out, _ = run("check", faulty, "--against", faulty, "--json")
    leaks = next(finding for finding in json.loads(out)["findings"] if finding["name"] == "leaks")
    assert (code, leaks["count"], leaks["repair"]) == (0, 5, {"drop_leaks": [faulty]})
