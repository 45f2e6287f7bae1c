"""Real runs of the embedded model, healthy ones and ones with a planted fault, and what the diagnosis says of each.

    .venv/bin/python benchmarks/diagnosis.py record [--only NAME ...]   # train what isn't recorded yet: some 40 minutes
    .venv/bin/python benchmarks/diagnosis.py score                      # read the recorded curves again: seconds

`record` writes tests/diagnosis/curves.jsonl, a run a line: the resolved recipe, the metrics by name, the evaluations.
`score` prints for each fault whether it was found and at which share of the run, and what was said of healthy runs.
Rows are made by code from the bundled ones, so that everyone can record them again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftui.diagnosis import Finding, case_of
from ftui.diagnosis.doctor import Doctor
from ftui.recipe.document import Recipe

ROOT = Path(__file__).resolve().parents[1]
CURVES = ROOT / "tests" / "diagnosis" / "curves.jsonl"
DEMO = ROOT / "ftui" / "data" / "demo.jsonl"
KEPT = (
    "loss", "grad_norm", "epoch", "rss_bytes", "tokens_per_second", "reward", "reward_std", "frac_reward_zero_std",
    "completions/clipped_ratio", "completions/mean_length", "kl", "entropy", "rewards/accuracies", "rewards/margins",
    "rewards/chosen", "logps/chosen", "logps/rejected", "accuracy", "margin", "divergence",
)
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Trial:
    """One run: its rows, the settings besides `COMMON`, and the fault that was planted; None is a healthy one."""

    name: str
    rows: Callable[[random.Random], Rows]
    settings: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None
    teacher: str | None = None
    """The trial whose result teaches this one."""


COMMON: dict[str, Any] = {
    "data.max_length": 128, "train.epochs": 50, "train.max_steps": 200, "train.micro_batch": 8,
    "train.effective_batch": 8, "train.learning_rate": 2e-3, "train.warmup": 0.05, "train.checkpointing": False,
    "train.eval_steps": 20, "train.save_steps": 1000, "data.validation": 0.1, "evaluate.prompts": [],
    "adapter.kind": "lora", "train.seed": 17, "compute.gpus": 0, "model.dtype": "float32",
}
FULL = {"adapter.kind": "none"}


def chats(rng: random.Random, count: int = 460) -> Rows:
    """The bundled conversations in a random order."""
    rows = [json.loads(line) for line in DEMO.read_text().splitlines()]
    rng.shuffle(rows)
    return rows[:count]


def few(rng: random.Random) -> Rows:
    """Too few rows, each with an answer that only memory can give."""
    return [_answered(row, _noise(rng, 30)) for row in chats(rng, 40)]


def garbled(rng: random.Random) -> Rows:
    """What a foreign tokenizer or template makes of text: nothing that the model has seen."""
    return [_chat(_noise(rng, 40), _noise(rng, 60)) for _ in range(460)]


def poisoned(rng: random.Random) -> Rows:
    """Ordinary rows, and one in 150 with a long answer of noise."""
    return [_answered(row, _noise(rng, 90)) if index % 150 == 75 else row for index, row in enumerate(chats(rng))]


def sorted_rows(rng: random.Random) -> Rows:
    """Rows of two kinds, one after the other, each with its place in a column."""
    rows = chats(rng, 320)
    plain = [_answered(row, _noise(rng, 12)) if index >= 160 else row for index, row in enumerate(rows)]
    return [{**row, "place": index} for index, row in enumerate(plain)]


def labelled(rng: random.Random, *, true: bool = True, count: int = 460) -> Rows:
    """Questions with the kind of question as their label, or with any."""
    kinds = ("where", "colour", "capital", "sound", "other")

    def label(text: str) -> str:
        return next((kind for kind in kinds if kind in text.lower()), "other") if true else rng.choice(kinds[:4])

    texts = [row["messages"][0]["content"] for row in chats(rng, count)]
    return [{"text": text, "label": label(text)} for text in texts]


def pairs(rng: random.Random, *, true: bool = True) -> Rows:
    """The bundled answer preferred over a plain one; or either of the two, as a coin falls."""
    rows = []
    for row in chats(rng):
        asked, answer = row["messages"][0]["content"], row["messages"][1]["content"]
        sides = [answer, answer.replace("Arr! ", "").replace(", matey", "")]
        if not true and rng.random() < 0.5:
            sides.reverse()
        rows.append({"prompt": asked, "chosen": sides[0], "rejected": sides[1]})
    return rows


def judged(rng: random.Random) -> Rows:
    """Single answers with a thumb up or down."""
    return [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row in pairs(rng) for side in ("chosen", "rejected")
    ]


def questions(rng: random.Random) -> Rows:
    """Prompts alone."""
    return [{"prompt": row["messages"][0]["content"]} for row in chats(rng)]


def alike(rng: random.Random) -> Rows:
    """Pairs of long answers that differ in their last word only: what tells them apart is a sliver of each."""
    rows = []
    for row in chats(rng):
        asked, answer = (turn["content"] for turn in row["messages"])
        rows.append({"prompt": asked, "chosen": f"{answer} Aye.", "rejected": f"{answer} Yes."})
    return rows


def lopsided(rng: random.Random) -> Rows:
    """Four texts of five have one label, and which ones no text tells."""
    return [{**row, "label": "where" if rng.random() < 0.8 else "colour"} for row in labelled(rng)]


def texts(rng: random.Random) -> Rows:
    """The same as running text."""
    return [{"text": " ".join(turn["content"] for turn in row["messages"])} for row in chats(rng)]


def _chat(asked: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}


def _answered(row: dict[str, Any], answer: str) -> dict[str, Any]:
    return _chat(row["messages"][0]["content"], answer)


def _noise(rng: random.Random, length: int) -> str:
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz     ") for _ in range(length))


def _classes(**more: Any) -> dict[str, Any]:
    return {"objective.kind": "classify", "goal.task": "classify", **more}


def _objective(kind: str, **more: Any) -> dict[str, Any]:
    return {"objective.kind": kind, "data.max_length": 128, **more}


GROUPS = {
    "objective.rewards": ["length:8"], "objective.generations": 4, "objective.max_completion_length": 24,
    "train.max_steps": 60, "train.learning_rate": 1e-3, "data.validation": 0,
}

PAIR = {key: value for key, value in GROUPS.items() if key != "objective.generations"}
TAUGHT = {
    "objective.max_completion_length": 24, "train.learning_rate": 1e-3, "train.max_steps": 80, "data.validation": 0.1,
}
REWARDS = """
def longer(completions):
    return [len(text) / 100 for text in completions]
