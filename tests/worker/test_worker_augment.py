"""A model makes new rows: stopped, torn and resumed, filtered, trained on and rated afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ftui.runs.folder import Run, create

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.xdist_group("worker")]

ANIMALS = ("bear", "crane", "dolphin", "eel", "falcon", "goat", "hare")


@pytest.fixture
def asked(tmp_path: Path, random_demo: Path) -> Callable[..., Run]:
    """A run that asks the random model about seven rows, two at a time."""
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(
        json.dumps({"prompt": f"Tell me where the {animal} sleeps.", "completion": f"The {animal} sleeps at home."})
        + "\n" for animal in ANIMALS
    ))  # fmt: skip

    def make(how: str, **changed: Any) -> Run:
        args = {
            "run": None, "model": "demo", "quantization": "none", "gpus": 0, "data": str(data), "how": how,
            "rows": None, "shown": 2, "seed": 3, "temperature": 0.8, "max_new_tokens": 6, "batch": 2,
            "out": str(tmp_path / f"{how}.jsonl"), **changed,
        }
        return create("augment", "a", command="ftui data augment", args=args)

    return make


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the model is asked last in each prompt; it answers with words that follow from that and from the seed."""
    from ftui.worker.speaker import Speaker

    heard: list[str] = []

    def say(self: Speaker, rows: Sequence[Any], asked: Sequence[list[dict[str, str]]], seed: int) -> list[str]:
        said = []
        for messages in asked:
            last = messages[-1]["content"]
            heard.append(last)
            if last.startswith("Say the following"):
                text = last.rpartition("\n")[2]
                said.append(text if "goat" in text else f"In which place does one find {text.split()[4]} at night?")
            elif last.startswith("Here are"):
                said.append(f"Describe thing {seed % 5} with {seed % 7} new words and {seed % 11} old ones")
            else:
                said.append(f"An answer to: {last}")
        return said

    monkeypatch.setattr(Speaker, "say", say)
    monkeypatch.setattr(Speaker, "cut_off", lambda self, text: "eel" in text)
    return heard


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def stopped_after(batches: int) -> Callable[[Any], None]:
    """The job, to which a stop comes while the batch after so many is in work."""

    def job(context: Any) -> None:
        from ftui.worker.jobs import augment

        add, seen = augment.Journal.add, [0]

        def counted(self: Any, entries: Any) -> None:
            add(self, entries)
            seen[0] += 1
            if seen[0] == batches:
                context._deadline = 0.0

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(augment.Journal, "add", counted)
            augment.run(context)

    return job


def test_other_words_keep_the_answer_and_what_is_a_copy_or_cut_off_is_left_out(
    asked: Callable[..., Run], work: Callable[..., Any], script: list[str], tmp_path: Path
) -> None:
    ran = work(asked("paraphrase"))
    assert ran.end["status"] == "finished", ran.end
    made = rows(tmp_path / "paraphrase.jsonl")
    found = {row["messages"][0]["content"]: row for row in made}
    assert set(found) == {f"In which place does one find {a} at night?" for a in ANIMALS if a not in ("eel", "goat")}
    for row in made:
        animal = ANIMALS[row["origin"]["lines"][0] - 1]
        assert row["messages"][1]["content"] == f"The {animal} sleeps at home."
    assert len(script) == 21, "seven rows, three times at most: nothing else is new"
    assert ran.end["metrics"] == {"rows": 5, "tries": 21, "left_out": 16}
    assert ran.of("progress")[-1].data["total"] == 7
    assert "16 of 21 tries gave no row" in " ".join(event.data["text"] for event in ran.of("warning"))


def test_a_stop_keeps_whole_batches_and_a_resume_asks_for_none_again(
    asked: Callable[..., Run], work: Callable[..., Any], script: list[str], tmp_path: Path
) -> None:
    whole = work(asked("self-instruct", rows=6, out=str(tmp_path / "whole.jsonl")))
    assert whole.end["status"] == "finished", whole.end
    once = len(script)
    script.clear()
    ran = work(asked("self-instruct", rows=6), stopped_after(2))
    assert ran.end["status"] == "stopped", ran.end
    assert len(rows(ran.run.path / "asked.jsonl")) == 4
    assert rows(tmp_path / "self-instruct.jsonl") == rows(tmp_path / "whole.jsonl")[: ran.end["metrics"]["rows"]]
    with open(ran.run.path / "asked.jsonl", "ab") as file:
        file.write(b'{"key": 1, "te')
    again = work(ran.run)
    assert again.end["status"] == "finished", again.end
    assert len(script) == once
    assert (tmp_path / "self-instruct.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert len(rows(tmp_path / "whole.jsonl")) <= 6
    assert all(len(row["origin"]["lines"]) == 2 for row in rows(tmp_path / "whole.jsonl"))


def test_other_rows_than_those_that_the_run_began_with_are_told(
    asked: Callable[..., Run], work: Callable[..., Any], script: list[str], tmp_path: Path
) -> None:
    ran = work(asked("paraphrase"), stopped_after(1))
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Something else?", "completion": "No."}\n' * 7)
    again = work(ran.run)
    assert again.end["status"] == "failed"
    assert "no longer those that the run began with" in again.end["text"]


def test_two_answers_of_the_model_itself_are_rated(
    asked: Callable[..., Run], work: Callable[..., Any], tmp_path: Path
) -> None:
    from ftui.data.answers import read_answers

    ran = work(asked("answers", rows=5))
    assert ran.end["status"] == "finished", ran.end
    assert ran.end["metrics"]["rows"] == 5, ran.end
    found = read_answers(str(tmp_path / "answers.jsonl"))
    assert (len(found.items), found.left_out) == (5, 0)
    assert [item.prompt[0]["content"] for item in found.items] == [
        f"Tell me where the {animal} sleeps." for animal in ANIMALS[:5]
    ]
    same = work(asked("answers", rows=5, out=str(tmp_path / "same.jsonl")))
    assert same.end["status"] == "finished"
    assert (tmp_path / "same.jsonl").read_bytes() == (tmp_path / "answers.jsonl").read_bytes()
    other = work(asked("answers", rows=5, seed=4, out=str(tmp_path / "other.jsonl")))
    assert other.end["status"] == "finished"
    assert rows(tmp_path / "other.jsonl") != rows(tmp_path / "same.jsonl")


def test_what_the_model_itself_does_not_end_gives_no_row(
    asked: Callable[..., Run], work: Callable[..., Any], tmp_path: Path
) -> None:
    from ftui.worker.jobs.augment import CUT_OFF

    ran = work(asked("self-instruct", rows=2))
    assert ran.end["status"] == "finished", ran.end
    assert [line["problem"] for line in rows(ran.run.path / "asked.jsonl")] == [CUT_OFF] * 6
    assert ran.end["metrics"] == {"rows": 0, "tries": 6, "left_out": 6}
    assert rows(tmp_path / "self-instruct.jsonl") == []


def test_a_training_takes_the_new_rows_as_they_are(
    asked: Callable[..., Run], work: Callable[..., Any], train: Callable[..., Any], script: list[str], tmp_path: Path
) -> None:
    assert work(asked("paraphrase")).end["status"] == "finished"
    sources = [{"path": str(tmp_path / name)} for name in ("rows.jsonl", "paraphrase.jsonl")]
    tuned = train(data__sources=sources, data__validation=0, train__max_steps=2)
    assert tuned.end["status"] == "finished", tuned.end
    assert len(tuned.losses) == 2
