"""Runs of the worker in this process, on the embedded model: with random weights, or (slow) as it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ftui.models import demo
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.document import Event
from ftui.runs.folder import Run, create
from ftui.runs.follow import history

RECIPE = Recipe.model_validate(
    {
        "name": "t",
        "model": {"base": "demo", "quantization": "none", "dtype": "float32", "attention": "sdpa"},
        "data": {"sources": [{"path": "demo"}], "max_length": 128, "packing": False, "validation": 0.05},
        "adapter": {"kind": "lora", "rank": 8, "alpha": 16, "dropout": 0.0},
        "train": {
            "max_steps": 6, "micro_batch": 4, "effective_batch": 4, "learning_rate": 2e-3, "optimizer": "adamw",
            "checkpointing": False, "eval_steps": 3, "save_steps": 3, "warmup": 0.1,
        },
        "evaluate": {"max_new_tokens": 8},
    }
)
FULL = Recipe.model_validate({"adapter": {"kind": "none"}}).adapter


@dataclass
class Ran:
    """A run after its worker has ended."""

    run: Run
    code: int

    @property
    def events(self) -> list[Event]:
        return history(self.run)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    @property
    def end(self) -> dict[str, Any]:
        return self.of("end")[-1].data

    @property
    def losses(self) -> dict[int, float]:
        """Loss by step, the newest attempt's."""
        return {event.step: event.data["loss"] for event in self.of("metric") if event.step is not None}


@pytest.fixture(name="resolved")
def _resolved() -> Callable[..., Recipe]:
    return resolved


def resolved(**settings: Any) -> Recipe:
    """The small recipe with `section__setting=value` changed; `adapter=None` is full tuning."""
    recipe = RECIPE
    if "adapter" in settings and settings.pop("adapter") is None:
        recipe = recipe.model_copy(update={"adapter": FULL})
    return assign(recipe, {name.replace("__", "."): value for name, value in settings.items()})


def work(run: Run, job: Callable[..., None] | None = None) -> Ran:
    """Do a run here and now."""
    # A worker leaves it out where it isn't needed, for good; in this process the next test may need it.
    import bitsandbytes  # noqa: F401

    from ftui.worker.__main__ import AGAIN, main

    while (code := main(run.path, job)) == AGAIN:
        pass
    return Ran(run, code)


@pytest.fixture(name="work")
def _work() -> Callable[..., Ran]:
    return work


@pytest.fixture
def commanded() -> Callable[..., Callable[[Any], None]]:
    """A training job to which commands come at given steps of the attempt; an exception in place of one is raised."""

    def at(plan: dict[int, str | Exception]) -> Callable[[Any], None]:
        def job(context: Any) -> None:
            from ftui.runs.inbox import Command
            from ftui.worker.jobs import train

            steps = 0

            def commands() -> list[Command]:
                nonlocal steps
                steps += 1
                what = plan.get(steps)
                if isinstance(what, Exception):
                    raise what
                if what == "stop":
                    context.ask_stop("it was asked to")
                return [Command(what)] if what else []

            context.commands = commands
            train.run(context)

        return job

    return at


@pytest.fixture
def make() -> Callable[..., Run]:
    """A run's folder for the small recipe with some settings changed."""

    def build(recipe: Recipe | None = None, **settings: Any) -> Run:
        return create("train", "t", command="ftui launch t", recipe=recipe or resolved(**settings))

    return build


@pytest.fixture
def train(make: Callable[..., Run]) -> Callable[..., Ran]:
    """Train the small recipe with some settings changed, to its end."""
    return lambda *args, **settings: work(make(*args, **settings))


@pytest.fixture
def random_demo(own_home: Path) -> Path:
    """The embedded model with random weights: enough wherever only the machinery counts."""
    import torch
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    folder = demo.ensure_folder()
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**{k: v for k, v in demo.CONFIG.items() if k != "architectures"})).save_pretrained(
        folder
    )
    return folder
