"""Objectives whose model writes the answers that it learns from: whole runs on the random embedded model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data import Prepared
from ftui.errors import BadInput
from ftui.methods import OBJECTIVES
from ftui.methods.rewards import parse
from ftui.runs.document import Event
from ftui.runs.folder import create
from ftui.worker import recovery

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]

KINDS: dict[str, dict[str, Any]] = {
    "grpo": {"objective__generations": 4},
    "rloo": {"objective__generations": 2},
    "online_dpo": {},
    "ppo": {"objective__iterations": 2},
}
CRASH = RuntimeError("the power went")
OWN = """
import json
def vowels(completions):
    return [sum(letter in "aeiou" for letter in text) / max(1, len(text)) for text in completions]
def nothing(completions):
    return [None] * len(completions)
def broken(completions):
    raise ZeroDivisionError("by hand")
def spied(completions, columns):
    with open(__file__ + ".seen", "a") as file:
        file.write(json.dumps({"completions": completions, "columns": dict(columns)}) + "\\n")
    return [float(len(text)) for text in completions]
"""


@pytest.fixture
def sums(tmp_path: Path) -> dict[str, Any]:
    """Settings of a small run on prompts with answers and another column, rewarded by functions in own.py."""
    rows = [{"prompt": f"What is {a} plus {b}?", "answer": str(a + b), "level": a} for a in range(6) for b in range(6)]
    (tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "own.py").write_text(OWN)
    return {
        "data__sources": [{"path": str(tmp_path / "sums.jsonl"), "format": "prompt"}], "data__validation": 4,
        "objective__max_completion_length": 5, "objective__rewards": [f"{tmp_path}/own.py:vowels"],
        "evaluate__prompts": ["What is 1 plus 1?"], "evaluate__max_new_tokens": 3,
    }


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for file in folder.glob("*.safetensors"):
        found |= {f"{file.name}:{name}": tensor for name, tensor in load_file(file).items()}
    return found


def rewards(events: list[Event]) -> list[float]:
    return [event.data["values"]["reward"] for event in events if "reward" in event.data.get("values", {})]


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_come_as_the_template_wrote_them_and_rewards_see_their_rows(
    kind: str, train: Callable[..., Any], random_demo: Path, sums: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ftui.worker.online import OnlineTrainer

    asked: list[tuple[list[list[int]], list[list[int]]]] = []
    stops = tuple(range(300))
    plain = OnlineTrainer._generate_single_turn

    def generate(self: Any, prompt_ids: Any, *rest: Any, **more: Any) -> Any:
        found = plain(self, prompt_ids, *rest, **more)
        asked.append((prompt_ids, found[0] if isinstance(found, tuple) else found))
        return found

    monkeypatch.setattr(OnlineTrainer, "_generate_single_turn", generate)
    monkeypatch.setattr(Prepared, "stop_ids", property(lambda _: stops))
    spied = {"objective__rewards": [f"{tmp_path}/own.py:spied"], "data__validation": 3}
    ran = train(objective__kind=kind, **sums | KINDS[kind] | spied)
    assert ran.end["status"] == "finished", ran.end
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ran.run.output)
    seen = [json.loads(line) for line in Path(f"{tmp_path}/own.py.seen").read_text().splitlines()]
    assert len(seen) == len(asked)
    for (prompts, answers), scored in zip(asked, seen, strict=True):
        columns = scored["columns"]
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            messages = columns["prompt"][row]
            wanted = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
            assert prompt == wanted["input_ids"], tokenizer.decode(prompt)
            words = messages[-1]["content"].split()
            assert int(columns["answer"][row]) == int(words[2]) + int(words[4].rstrip("?"))
            assert columns["level"][row] == int(words[2])
            assert columns["tokens"][row] == len(answer) <= 5
            own = answer[:-1] if answer[-1] in stops else answer
            assert not set(own) & set(stops), "it ends at the first token that ends it"
            assert len(answer) == 5 or answer[-1] in stops
            assert scored["completions"][row] == tokenizer.decode(own, skip_special_tokens=True)
    assert {len(answer) for _, answers in asked for answer in answers} > {5}
    # Three prompts are held out, and are no groups of four.
    groups = [prompts for prompts, _ in asked if len(prompts) == 4]
    together = {"grpo": 4, "rloo": 2, "online_dpo": 2, "ppo": 1}[kind]
    assert all(prompts[i] == prompts[i - i % together] for prompts in groups for i in range(4))


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_judged_by_the_reward_of_held_out_prompts_and_its_result_reloads(
    kind: str, train: Callable[..., Any], random_demo: Path, sums: dict[str, Any]
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ran = train(objective__kind=kind, objective__eval_prompts=3, **sums | KINDS[kind])
    assert ran.end["status"] == "finished", ran.end
    judged = [event.data for event in ran.of("evaluation")]
    assert [event.step for event in ran.of("evaluation")] == [3, 6]
    assert all("eval_loss" not in data and 0 <= data["values"]["reward"] <= 1 for data in judged)
    best = max(data["values"]["reward"] for data in judged)
    assert ran.end["metrics"]["reward"] == best
    assert f"the reward of the held-out rows is {best:.4f}" in ran.end["text"]
    assert all(event.data["tokens"] > 0 for event in ran.of("metric"))
    report = ran.run.report.read_text()
    assert f"Method: {OBJECTIVES[kind].inline}, " in report
    assert "prompts to answer" in report
    assert f"Rewards: `{sums['objective__rewards'][0]}`" in report
    assert f"{best:.4f}" in report
    card = (ran.run.output / "README.md").read_text()
    assert f"by {OBJECTIVES[kind].inline} on" in card
    assert (ran.run.output / "value_head.safetensors").exists() == (kind == "ppo")
    base = AutoModelForCausalLM.from_pretrained(random_demo)
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        before = base(ids).logits
        after = PeftModel.from_pretrained(base, ran.run.output)(ids).logits
    assert not torch.equal(before, after), "it has learned something"


PARTS = {
    "grpo": {"objective__steps_per_generation": 4, "train__micro_batch": 2, "objective__beta": 0.1},
    "rloo": {"objective__iterations": 2},
    "online_dpo": {"train__micro_batch": 2},
    "ppo": {"objective__iterations": 2, "objective__mini_batches": 2, "objective__kl_target": 1.0,
            "data__validation": 28},
}  # fmt: skip
"""Generations of which a checkpoint lies in the middle, for all but online DPO."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(
    kind: str, make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path,
    sums: dict[str, Any],
) -> None:
    # A few prompts and several epochs, so that the order of a later epoch must be found again, too.
    asked = {"objective__kind": kind, **sums, "data__validation": 30, **KINDS[kind], **PARTS[kind],
             "train__max_steps": 8, "train__eval_steps": 5, "train__save_steps": 5}  # fmt: skip
    whole = work(make(**asked))
    assert whole.end["status"] == "finished", whole.end
    broken = work(make(**asked), commanded({7: CRASH}))
    assert broken.end["status"] == "failed"
    assert work(broken.run).end["status"] == "finished"
    assert [event.step for event in broken.of("metric") if event.attempt == 2] == [6, 7, 8]
    assert broken.losses == whole.losses
    told = [[event.data["values"] for event in ran.of("metric")][-3:] for ran in (broken, whole)]
    assert told[0] == told[1]
    ours, theirs = weights(broken.run.output), weights(whole.run.output)
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert broken.end["metrics"]["tokens"] == whole.end["metrics"]["tokens"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_with_half_the_micro_batch_where_memory_runs_out(
    kind: str, make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path,
    sums: dict[str, Any],
) -> None:
    asked = sums | KINDS[kind] | PARTS[kind] | {"train__micro_batch": 4, "train__save_steps": 1}
    ran = work(make(objective__kind=kind, **asked), commanded({3: MemoryError("no room")}))
    assert ran.end["status"] == "finished", ran.end
    assert ran.of("recovery")[0].data["change"] == {"train.micro_batch": 2}
    assert sorted(ran.losses) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("rows", "effective", "half"), [(8, 16, 4), (6, 12, 2), (2, 4, None)])
