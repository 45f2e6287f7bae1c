"""The profile that a plan stands on counts the rows that are left after the recipe's repairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.data import Given, prepare, profile, profile_apart, repairs_of
from ftui.data.repairing import Repairing
from ftui.data.tokenizer import Tokenizer
from ftui.errors import BadInput
from ftui.models.document import ModelShape
from ftui.recipe import parse

SIZES = {"hidden": 8, "intermediate": 16, "layers": 1, "heads": 1, "kv_heads": 1, "head_dim": 8, "vocab": 600}


@pytest.fixture
def shape(bpe_folder: Path) -> ModelShape:
    return ModelShape(
        ref="tiny", path=str(bpe_folder), source="local", model_type="llama", architecture="LlamaForCausalLM",
        context_length=64, tied_embeddings=False, parameters=1, embedding_parameters=1, **SIZES,
    )  # fmt: skip


def talk(question: str, answer: str) -> dict[str, str]:
    return {"prompt": question, "completion": answer}


LONG = "long " * 300


def test_rows_and_lengths_are_those_that_are_left(jsonl: Callable[..., str]) -> None:
    path = jsonl(talk("a", "b"), talk("a", "b"), talk("c", LONG), talk("d", "e <b>f</b>"))
    before = profile(path)
    after = profile(path, repairs=Repairing(({"drop_duplicates": None}, {"drop_longer_than": {"tokens": 100}})))
    assert before.rows == 4
    assert before.lengths is not None
    assert before.lengths.max > 300
    assert (after.rows, after.duplicate_rows) == (2, 0)
    assert after.left_out == {"duplicate": 1, "too long": 1}
    assert after.lengths is not None
    assert after.lengths.max < 100
    assert after.sources[0].rows == 4


def test_a_profile_after_repairs_agrees_with_what_is_prepared(
    jsonl: Callable[..., str], bpe: Tokenizer, shape: ModelShape
) -> None:
    path = jsonl(*(talk(f"question {n}", f"answer {n % 7} " * (n % 9 + 1)) for n in range(60)))
    recipe = parse(
        json.dumps({
            "data": {
                "sources": [{"path": path}], "validation": 0, "max_length": 512,
                "prepare": [{"drop_near_duplicates": None}, {"drop_longer_than": {"tokens": 60}}, {"sample": 20}],
            },
        }),
        "test",
    )  # fmt: skip
    prepared = prepare(recipe, bpe, seed=recipe.train.seed)
    counted = profile(recipe.data.sources, shape, repairs=repairs_of(recipe))
    assert counted.rows == prepared.train_rows
    assert counted.left_out == prepared.dropped
    assert counted.lengths is not None
    assert counted.lengths.max == max(len(row["input_ids"]) for row in prepared.train)


def test_a_profile_made_apart_follows_the_repairs_too(jsonl: Callable[..., str]) -> None:
    path = jsonl(*(talk(f"question {n}", "answer") for n in range(9)))
    held = jsonl(talk("question 3", "answer"), name="held")
    repairs = Repairing(({"drop_leaks": None}, {"filter": "line > 2"}), 17, Given(held))
    assert profile_apart(path, repairs=repairs) == profile(path, repairs=repairs)
    assert profile_apart(path, repairs=repairs).left_out == {"leak": 1, "filtered": 2}


def test_repairs_that_leave_nothing_are_said(jsonl: Callable[..., str]) -> None:
    with pytest.raises(BadInput, match=r"The repairs leave out every row of .*: 2 filtered"):
        profile(jsonl(talk("a", "b"), talk("c", "d")), repairs=Repairing(({"filter": "line > 9"},)))


def test_a_row_that_the_template_refuses_is_not_refused_by_its_length(
    jsonl: Callable[..., str], shape: ModelShape, tmp_path: Path
) -> None:
    (tmp_path / "no.jinja").write_text("{{ raise_exception('never') }}")
    repairs = Repairing(({"drop_longer_than": {"tokens": 5}},))
    found = profile(jsonl(talk("a", LONG)), shape, template=str(tmp_path / "no.jinja"), repairs=repairs)
    assert (found.rows, found.left_out) == (1, {})


def test_the_plan_follows_the_repairs(jsonl: Callable[..., str]) -> None:
    from ftui.runs.launch import lay_out

    path = jsonl(*(talk(f"q {n}", f"a {n}") for n in range(200)), *(talk(f"long {n}", LONG) for n in range(9)))
    asked = {"model": {"base": "demo"}, "data": {"sources": [{"path": path}]}}
    whole = lay_out(parse(json.dumps(asked), "test"))
    asked["data"]["prepare"] = [{"drop_longer_than": {"words": 100}}]  # type: ignore[index]
    repaired = lay_out(parse(json.dumps(asked), "test"))
    assert (whole.profile.rows, repaired.profile.rows) == (209, 200)
    assert repaired.estimate.memory.process_bytes < whole.estimate.memory.process_bytes
    assert repaired.estimate.time.total_seconds < whole.estimate.time.total_seconds