"""
"""A reward that is won by talking on."""

TRIALS = (
    Trial("lora", chats),
    Trial("lora-seed-2", chats, {"train.seed": 2}),
    Trial("lora-noisy", chats, {"train.micro_batch": 1, "train.effective_batch": 1}),
    Trial("lora-constant", chats, {"train.schedule": "constant_with_warmup", "train.learning_rate": 1e-3}),
    Trial("lora-gentle", chats, {"train.learning_rate": 3e-4}),
    Trial("lora-three-epochs", chats, {"train.epochs": 3, "train.max_steps": None}),
    Trial("dora", chats, {"adapter.dora": True}),
    Trial("nf4", chats, {"model.quantization": "nf4", "train.max_steps": 120}),
    Trial("full", chats, {**FULL, "train.learning_rate": 3e-4}),
    Trial("full-accumulated", chats, {**FULL, "train.learning_rate": 5e-4, "train.micro_batch": 2}),
    Trial("texts", texts, {"train.learning_rate": 1e-3, "train.max_steps": 120}),
    Trial("classify", labelled, _classes(**{"train.max_steps": 120})),
    Trial("dpo", pairs, _objective("dpo", **{"train.learning_rate": 5e-4, "train.max_steps": 120})),
    Trial("kto", judged, _objective("kto", **{"train.learning_rate": 5e-4, "train.max_steps": 120})),
    Trial("orpo", pairs, _objective("orpo", **{"train.learning_rate": 1e-3, "train.max_steps": 120})),
    Trial("reward", pairs, _objective("reward", **{"train.learning_rate": 1e-3, "train.max_steps": 120})),
    Trial(
        "grpo", questions, _objective("grpo", **{**GROUPS, "objective.temperature": 1.5, "objective.generations": 8}),
    ),

    Trial(
        "grpo-kl", questions,
        _objective("grpo", **{**GROUPS, "objective.temperature": 1.5, "objective.generations": 8,
                              "objective.beta": 0.04}),
    ),
    Trial(
        "rloo", questions, _objective("rloo", **{**GROUPS, "objective.temperature": 1.5, "objective.generations": 8}),
    ),
    Trial("online-dpo", questions, _objective("online_dpo", **{**PAIR, "objective.temperature": 1.5})),
    Trial("ppo", questions, _objective("ppo", **{**PAIR, "objective.temperature": 1.5})),
    Trial("ipo", pairs, _objective("dpo", **{"objective.loss_type": "ipo", "train.learning_rate": 5e-4,
                                             "train.max_steps": 120})),
    Trial("cpo", pairs, _objective("cpo", **{"train.learning_rate": 5e-4, "train.max_steps": 120})),
    Trial("classify-lopsided", lambda rng: [
        row for row in labelled(rng) if row["label"] != "other" or rng.random() < 0.9
    ], _classes(**{"train.learning_rate": 1e-3, "train.max_steps": 120})),
    Trial("distill", questions, _objective("distill", **TAUGHT), teacher="full"),
    Trial("distill-answers", chats, _objective("distill", **{**TAUGHT, "objective.on_policy": 0}), teacher="full"),

    Trial("few-rows-full", few, {**FULL, "train.learning_rate": 1e-3, "data.validation": 0.3}, "overfitting"),
    Trial(
        "few-rows-lora", few, {"adapter.rank": 64, "train.learning_rate": 5e-3, "data.validation": 0.3}, "overfitting",
    ),
    Trial(
        "random-labels-few", lambda rng: labelled(rng, true=False, count=120),
        _classes(**{**FULL, "train.learning_rate": 1e-3, "data.validation": 0.3}), "overfitting",
    ),
    Trial("rate-high-full", chats, {**FULL, "train.learning_rate": 0.3}, "learning_rate_high"),
    Trial("rate-high-lora", chats, {"train.learning_rate": 0.5}, "learning_rate_high"),
    Trial("rate-high-short", chats, {"train.learning_rate": 0.3, "train.max_steps": 80}, "learning_rate_high"),
    Trial("diverging-warmed", chats, {"train.learning_rate": 0.2, "train.warmup": 0.2}, "diverging"),
    Trial(
        "diverging-full", chats,
        {**FULL, "train.learning_rate": 0.1, "train.warmup": 0.5, "train.max_grad_norm": 0}, "diverging",
    ),
    Trial(
        "diverging-lora", chats,
        {"train.learning_rate": 0.5, "train.warmup": 0.5, "train.max_grad_norm": 0, "train.schedule": "linear"},
        "diverging",
    ),
    Trial("rate-low-lora", chats, {"train.learning_rate": 1e-7}, "learning_rate_low"),
    Trial("rate-low-full", chats, {**FULL, "train.learning_rate": 1e-9}, "learning_rate_low"),
    Trial("foreign-template", garbled, {"train.learning_rate": 1e-5}, "chance"),
    Trial(
        "labels-at-random", lambda rng: labelled(rng, true=False), _classes(**{"train.learning_rate": 1e-4}), "chance",
    ),
    Trial(
        "preferences-at-random", lambda rng: pairs(rng, true=False),
        _objective("dpo", **{"train.learning_rate": 1e-4}), "chance",
    ),
    Trial("poisoned", poisoned, {"train.learning_rate": 1e-3, "train.max_steps": 300}, "spikes"),
    Trial(
        "sorted", sorted_rows, {"data.curriculum": "column:place", "train.epochs": 6, "train.max_steps": None,
                                "train.learning_rate": 5e-4}, "row_order",
    ),
    Trial("done-long-ago", chats, {"train.learning_rate": 2e-3, "train.max_steps": 600,
                                  "train.schedule": "constant_with_warmup"}, "plateau"),
    Trial("one-reward", questions, _objective("grpo", **{**GROUPS, "objective.rewards": ["length:<100000"]}),
          "no_reward_spread"),
    Trial("short-answers", questions, _objective("grpo", **{**GROUPS, "objective.max_completion_length": 4}),
          "answers_cut"),
    Trial("no-reward", questions, _objective("grpo", **{**GROUPS, "objective.rewards": ["format"]}),
          "no_reward_spread"),
    Trial("no-reward-rloo", questions, _objective("rloo", **{**GROUPS, "objective.rewards": ["format"]}),
          "no_reward_spread"),
    Trial("no-reward-online-dpo", questions, _objective("online_dpo", **{**PAIR, "objective.rewards": ["format"]}),
          "no_reward_spread"),
    Trial("no-reward-ppo", questions, _objective("ppo", **{**PAIR, "objective.rewards": ["format"]}),
          "no_reward_spread"),
    Trial(
        "longer-is-better", questions,
        _objective("grpo", **{**GROUPS, "objective.rewards": ["rewards.py:longer"], "objective.generations": 8,
                              "objective.max_completion_length": 120, "objective.temperature": 1.5}),
        "answers_grow",
    ),
    Trial(
        "rate-high-grpo", questions,
        _objective("grpo", **{**GROUPS, "objective.beta": 0.01, "train.learning_rate": 0.1, "objective.generations": 8,
                              "objective.temperature": 1.5}),
        "drifts_off",
    ),
    Trial(
        "rate-high-rloo", questions,
        _objective("rloo", **{**GROUPS, "objective.beta": 0.001, "train.learning_rate": 0.1,
                              "objective.generations": 8, "objective.temperature": 1.5}),
        "drifts_off",
    ),
    Trial("pairs-alike", alike, _objective("dpo", **{**FULL, "train.learning_rate": 1e-3, "objective.beta": 0.02,
                                                     "train.max_steps": 120}), "chosen_falls"),
    Trial("scores-at-random", lambda rng: pairs(rng, true=False),
          _objective("reward", **{"train.learning_rate": 1e-4, "train.max_steps": 120}), "chance"),
    Trial("one-class", lopsided, _classes(**{"train.learning_rate": 3e-4}), "one_class"),
    Trial("rate-low-distill", chats, _objective("distill", **{
        **TAUGHT, "objective.on_policy": 0, "train.learning_rate": 1e-8, "train.max_steps": 120,
    }), "learning_rate_low", teacher="full"),
)


def record(trial: Trial, home: Path) -> dict[str, Any]:
    """Train it in the background as a user would, and read what its events say."""
    rows = home / f"{trial.name}.jsonl"
    rows.write_text("\n".join(json.dumps(row) for row in trial.rows(random.Random(trial.name))))
    (home / "rewards.py").write_text(REWARDS)
    settings = {**COMMON, **trial.settings}
    if trial.teacher:
        settings["objective.teacher"] = str(_result(trial.teacher, home))
    words = [
        f"--set={path}={value if isinstance(value, str) else json.dumps(value)}" for path, value in settings.items()
    ]
    done = subprocess.run(
        [sys.executable, "-m", "ftui.cli.main", "launch", "--model", "demo", "--data", str(rows), "--name", trial.name,
         *words, "--force", "--wait", "--json"],
        capture_output=True, text=True, cwd=home,
        env=os.environ | {"FTUI_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    from ftui.diagnosis.doctor import newest
    from ftui.errors import FtuiError
    from ftui.runs.folder import find
    from ftui.runs.follow import history

    os.environ["FTUI_HOME"] = str(home)
    try:
        run = find(trial.name)
    except FtuiError:
        raise SystemExit(f"{trial.name}: {done.stdout[-1000:]}{done.stderr[-1000:]}") from None
    recipe, events = run.recipe(), history(run)
    if recipe is None or not any(event.kind == "metric" for event in events):
        raise SystemExit(f"{trial.name}: {run.status().text}")
    metrics = [event for event in newest(lambda: events) if event.kind == "metric"]
    evaluations = [event for event in newest(lambda: events) if event.kind == "evaluation"]
    names = [name for name in KEPT if any(name in event.measured for event in metrics)]
    return {
        "name": trial.name, "fault": trial.fault, "recipe": _anywhere(recipe.as_dict()),
        "steps": max((event.data["total"] for event in events if event.data.get("unit") == "step"), default=None),
        "vocabulary": 512, "labels": len({row.get("label") for row in trial.rows(random.Random(trial.name))}),
        "metrics": {
            "step": [event.step for event in metrics],
            **{name: [_short(event.measured.get(name)) for event in metrics] for name in names},
        },
        "evaluations": [
            {"step": event.step, **{
                name.removeprefix("eval_"): _short(value) for name, value in event.measured.items()
                if name.startswith("eval_")
            }} for event in evaluations
        ],
    }


def _result(name: str, home: Path) -> Path:
    """The folder of what a trial has made, which is trained for it where it hasn't been yet."""
    from ftui.errors import FtuiError
    from ftui.runs.folder import find

    os.environ["FTUI_HOME"] = str(home)
    try:
        return find(name).output
    except FtuiError:
        record(next(trial for trial in TRIALS if trial.name == name), home)
        return find(name).output


