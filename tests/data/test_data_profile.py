"""The profile counts what is there, the check-up says what would harm, the preview shows what is trained."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.data import Given, check, demo_path, preview, profile, profile_apart
from ftui.data.lengths import EDGES, summarize
from ftui.data.scripts import script_of
from ftui.data.tokenizer import Tokenizer
from ftui.errors import BadInput, Refused
from ftui.models.document import ModelShape

SIZES = {"hidden": 8, "intermediate": 16, "layers": 1, "heads": 1, "kv_heads": 1, "head_dim": 8, "vocab": 600}


@pytest.fixture
def shape(bpe_folder: Path) -> ModelShape:
    return ModelShape(
        ref="tiny", path=str(bpe_folder), source="local", model_type="llama", architecture="LlamaForCausalLM",
        context_length=64, tied_embeddings=False, parameters=1, embedding_parameters=1, **SIZES,
    )  # fmt: skip


def talk(question: str, answer: str) -> dict[str, str]:
    return {"prompt": question, "completion": answer}


def test_everything_is_counted(jsonl: Callable[..., str]) -> None:
    path = jsonl(
        talk("a", "b"), talk("a", "b"), "{", talk("c", ""), talk("Привет, как дела?", "Хорошо"), talk("a", "other"),
    )  # fmt: skip
    found = profile(path)
    assert (found.kind, found.rows, found.bad_rows, found.empty_rows, found.duplicate_rows) == (
        "conversation", 4, 1, 1, 1,
    )  # fmt: skip
    assert found.roles == {"user": 4, "assistant": 4}
    assert found.turns_mean == 2
    assert found.languages == {"Latin": 0.75, "Cyrillic": 0.25}
    assert found.bad[0].line == 3
    source = found.sources[0]
    assert (source.format, source.rows, source.columns) == (
        "prompt-completion", 5, {"prompt": "prompt", "completion": "completion"},
    )  # fmt: skip


def test_without_a_model_lengths_are_an_estimate_and_said_to_be(jsonl: Callable[..., str]) -> None:
    lengths = profile(jsonl({"text": "x" * 400}, {"text": "y" * 40})).lengths
    assert lengths is not None
    assert (lengths.tokenizer, lengths.exact, lengths.max, lengths.p50) == ("bytes/4", False, 100, 10)


def test_with_a_model_lengths_are_those_of_prepared_rows(
    jsonl: Callable[..., str], shape: ModelShape, bpe: Tokenizer
) -> None:
    path = jsonl(*(talk("question " * i, "answer " * i) for i in range(1, 30)))
    lengths = profile(path, shape).lengths
    assert lengths is not None
    counted = sorted(len(preview(path, row, shape).tokens) for row in range(1, 30))
    assert (lengths.max, lengths.p50, lengths.sampled, lengths.exact) == (counted[-1], counted[14], 29, True)
    assert lengths.total_tokens == sum(counted)
    assert 0.3 < lengths.trained_share < 0.6


def test_a_model_whose_tokenizer_is_not_at_hand_gives_an_estimate_with_a_note(
    jsonl: Callable[..., str], shape: ModelShape, tmp_path: Path
) -> None:
    found = profile(jsonl(talk("a", "b")), shape.model_copy(update={"path": str(tmp_path)}))
    assert found.lengths is not None
    assert not found.lengths.exact
    assert "estimated from bytes" in found.notes[-1]


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=50))
def test_the_share_over_a_usual_length_is_exact(lengths: list[int]) -> None:
    summary = summarize(lengths, len(lengths), "test", True, 1.0)
    assert sum(summary.histogram) == len(lengths)
    assert len(summary.edges) == len(summary.histogram) + 1
    for edge in EDGES[1:-1]:
        over = sum(length > edge - 1 for length in lengths) / len(lengths)
        assert summary.share_over(edge - 1) == pytest.approx(over)
    assert summary.max == max(lengths)
    assert summary.p50 in lengths


def test_long_files_are_sampled_and_scaled_up(jsonl: Callable[..., str], shape: ModelShape) -> None:
    path = jsonl(*(talk(f"question {i}", "answer") for i in range(500)))
    whole, sampled = profile(path, shape), profile(path, shape, max_rows_tokenized=100)
    assert whole.lengths is not None
    assert sampled.lengths is not None
    assert sampled.lengths.sampled == 100
    assert sampled.lengths.total_tokens == pytest.approx(whole.lengths.total_tokens, rel=0.05)
    assert any("random 100 of 500" in note for note in sampled.notes)


def test_real_placeholders_are_noted(shared_data: Path) -> None:
    found = profile(str(shared_data / "llamafactory/identity.json"))
    assert "{{name}}" in found.notes[0]


def test_sources_of_kinds_that_do_not_go_together_are_refused(jsonl: Callable[..., str]) -> None:
    pairs = jsonl({"prompt": "q", "chosen": "a", "rejected": "b"}, name="pairs.jsonl")
    texts, talks = jsonl({"text": "a"}, name="texts.jsonl"), jsonl(talk("a", "b"), name="talks.jsonl")
    assert profile([texts, talks]).kind == "conversation"
    with pytest.raises(BadInput, match="different kinds"):
        profile([pairs, talks])


@pytest.mark.parametrize(
    ("text", "script"),
    [("Hello!", "Latin"), ("1 + 1", "none"), ("", "none"), ("naïve", "Latin"), ("привет", "Cyrillic"),
     ("你好", "Chinese"), ("ひらがな漢字漢字漢字", "Japanese"), ("안녕", "Korean"), ("مرحبا", "Arabic"),
     ("🙂🙂", "none"), ("Ελλάδα ok", "Greek")],
)  # fmt: skip
def test_scripts_are_told(text: str, script: str) -> None:
    assert script_of(text) == script


def names(found: Any) -> dict[str, int]:
    return {finding.name: finding.count for finding in found.findings}


def test_the_check_up_finds_what_would_harm_with_its_lines(jsonl: Callable[..., str], shape: ModelShape) -> None:
    path = jsonl(
        talk("a", "b"), talk("a", "b"), "{", talk("c", ""), talk("a", "other"), talk("d", "I am {{name}}"),
        talk("e", "long " * 200),
    )  # fmt: skip
    found = check(path, shape)
    assert names(found) == {
        "bad-rows": 1, "empty": 1, "duplicates": 1, "contradictions": 1, "placeholders": 1, "too-long": 1,
        "few-rows": 5, "template": 1,
    }  # fmt: skip
    examples = {finding.name: [row.line for row in finding.examples] for finding in found.findings}
    assert (examples["bad-rows"], examples["empty"], examples["duplicates"]) == ([3], [4], [2])
    assert (examples["contradictions"], examples["placeholders"], examples["too-long"]) == ([5], [6], [7])
    assert all(finding.why and finding.hint for finding in found.findings)


def test_good_data_has_no_findings(jsonl: Callable[..., str]) -> None:
    assert check(jsonl(*(talk(f"q{i}", f"a{i}") for i in range(60)))).findings == ()


def test_unanswered_conversations_and_templates_that_refuse_are_found(
    jsonl: Callable[..., str], shape: ModelShape, tmp_path: Path
) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    path = jsonl({"messages": turns}, {"messages": [*turns, turns[0]]})
    template = tmp_path / "own.jinja"
    template.write_text(
        "{{ raise_exception('three turns') if messages|length > 2 }}{% for m in messages %}{{ m.content }}|{% endfor %}"
    )
    found = check(path, shape, template=str(template))
    assert names(found) == {"unanswered": 1, "template-refuses": 1, "few-rows": 2}
    assert "three turns" in next(f for f in found.findings if f.name == "template-refuses").examples[0].reason


def test_a_row_is_shown_token_by_token(jsonl: Callable[..., str], shape: ModelShape, bpe: Tokenizer) -> None:
    path = jsonl(talk("skip", "me"), "{", talk("Hi 🙂", "An apple."))
    shown = preview(path, 2, shape, max_length=20)
    assert (shown.line, shown.row, shown.template) == (3, 2, "chatml")
    assert "".join(token.text for token in shown.tokens) == shown.rendered
    assert bpe.decode([token.id for token in shown.tokens if token.id is not None]) == shown.rendered
    assert "".join(token.text for token in shown.tokens if token.trained) == "An apple.<|im_end|>"
    assert [token.special for token in shown.tokens][:2] == [True, False]
    assert sum(token.cut for token in shown.tokens) == len(shown.tokens) - 20
    assert shown.trained <= sum(token.trained for token in shown.tokens)


def test_a_row_is_shown_without_a_model_and_pairs_with_the_chosen_answer(jsonl: Callable[..., str]) -> None:
    shown = preview(jsonl({"prompt": "q", "chosen": "good", "rejected": "bad"}))
    assert "".join(token.text for token in shown.tokens if token.trained) == "good"
    text = preview(jsonl({"text": "words"}))
    assert [(token.text, token.trained) for token in text.tokens] == [("words", True)]
    with pytest.raises(BadInput, match="has 1 readable rows"):
        preview(jsonl({"text": "words"}), 2)


def test_a_profile_made_apart_equals_one_made_here(jsonl: Callable[..., str], shape: ModelShape) -> None:
    path = jsonl(*(talk(f"question {i}", "answer") for i in range(30)))
    counted: list[tuple[int, int | None]] = []
    apart = profile_apart(path, shape, on_progress=lambda done, total: counted.append((done, total)))
    assert apart == profile(path, shape)
    assert counted[-1] == (30, 30)


def test_what_goes_wrong_apart_is_told_here(jsonl: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        profile_apart([Given(jsonl({"x": 1}, name="data.jsonl"), columns={"text": "y"})])
    assert "has no column 'y'" in refused.value.what
    assert "It has: x." in (refused.value.hint or "")


def test_counting_apart_can_be_cancelled(jsonl: Callable[..., str]) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Refused, match="cancelled"):
        profile_apart(jsonl({"text": "a"}), cancelled=cancelled)


def test_files_of_the_working_folder_are_not_taken_for_modules(
    jsonl: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(tmp_path)
    assert profile_apart(jsonl({"text": "a"})).rows == 1


def test_the_documents_cost_no_heavy_import_and_counting_no_torch(jsonl: Callable[..., str], bpe_folder: Path) -> None:
    code = """
import sys
import ftui.data, ftui.data.document
light = set(sys.modules)
assert not {"tokenizers", "jinja2", "pyarrow", "huggingface_hub", "ftui.data.loading"} & light, light
from ftui.data import preview
preview(sys.argv[1], 1, sys.argv[2])
heavy = {"torch", "transformers", "peft", "trl", "datasets", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    command = [sys.executable, "-c", code, jsonl(talk("a", "b")), str(bpe_folder)]
    subprocess.run(command, check=True, env=os.environ, cwd=Path(__file__).parents[2])


def test_demo_names_the_bundled_data() -> None:
    assert demo_path().name == "demo.jsonl"
    if not demo_path().exists():
        pytest.skip("the demo's data is not there yet")
    found = profile("demo")
    assert (found.kind, found.bad_rows) == ("conversation", 0)
