"""Judges that compare two answers: what each prefers, in which order they decide, and what is learnt of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.errors import BadInput, RunFailed
from ftui.methods.judges import parse_all

pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("worker")]

OWN = """
def vowels(first, second):
    count = lambda text: sum(letter in "aeiou" for letter in text) / max(1, len(text))
    return [None if count(a) == count(b) else int(count(b) > count(a)) for a, b in zip(first, second)]
def level(first, level):
    return [1 if each else 0 for each in level]
def wrong(first, second):
    return ["the first"] * len(first)
def broken(first, second, colour):
    return []
"""
PAIRS = ["It is 3.", "It is 4, I think.", "same"], ["It is 4.", "It is 4.", "same"]
COLUMNS = {
    "prompt": [[{"role": "user", "content": "What is 1 plus 3?"}]] * 3, "answer": ["4"] * 3, "level": [0, 1, 1],
    "tokens": [(4, 4), (7, 4), (1, 1)],
}


def verdicts(folder: Path, *judges: str, criterion: str = "The better one.") -> list[float]:
    from ftui.worker.judges import Panel
    from ftui.worker.rewards import Place

    (folder / "own.py").write_text(OWN)
    written = [judge.replace("OWN", f"{folder}/own.py") for judge in judges]
    return Panel(parse_all(written), criterion, Place())(*PAIRS, COLUMNS)


@pytest.mark.parametrize(("judges", "wanted"), [
    (["exact"], [-1, 0, 0]), (["shorter"], [0, -1, 0]), (["longer"], [0, 1, 0]), (["exact", "shorter"], [-1, -1, 0]),
    (["length:7"], [0, 1, 0]), (["OWN:level"], [1, -1, 0]), (["shorter", "OWN:level"], [1, -1, 0]),
])
def test_the_first_judge_that_is_no_draw_decides(judges: list[str], wanted: list[int], tmp_path: Path) -> None:
    assert verdicts(tmp_path, *judges) == wanted


def test_a_function_that_gives_no_verdict_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"own\.py:wrong gave 'the first'"):
        verdicts(tmp_path, "OWN:wrong")
    with pytest.raises(BadInput, match="asks for colour, which the rows lack"):
        verdicts(tmp_path, "OWN:broken")
    with pytest.raises(BadInput, match=r"objective\.judge: .* has no function nothing"):
        verdicts(tmp_path, "OWN:nothing")


def test_a_model_that_is_asked_must_say_the_same_in_both_orders(
    random_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.worker import answers

    asked: list[str] = []
    replies = iter([[0.9, 0.8], [0.3, 0.7]])

    def shares(model: Any, tokenizer: Any, prompts: Any, tokens: Any) -> list[tuple[float, ...]]:
        asked.extend(prompt.text for prompt in prompts)
        assert [tokenizer.decode([token]) for token in tokens] == ["A", "B"]
        return [(share, 1 - share) for share in next(replies)]

    monkeypatch.setattr(answers, "first_shares", shares)
    assert verdicts(tmp_path, f"asks:{random_demo}", criterion="The right one.") == [1, 0, 0]
    assert all("The right one." in text and "user: What is 1 plus 3?" in text for text in asked)
    assert "Answer A: It is 3.\n\nAnswer B: It is 4." in asked[0]
    assert "Answer A: It is 4.\n\nAnswer B: It is 3." in asked[2]


@pytest.mark.slow
def test_a_model_that_is_asked_answers_by_its_own_probabilities(random_demo: Path, tmp_path: Path) -> None:
    found = verdicts(tmp_path, f"asks:{random_demo}")
    assert set(found) <= {-1.0, 0.0, 1.0}
    assert found[2] == 0, "the same twice is a draw"
    with pytest.raises(BadInput, match="is not on this disk"):
        verdicts(tmp_path, f"asks:{tmp_path}/nowhere")


@pytest.mark.slow
def test_a_judge_is_learnt_from_and_wins_are_measured_against_the_untrained_model(
    train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    rows = [{"prompt": f"What is {a} plus {b}?"} for a in range(6) for b in range(6)]
    (tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ran = train(
        objective__kind="online_dpo", objective__judge=[f"{tmp_path}/own.py:vowels"], adapter=None,
        data__sources=[{"path": str(tmp_path / "sums.jsonl"), "format": "prompt"}], data__validation=8,
        objective__max_completion_length=4, train__max_steps=30, train__micro_batch=32, train__effective_batch=32,
        train__learning_rate=3e-3, train__schedule="constant", train__eval_steps=15, train__save_steps=1000,
        train__warmup=0.0, evaluate__prompts=["What is 1 plus 1?"], evaluate__first=True,
    )
    assert ran.end["status"] == "finished", ran.end
    told = [event.data["values"] for event in ran.of("evaluation")]
    assert told[0]["win_rate"] == 0.5
    assert told[0]["draws"] == 1.0, "before the first step it is held against itself"
    assert told[-1]["win_rate"] > 0.8
    assert ran.end["metrics"]["win_rate"] == max(each["win_rate"] for each in told)
    assert all("reward" not in each for each in told), "nothing but the judge says what is better"


@pytest.mark.slow
def test_with_an_adapter_the_untrained_model_is_the_one_without_it(
    train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    rows = [{"prompt": f"What is {a} plus {b}?", "answer": str(a + b)} for a in range(4) for b in range(4)]
    (tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ran = train(
        objective__kind="online_dpo", objective__judge=["exact", "shorter"], objective__rewards=["length:3"],
        data__sources=[{"path": str(tmp_path / "sums.jsonl"), "format": "prompt"}], data__validation=4,
        objective__max_completion_length=4, evaluate__first=True, train__max_steps=3,
    )
    assert ran.end["status"] == "finished", ran.end
    told = [event.data["values"] for event in ran.of("evaluation")]
    assert (told[0]["win_rate"], told[0]["draws"]) == (0.5, 1.0)
    assert "reward" in told[0], "rewards are measured beside the judges, and decide where those draw"
