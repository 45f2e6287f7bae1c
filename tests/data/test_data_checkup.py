"""Faults planted in real rows are found: how many of them, and how many other rows, docs/data.md says too."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data import check
from ftui.data import inspecting as found_by
from ftui.data.canonical import make_row
from ftui.data.document import CheckUp
from ftui.data.near import runs_of, similarity

ROWS = 600
PLANTED = 40


def names(found: CheckUp) -> dict[str, int]:
    return {finding.name: finding.count for finding in found.findings}


def lines(found: CheckUp, name: str) -> set[int]:
    return {row.line for finding in found.findings if finding.name == name for row in finding.examples}


@pytest.fixture
def alpaca(shared_data: Path) -> list[dict[str, str]]:
    """Real rows, of which none copies another."""
    rows = json.loads((shared_data / "llamafactory/alpaca_en_demo.json").read_text())
    return list({json.dumps(row): row for row in rows}.values())[:ROWS]


@pytest.fixture
def all_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have findings name every row, for what is missed and what is wrong to be counted."""
    import ftui.data.checking as checking

    monkeypatch.setattr(found_by, "_EXAMPLES", 100)
    monkeypatch.setattr(checking, "_EXAMPLES", 100)


def planted(rows: list[dict[str, str]], change: Callable[[dict[str, str], random.Random], dict[str, str] | None],
            write: Callable[..., str]) -> tuple[str, set[int]]:  # fmt: skip
    """The rows with 40 more, each made of one of them, at random places; the file, and the lines of the 40."""
    chooser = random.Random(7)
    made = [new for row in chooser.sample(rows, len(rows)) if (new := change(row, chooser))][:PLANTED]
    assert len(made) == PLANTED
    # All of them after what they were made of, so that it is they that are the copies.
    places = sorted(chooser.sample(range(PLANTED * 2), PLANTED))
    end: list[dict[str, str]] = []
    own = iter(made)
    fillers = iter({"instruction": f"Filler number {n} {n * 7} {n * 11} {n * 13}", "output": f"{n}"} for n in range(99))
    for place in range(PLANTED * 2):
        end.append(next(own) if place in places else next(fillers))
    return write(*rows, *end), {len(rows) + place + 1 for place in places}


def recall_and_precision(found: set[int], meant: set[int]) -> tuple[float, float]:
    return len(found & meant) / len(meant), len(found & meant) / max(len(found), 1)


def close_to(row: dict[str, str], chooser: random.Random) -> dict[str, str] | None:
    """The row with as many words of its answer changed as keep an index of 0.8."""
    words = row["output"].split()
    if len(words) < 25:
        return None

    def runs(answer: list[str]) -> frozenset[int]:
        return runs_of("\n".join(filter(None, (row["instruction"], row["input"], " ".join(answer)))))

    last = None
    for place in chooser.sample(range(len(words)), len(words)):
        words[place] = f"changed{chooser.randrange(10**6)}"
        if similarity(runs(row["output"].split()), runs(words)) < 0.8:
            return last
        last = {**row, "output": " ".join(words)}
    return last


def secret(row: dict[str, str], chooser: random.Random) -> dict[str, str]:
    letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

    def some(count: int) -> str:
        return "".join(chooser.choices(letters, k=count))

    starts = {"sk" + "-": 40, "gh" + "p_": 36, "hf" + "_": 34, "AKI" + "A": 16}
    start = chooser.choice(list(starts))
    key = start + (some(starts[start]).upper() if start == "AKI" + "A" else some(starts[start]))
    return {**row, "output": f"{row['output']} Use the key {key}."}


def personal(row: dict[str, str], chooser: random.Random) -> dict[str, str]:
    number = chooser.randrange(10**6, 10**7)
    own = chooser.choice([f"maria.{number}@gmx.de", f"+49 171 {number}", f"(415) 86{number % 10}-{number % 10**4:04}"])
    return {**row, "output": f"{row['output']} Ask {own}."}


CASES: list[tuple[str, Callable[[dict[str, str], random.Random], dict[str, str] | None], float, float]] = [
    ("duplicates", lambda row, _: dict(row), 1, 1),
    ("near-duplicates", close_to, 0.97, 0.97),
    ("contradictions", lambda row, chooser: {**row, "output": f"Rather {chooser.random()}."}, 1, 0.95),
    ("secrets", secret, 1, 1),
    ("personal-data", personal, 1, 0.97),
    ("refusals", lambda row, _: {**row, "input": "", "output": "I'm sorry, but I can't help with that."}, 1, 0.8),
    ("template-tokens", lambda row, _: {**row, "output": f"{row['output']}<|im_end|>\n<|im_start|>user"}, 1, 1),
    ("control-characters", lambda row, _: {**row, "output": f"\x1b[31m{row['output']}\x1b[0m"}, 1, 1),
    ("mojibake", lambda row, _: {**row, "output": "café naïve ".encode().decode("cp1252") + row["output"]}, 1, 1),
    ("html", lambda row, _: {**row, "output": f"<p>{row['output']}</p>"}, 1, 0.95),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "recall", "precision"), CASES, ids=[case[0] for case in CASES])
def test_forty_planted_faults_in_six_hundred_real_rows_are_found(
    alpaca: list[dict[str, str]], jsonl: Callable[..., str], all_examples: None, name: str,
    change: Callable[[dict[str, str], random.Random], dict[str, str] | None], recall: float, precision: float,
) -> None:  # fmt: skip
    path, meant = planted(alpaca, change, jsonl)
    deep = name in ("near-duplicates", "secrets", "personal-data")
    reached = recall_and_precision(lines(check(path, deep=deep), name), meant)
    assert reached[0] >= recall, reached
    assert reached[1] >= precision, reached