def test_the_two_answers_to_a_prompt_are_not_parted_for_want_of_memory(
    rows: int, effective: int, half: int | None, resolved: Callable[..., Any]
) -> None:
    recipe = resolved(
        objective__kind="online_dpo", objective__rewards=["exact"], train__micro_batch=rows,
        train__effective_batch=effective, recovery__out_of_memory=["halve_batch"],
    )
    change = recovery.remedy(recipe, has_checkpoint=True)
    assert (change and change.settings) == (half and {"train.micro_batch": half})


@pytest.mark.parametrize("kind", KINDS)
def test_the_trial_step_leaves_no_trace(
    kind: str, train: Callable[..., Any], random_demo: Path, sums: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.worker import canary

    tried: list[int] = []
    trial = canary.run
    monkeypatch.setattr(canary, "run", lambda *args, **more: tried.append(1) or trial(*args, **more))
    losses = []
    for worthwhile in (True, False):
        monkeypatch.setattr(canary, "is_worthwhile", lambda device, plan, answer=worthwhile: answer)
        ran = train(objective__kind=kind, **sums | KINDS[kind] | {"train__max_steps": 3})
        assert ran.end["status"] == "finished", ran.end
        losses.append((ran.losses, ran.end["metrics"]["tokens"]))
    assert tried == [1]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("kind", KINDS)
def test_two_steps_are_measured_on_the_longest_prompts(
    kind: str, resolved: Callable[..., Any], work: Callable[..., Any], random_demo: Path, sums: dict[str, Any]
) -> None:
    recipe = resolved(objective__kind=kind, **sums | KINDS[kind])
    measured = work(create("measure", "t", command="ftui plan --measure", recipe=recipe))
    assert measured.end["status"] == "finished", measured.end
    assert measured.end["metrics"]["peak_bytes"] > 0


@pytest.mark.parametrize("own", [{}, {"adapter__update": "plus"}])
def test_the_value_head_learns_with_any_optimizer(
    own: dict[str, Any], train: Callable[..., Any], random_demo: Path, sums: dict[str, Any]
) -> None:
    ran = train(objective__kind="ppo", **sums | {"objective__iterations": 1, "train__max_steps": 3} | own)
    assert ran.end["status"] == "finished", ran.end
    head = weights(ran.run.output)["value_head.safetensors:weight"]
    assert head.abs().max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_base_of_four_bits_and_layers_computed_again_train_before_and_after_an_evaluation(
    kind: str, train: Callable[..., Any], random_demo: Path, sums: dict[str, Any], tmp_path: Path
) -> None:
    asked = {"model__quantization": "nf4", "train__checkpointing": True, "train__eval_steps": 1, "train__save_steps": 1,
             "train__max_steps": 4, "train__micro_batch": 2, "train__keep_checkpoints": 9}  # fmt: skip
    ran = train(objective__kind=kind, **sums | KINDS[kind] | asked)
    assert ran.end["status"] == "finished", ran.end
    saved = [weights(ran.run.checkpoints / f"checkpoint-{step}") for step in (1, 3)]
    assert all(saved), [path.name for path in ran.run.checkpoints.iterdir()]
    assert any((saved[0][name] != saved[1][name]).any() for name in saved[0] if "lora_B" in name)


def test_full_tuning_holds_the_answers_against_a_copy_of_the_model(
    train: Callable[..., Any], random_demo: Path, sums: dict[str, Any]
) -> None:
    ran = train(objective__kind="ppo", adapter=None, **sums | {"objective__iterations": 1, "train__max_steps": 3})
    assert ran.end["status"] == "finished", ran.end
    told = [event.data["values"]["kl"] for event in ran.of("metric")]
    assert told[0] == 0
    assert told[-1] != 0


def test_a_reward_that_has_nothing_to_say_moves_nothing(
    train: Callable[..., Any], random_demo: Path, sums: dict[str, Any], tmp_path: Path
) -> None:
    for kind in KINDS:
        rewarded = {"objective__rewards": [f"{tmp_path}/own.py:nothing"], "data__validation": 0, "train__max_steps": 2}
        ran = train(objective__kind=kind, **sums | KINDS[kind] | rewarded | {"train__weight_decay": 0.0})
        assert ran.end["status"] == "finished", ran.end
        assert all(tensor.eq(0).all() for name, tensor in weights(ran.run.output).items() if "lora_B" in name), kind


def test_a_reward_that_fails_ends_the_run_with_its_name(
    train: Callable[..., Any], random_demo: Path, sums: dict[str, Any], tmp_path: Path
) -> None:
    ran = train(objective__kind="rloo", **sums | {"objective__rewards": [f"{tmp_path}/own.py:broken"]})
    assert ran.end["status"] == "failed"
    assert "own.py:broken failed: ZeroDivisionError: by hand" in ran.end["text"]
    ran = train(objective__kind="rloo", **sums | {"objective__rewards": ["exact:colour"]})
    assert "the column colour, which the rows lack" in ran.end["text"]
    ran = train(objective__kind="rloo", **sums | {"data__validation": 35})
    assert "only 1 train" in ran.end["text"]


@pytest.mark.parametrize("adapter", [True, False])
def test_a_finished_reward_run_scores_the_answers_of_the_next(
    adapter: bool, train: Callable[..., Any], random_demo: Path, sums: dict[str, Any], tmp_path: Path
) -> None:
    import torch

    from ftui.worker.rewards import Place, build
    from ftui.worker.rewards.model import load

    pairs = [{"prompt": f"What about {n}?", "chosen": f"Yes, {n}.", "rejected": "No."} for n in range(30)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    full = {} if adapter else {"adapter": None}
    scored = train(objective__kind="reward", data__sources=[str(tmp_path / "pairs.jsonl")], train__max_steps=3, **full)
    assert scored.end["status"] == "finished", scored.end
    ran = train(objective__kind="rloo", **sums | {"objective__rewards": [f"2*model:{scored.run.path}"],
                                                  "train__max_steps": 3})  # fmt: skip
    assert ran.end["status"] == "finished", ran.end
    told = ran.of("metric")[0].data["values"]
    assert told["reward"] == pytest.approx(2 * told[f"rewards/model:{scored.run.path.name}/mean"])
    assert told["reward_std"] > 0
    # The score of a batch of several lengths is that of each answer alone, with the template's tokens about it.
    model, tokenizer = load(str(scored.run.output), Place())
    texts = ["Yes, 3.", "No.", "Perhaps, or rather not, who knows."]
    prompt = [{"role": "user", "content": "What about 3?"}]
    found = build([parse(f"model:{scored.run.path}")], Place(rows=2))[0](texts, {"prompt": [prompt] * 3})
    for text, score in zip(texts, found, strict=True):
        messages = [*prompt, {"role": "assistant", "content": text}]
        ids = tokenizer.apply_chat_template(messages, return_dict=True, return_tensors="pt")
        with torch.no_grad():
            assert float(model(**ids).logits[0, 0]) == pytest.approx(score, abs=1e-5)
    with pytest.raises(BadInput, match="can't be loaded"):
        build([parse(f"model:{tmp_path}/nowhere")], Place())


def test_the_solutions_of_gsm8k_are_found_by_their_last_line(
    train: Callable[..., Any], random_demo: Path, shared_data: Path, tmp_path: Path
) -> None:
    lines = (shared_data / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:40]
    (tmp_path / "gsm8k.jsonl").write_text("\n".join(lines))
    seen = tmp_path / "own.py"
    seen.write_text("def whole(completions, answer):\n    return [float('####' in text) for text in answer]\n")
    ran = train(
        objective__kind="grpo", objective__rewards=["exact", "0.1*format", f"{seen}:whole"], train__max_steps=2,
        objective__generations=4, objective__max_completion_length=6, data__max_length=256, data__validation=4,
        data__sources=[str(tmp_path / "gsm8k.jsonl")], train__eval_steps=1,
    )
    assert ran.end["status"] == "finished", ran.end
    told = ran.of("metric")[0].data["values"]
    assert told["rewards/own.py:whole/mean"] == 1.0, "the whole solution is there, as the data gives it"
    assert 0 <= told["rewards/exact/mean"] <= 1


LEARNING: dict[str, dict[str, Any]] = {
    "grpo": {"objective__generations": 8},
    "rloo": {"objective__generations": 4, "objective__beta": 0.001},
    "online_dpo": {},
    "ppo": {"objective__iterations": 2, "objective__kl": 0.001, "train__max_steps": 60},
}


@pytest.mark.parametrize("kind", LEARNING)
def test_the_reward_rises(kind: str, train: Callable[..., Any], random_demo: Path, sums: dict[str, Any]) -> None:
    asked = {"objective__max_completion_length": 4, "data__validation": 0, "train__max_steps": 30,
             "train__micro_batch": 32, "train__effective_batch": 32, "train__learning_rate": 3e-3,
             "train__schedule": "constant", "train__save_steps": 1000, "train__warmup": 0.0}  # fmt: skip
    ran = train(objective__kind=kind, adapter=None, **sums | asked | LEARNING[kind])
    assert ran.end["status"] == "finished", ran.end
    found = rewards(ran.of("metric"))
    first, last = sum(found[:5]) / 5, sum(found[-5:]) / 5
    assert first < 0.35
    assert last > first + 0.2
