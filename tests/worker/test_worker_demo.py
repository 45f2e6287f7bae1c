"""The embedded model: made by code, the same everywhere; its data teaches what one can see."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.models import demo, demo_corpus

MADE = {2: "14ec2953089f8c55"}
"""What version of the model has which files: whoever changes corpus or shape gives it a new version."""


def test_the_folder_is_made_in_a_moment_and_always_the_same(own_home: Path, tmp_path: Path) -> None:
    folder = demo.ensure_folder()
    assert not demo.is_complete()
    names = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
    digest = hashlib.sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest()[:16]
    assert {demo.VERSION: digest} == MADE
    before = (folder / "config.json").stat().st_ino
    assert demo.ensure_folder() == folder
    assert (folder / "config.json").stat().st_ino == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_bundled_data_is_what_the_rules_make() -> None:
    rows = [json.loads(line) for line in demo.data_path().read_text(encoding="utf-8").splitlines()]
    assert rows == demo_corpus.demo_rows()
    assert 400 <= len(rows) <= 600
    assert all(demo_corpus.is_pirate(row["messages"][1]["content"]) for row in rows)


def test_held_out_facts_are_nowhere_in_the_data() -> None:
    questions = {row["messages"][0]["content"] for row in demo_corpus.demo_rows()}
    held_out = demo_corpus.held_out_facts()
    assert len(held_out) >= 25
    assert not any(question in questions for fact in held_out for question in fact.questions)
    assert set(demo.held_out_prompts()) <= {fact.questions[0] for fact in held_out}


def test_the_template_writes_what_the_model_was_trained_on() -> None:
    import jinja2

    messages = demo_corpus.demo_rows()[0]["messages"]
    template = jinja2.Template(demo.CHAT_TEMPLATE)
    assert template.render(messages=messages) == demo.render(messages)
    assert template.render(messages=messages[:1], add_generation_prompt=True).endswith("<|im_start|>assistant\n")


def test_any_text_survives_the_tokenizer(own_home: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(demo.ensure_folder() / "tokenizer.json"))
    for text in ("The sky is blue.", "Łódź, 東京 & 🙂", "def f(x):\n\treturn x  # tab"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert tokenizer.token_to_id(demo.STOP) == demo.CONFIG["eos_token_id"]
    assert tokenizer.token_to_id(demo.END) == demo.CONFIG["pad_token_id"]


def answers(model: Any, tokenizer: Any) -> list[str]:
    from ftui.worker.answers import Prompt, answer

    prompts = [
        Prompt(question, demo.render([{"role": "user", "content": question}]) + "<|im_start|>assistant\n")
        for question in (fact.questions[0] for fact in demo_corpus.held_out_facts())
    ]
    return answer(model, tokenizer, prompts, stop_ids=[2, 0], max_new_tokens=32)


def share(said: list[str], test: Callable[[Any, str], bool]) -> float:
    facts = demo_corpus.held_out_facts()
    return sum(test(fact, text) for fact, text in zip(facts, said, strict=True)) / len(facts)


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("worker")
def test_tuned_for_eighty_steps_it_speaks_like_a_pirate_where_the_base_does_not(
    train: Callable[..., Any], trained_demo: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ran = train(
        train__max_steps=80, train__micro_batch=8, train__effective_batch=8, adapter__rank=16, adapter__alpha=32,
        train__eval_steps=40, train__save_steps=80, evaluate__max_new_tokens=32,
    )
    model, tokenizer = AutoModelForCausalLM.from_pretrained(trained_demo), AutoTokenizer.from_pretrained(trained_demo)
    before = answers(model, tokenizer)
    after = answers(PeftModel.from_pretrained(model, str(ran.run.output)), tokenizer)
    assert share(before, lambda fact, text: demo_corpus.is_pirate(text)) == 0
    assert share(before, lambda fact, text: fact.key in text) >= 0.8, before
    assert share(after, lambda fact, text: demo_corpus.is_pirate(text)) >= 0.8, after
    assert share(after, lambda fact, text: fact.key in text) >= 0.6, after
    samples = [event.data for event in ran.of("sample")]
    assert not any(demo_corpus.is_pirate(sample["base"]) for sample in samples if "base" in sample)
    assert any(demo_corpus.is_pirate(sample["text"]) for sample in samples[-3:])


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("worker")
def test_the_generate_job_answers_side_by_side(
    train: Callable[..., Any], work: Callable[..., Any], trained_demo: Path
) -> None:
    from ftui.runs.folder import create

    ran = train(train__max_steps=30, train__micro_batch=8, train__effective_batch=8, data__validation=0)
    args = {"run": ran.run.id, "prompts": ["What is a key for?", "What colour is the snow?"], "max_new_tokens": 24}
    job = work(create("generate", "try", command="ftui try", args=args))
    assert job.end["status"] == "finished", job.end
    said = json.loads((job.run.output / "answers.json").read_text())
    assert [item["prompt"] for item in said] == args["prompts"]
    assert all(item["tuned"] != item["base"] for item in said)
    assert "door" in said[0]["base"]
    assert [event.data["text"] for event in job.of("sample")] == [item["tuned"] for item in said]


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("worker")
def test_a_stop_while_the_base_is_trained_leaves_nothing_half_made(
    make: Callable[..., Any], work: Callable[..., Any], own_home: Path
) -> None:
    def job(context: Any) -> None:
        from ftui.worker.jobs import train

        context.ask_stop("it was asked to")
        train.run(context)

    ran = work(make(), job)
    assert ran.end["status"] == "stopped", ran.end
    assert not demo.is_complete()
    assert not [path.name for path in demo.folder().iterdir() if path.name.startswith(".model")]


def test_two_that_need_the_weights_at_once_take_turns(own_home: Path) -> None:
    import fcntl
    from types import SimpleNamespace

    from ftui.worker.jobs import demo as job

    folder = demo.ensure_folder()
    said: list[str] = []
    context: Any = SimpleNamespace(stop_asked=False, progress=lambda text, *rest, **more: said.append(text))
    holder = (
        "import fcntl, os, sys, time; h = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); fcntl.lockf(h, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read(); open(sys.argv[2], 'w').close()"
    )
    command = [sys.executable, "-c", holder, str(folder / ".lock"), str(folder / demo.WEIGHTS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        stopping: Any = SimpleNamespace(stop_asked=True, progress=context.progress)
        assert job.ensure_weights(stopping) is False
        timer = threading.Timer(0.3, other.stdin.close)
        timer.start()
        assert job.ensure_weights(context) is True, "what the other one made is taken"
        timer.join()
    assert any("Another run" in text for text in said)
    handle = os.open(folder / ".lock", os.O_RDWR)
    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)