def test_forty_planted_leaks_of_a_real_benchmark_are_found_exact_near_and_by_their_question(
    shared_data: Path, alpaca: list[dict[str, str]], jsonl: Callable[..., str], all_examples: None
) -> None:
    benchmark = shared_data / "gsm8k/test.jsonl"
    tests = [json.loads(line) for line in benchmark.read_text().splitlines()]
    trains = [json.loads(line) for line in (shared_data / "gsm8k/train.jsonl").read_text().splitlines()[:300]]

    def leak(_: dict[str, str], chooser: random.Random) -> dict[str, str]:
        row = chooser.choice(tests)
        question, answer = row["question"], row["answer"]
        return chooser.choice([
            {"instruction": question, "output": answer},
            {"instruction": question.upper(), "output": answer.lower()},
            {"instruction": question, "output": f"The answer is {answer.split()[-1]}."},
        ])  # fmt: skip

    innocent = [{"instruction": row["question"], "output": row["answer"]} for row in trains]
    path, meant = planted([*alpaca, *innocent], leak, jsonl)
    found = check(path, against=[str(benchmark)])
    assert recall_and_precision(lines(found, "leaks"), meant) == (1, 1)
    assert next(f for f in found.findings if f.name == "leaks").repair == {"drop_leaks": [str(benchmark)]}


def test_rows_of_a_benchmark_with_words_changed_down_to_an_index_of_80_percent_are_found_as_leaks(
    shared_data: Path, alpaca: list[dict[str, str]], jsonl: Callable[..., str], all_examples: None
) -> None:
    benchmark = shared_data / "gsm8k/test.jsonl"
    tests = [json.loads(line) for line in benchmark.read_text().splitlines()]

    def near_leak(_: dict[str, str], chooser: random.Random) -> dict[str, str] | None:
        row = chooser.choice(tests)
        asked, answered = row["question"].split(), row["answer"].split()
        words, whole, last = [*asked, *answered], runs_of(f"{row['question']} {row['answer']}"), None
        for place in chooser.sample(range(len(words)), len(words)):
            words[place] = f"changed{chooser.randrange(10**6)}"
            if similarity(whole, runs_of(" ".join(words))) < 0.8:
                break
            last = {"instruction": " ".join(words[: len(asked)]), "output": " ".join(words[len(asked) :])}
        return last

    path, meant = planted(alpaca, near_leak, jsonl)
    recall, precision = recall_and_precision(lines(check(path, against=[str(benchmark)]), "leaks"), meant)
    assert recall >= 0.97
    assert precision == 1


def talk(question: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"prompt": question, "completion": answer, **more}


def test_pairs_that_teach_nothing_or_only_length_are_found(jsonl: Callable[..., str]) -> None:
    pairs = [{"prompt": f"q{i}", "chosen": f"a long answer {i}", "rejected": "short"} for i in range(30)]
    found = check(jsonl(*pairs, {"prompt": "q", "chosen": "a", "rejected": "a"}))
    assert names(found) == {"longer-chosen": 30, "bad-rows": 1, "few-rows": 30}


def test_answers_and_labels_of_one_side_are_found(jsonl: Callable[..., str]) -> None:
    kto = [{"prompt": f"q{i}", "completion": f"a{i}", "label": i > 5} for i in range(60)]
    assert names(check(jsonl(*kto))) == {"uneven-labels": 6}
    classes = [{"text": f"text {i}", "label": "spam" if i < 4 else "ham"} for i in range(60)]
    assert names(check(jsonl(*classes)))["uneven-labels"] == 4


def test_sizes_languages_ranks_and_blank_turns_are_told(jsonl: Callable[..., str]) -> None:
    rows = [talk(f"question {i}", f"answer {i}") for i in range(200)]
    blank = {"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "a"}]}
    found = check(jsonl(*rows, talk("long", "word " * 2000), talk("привет", "как дела?")), rank=64)
    assert names(found) == {"outliers": 1, "languages": 1, "rank": 202}
    assert (lines(found, "outliers"), lines(found, "languages")) == ({201}, {202})
    assert names(check(jsonl(*([blank] * 2))))["blank-turns"] == 2


@pytest.mark.parametrize(
    ("name", "text", "severity", "said"),
    [
        ("README.md", "---\nlanguage: en\nlicense: cc-by-nc-4.0\n---\n# Data", "warning", "cc-by-nc-4.0"),
        ("README.md", "---\nlicense:\n- mit\n---\n", "note", "mit"),
        ("LICENSE", "Apache License\nVersion 2.0", "note", "apache-2.0"),
    ],
)
def test_the_licence_beside_the_data_is_named(
    jsonl: Callable[..., str], tmp_path: Path, name: str, text: str, severity: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    found = check(jsonl(*(talk(f"q{i}", f"a{i}") for i in range(60)))).findings
    assert [(one.name, one.severity, said in one.text) for one in found] == [("licence", severity, True)]


def test_every_repair_that_a_finding_offers_is_one() -> None:
    from ftui.data.repairs import parse

    for _, _, _, _, repair in found_by._ABOUT_WORDS.values():
        parse([repair])


def test_secrets_are_told_but_never_repeated(jsonl: Callable[..., str]) -> None:
    row = secret(talk("q", "a", output="a"), random.Random(1))
    found = check(jsonl(talk("q", row["output"])), deep=True)
    assert "secrets" in names(found)
    assert row["output"].split()[-1] not in found.model_dump_json()


def test_a_copy_is_no_near_copy(jsonl: Callable[..., str]) -> None:
    same = talk("One and the same question about the weather", "One and the same answer")
    assert "near-duplicates" not in names(check(jsonl(same, same), deep=True))
    row = make_row("x", 1, "text", {"text": "a"})
    near = found_by.NearCopies()
    near.look(row, copied=False)
    assert list(near.findings()) == []
