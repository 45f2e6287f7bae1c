"""A model revises its own answers by a constitution: stopped, torn and resumed, judged, and trained on afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data.given import Given
from ftui.data.loading import load
from ftui.runs.folder import Run, create

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.xdist_group("worker")]

PRINCIPLES = [
    {"name": "true", "critique": "What is wrong?", "revise": "Say it right."},
    {"name": "short", "critique": "What is long?", "revise": "Say it short."},
]


@pytest.fixture
def asked(tmp_path: Path, random_demo: Path) -> Callable[..., Run]:
    """A run that asks the random model seven questions, two at a time."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Where does animal {n} live?"}) + "\n" for n in range(7)))

    def make(**changed: Any) -> Run:
        args = {
            "run": None, "model": "demo", "quantization": "none", "gpus": 0, "data": str(prompts), "limit": None,
            "constitution": PRINCIPLES, "rounds": 2, "judge": False, "seed": 3, "temperature": 0.8,
            "max_new_tokens": 6, "batch": 2, "out": None, **changed,
        }
        return create("constitute", "c", command="ftui constitute", args=args)

    return make


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def stopped_after(batches: int) -> Callable[[Any], None]:
    """The job, to which a stop comes while the batch after so many is in work."""

    def job(context: Any) -> None:
        from ftui.worker.jobs import constitute

        say = context.progress

        def progress(text: str, done: float, total: float | None, unit: str = "step") -> None:
            say(text, done, total, unit)
            if text == "Revising" and done == 2 * batches:
                context._deadline = 0.0

        context.progress = progress
        constitute.run(context)

    return job


def test_every_prompt_gives_a_row_and_a_pair_that_ftui_reads(
    asked: Callable[..., Run], work: Callable[..., Any]
) -> None:
    ran = work(asked())
    assert ran.end["status"] == "finished", ran.end
    assert ran.end["metrics"]["rows"] == 7, ran.end
    steps = rows(ran.run.path / "revisions.jsonl")
    sft, pairs = rows(ran.run.output / "sft.jsonl"), rows(ran.run.output / "pairs.jsonl")
    for step, row, pair in zip(steps, sft, pairs, strict=True):
        first, _, last = step["answers"]
        assert sorted(step["principles"]) == ["short", "true"], "none comes twice before all have come"
        assert len(step["critiques"]) == 2
        assert row["messages"] == [*step["prompt"], {"role": "assistant", "content": last}]
        assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == (last, first)
    loaded = load(Given(str(ran.run.output / "sft.jsonl"))), load(Given(str(ran.run.output / "pairs.jsonl")))
    assert [one.kind for one in loaded] == ["conversation", "preference"]
    assert all(len(list(one.rows())) == 7 and one.format.confidence > 0.8 for one in loaded)
    assert [event.data["done"] for event in ran.of("progress") if event.data["text"] == "Revising"][-1] == 7
    assert ran.of("sample")[0].data["text"] == steps[0]["answers"][-1]


def test_a_stop_keeps_whole_batches_and_a_resume_ends_as_if_it_had_not_come(
    asked: Callable[..., Run], work: Callable[..., Any], tmp_path: Path
) -> None:
    whole = work(asked())
    ran = work(asked(out=str(tmp_path / "out")), stopped_after(1))
    assert ran.end["status"] == "stopped", ran.end
    assert "after 2 of 7 prompts" in ran.end["text"]
    assert len(rows(tmp_path / "out" / "sft.jsonl")) == 2
    with open(ran.run.path / "revisions.jsonl", "ab") as file:
        file.write(b'{"key": 1, "prompt": [{"ro')
    again = work(ran.run)
    assert again.end["status"] == "finished", again.end
    assert Path(again.end["output"]) == tmp_path / "out"
    for name in ("sft.jsonl", "pairs.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (whole.run.output / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pairs.jsonl", "sft.jsonl"]


def test_a_stop_cuts_an_answer_off_on_its_way(random_demo: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ftui.worker.answers import Prompt, answer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(random_demo), AutoTokenizer.from_pretrained(random_demo)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 3

    answer(model, tokenizer, [Prompt("a", "a"), Prompt("b", "b c d")], stop_ids=(), max_new_tokens=40,
           should_stop=should_stop)
    assert asked == 3


def test_other_seeds_draw_other_answers_and_other_prompts_are_told(
    asked: Callable[..., Run], work: Callable[..., Any], tmp_path: Path
) -> None:
    one, other = work(asked(limit=2)), work(asked(limit=2, seed=4))
    assert rows(one.run.output / "sft.jsonl") != rows(other.run.output / "sft.jsonl")
    broken = work(asked(), stopped_after(1))
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Something else?"}\n' * 7)
    again = work(broken.run)
    assert again.end["status"] == "failed"
    assert "no longer those that the run began with" in again.end["text"]


def test_the_judge_leaves_out_pairs_that_are_no_better(asked: Callable[..., Run], work: Callable[..., Any]) -> None:
    ran = work(asked(judge=True, rounds=1, batch=7))
    shares = [step["share"] for step in rows(ran.run.path / "revisions.jsonl")]
    assert all(0 < share < 1 for share in shares)
    assert len(set(shares)) > 1
    assert len(rows(ran.run.output / "pairs.jsonl")) == sum(share > 0.5 for share in shares)
    assert len(rows(ran.run.output / "sft.jsonl")) == 7


def test_prompts_longer_than_the_model_reads_are_left_out_and_said(
    asked: Callable[..., Run], work: Callable[..., Any], tmp_path: Path
) -> None:
    prompts = tmp_path / "long.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in ("Hello?", "word " * 3000, " ")))
    ran = work(asked(data=str(prompts), rounds=1))
    assert ran.end["status"] == "finished", ran.end
    assert [row["messages"][0]["content"] for row in rows(ran.run.output / "sft.jsonl")] == ["Hello?"]
    told = " ".join(event.data["text"] for event in ran.of("warning"))
    assert "tokens that the model reads" in told
    assert "1 rows" in told


def test_dpo_trains_on_the_pairs_and_its_result_revises_in_turn(
    asked: Callable[..., Run], work: Callable[..., Any], train: Callable[..., Any]
) -> None:
    made = work(asked())
    tuned = train(objective__kind="dpo", data__sources=[{"path": str(made.run.output / "pairs.jsonl")}],
                  data__validation=0, train__max_steps=2)
    assert tuned.end["status"] == "finished", tuned.end
    assert len(tuned.losses) == 2
    sft = train(data__sources=[{"path": str(made.run.output / "sft.jsonl")}], data__validation=0, train__max_steps=2)
    assert sft.end["status"] == "finished", sft.end
    again = work(asked(run=tuned.run.id, model=None, limit=2))
    assert again.end["status"] == "finished", again.end
    assert again.end["metrics"]["rows"] == 2