def _anywhere(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe without the folder in which its rows, its rewards and its teacher lay."""
    sources = [{**source, "path": Path(source["path"]).name} for source in recipe["data"]["sources"]]
    objective = {
        name: Path(value).parent.name if name == "teacher" and value else value
        for name, value in recipe["objective"].items()
    }
    if "rewards" in objective:
        objective["rewards"] = [text.rpartition("/")[2] for text in objective["rewards"]]
    return {**recipe, "data": {**recipe["data"], "sources": sources}, "objective": objective}


def _short(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def recorded() -> dict[str, dict[str, Any]]:
    """The recorded runs by name."""
    if not CURVES.exists():
        return {}
    return {run["name"]: run for run in map(json.loads, CURVES.read_text().splitlines())}


def findings(run: dict[str, Any]) -> list[tuple[int, Finding]]:
    """What the diagnosis says of a recorded run, and at which step."""
    recipe = Recipe.model_validate(run["recipe"])
    case = case_of(
        recipe, steps=run["steps"], vocabulary=run["vocabulary"], labels=run["labels"], host_bytes=1 << 36,
    )
    doctor, found = Doctor(case), []
    evaluations = {one["step"]: {k: v for k, v in one.items() if k != "step"} for one in run["evaluations"]}
    columns = run["metrics"]
    for index, step in enumerate(columns["step"]):
        values = {name: column[index] for name, column in columns.items() if name != "step"}
        found += [(step, finding) for finding in doctor.metric(step, values)]
        if step in evaluations:
            found += [(step, finding) for finding in doctor.evaluation(step, evaluations[step])]
    return found


def score(runs: Iterable[dict[str, Any]]) -> None:
    """Print what was found of the planted faults, what else was said, and what it costs."""
    met = missed = false = healthy = 0
    began, metrics = time.perf_counter(), 0
    print(f"{'run':24}{'planted':22}{'found':>24}   also said")
    for run in runs:
        found = findings(run)
        metrics += len(run["metrics"]["step"])
        at = {finding.name: step for step, finding in found}
        fault = run["fault"]
        others = ", ".join(f"{name} at {step}" for name, step in at.items() if name != fault)
        if fault is None:
            healthy += 1
            false += bool(at)
        else:
            met += fault in at
            missed += fault not in at
        share = "-" if fault is None else "MISSED"
        if fault in at:
            share = f"step {at[fault]:,} ({at[fault] / run['steps']:.0%})"
        print(f"{run['name']:24}{fault or '(healthy)':22}{share:>24}   {others}")
    seconds = time.perf_counter() - began
    print(f"\n{met} of {met + missed} planted faults found; something said of {false} of {healthy} healthy runs")
    print(f"{seconds / max(metrics, 1) * 1e6:,.0f} microseconds a metric")


def main() -> None:
    """Record what is missing, or score what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "score"))
    parser.add_argument("--only", nargs="*", default=[trial.name for trial in TRIALS])
    options = parser.parse_args()
    runs = recorded()
    if options.what == "record":
        with tempfile.TemporaryDirectory() as folder:
            for trial in TRIALS:
                if trial.name not in options.only or trial.name in runs:
                    continue
                began = time.monotonic()
                runs[trial.name] = record(trial, Path(folder))
                CURVES.write_text("".join(f"{json.dumps(runs[t.name])}\n" for t in TRIALS if t.name in runs))
                steps, seconds = len(runs[trial.name]["metrics"]["step"]), time.monotonic() - began
                print(f"{trial.name}: {steps} steps, {seconds:.0f} s", flush=True)
    score(runs[trial.name] for trial in TRIALS if trial.name in runs)


if __name__ == "__main__":
    main()
