"""Optimizers, schedules and weight averages do what they say, are as large as planned, and resume exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from ftui.models.shape import Origin, build  # noqa: E402  (after the check for torch)
from ftui.planner.setup import setup_of  # noqa: E402
from ftui.planner.states import optimizer_bytes  # noqa: E402
from ftui.recipe import assign, parse  # noqa: E402
from ftui.recipe.document import Recipe  # noqa: E402

SIZES = {"vocab_size": 90, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2}


def asked(adapter: str = "{kind: none}", **settings: Any) -> Recipe:
    recipe = parse(
        "model: {base: some/model, dtype: float32, quantization: none, attention: sdpa}\n"
        "data: {max_length: 64, packing: false}\n"
        "train: {micro_batch: 1, effective_batch: 1, checkpointing: false, learning_rate: 0.01, optimizer: adamw}\n"
        f"compute: {{gpus: 0}}\nadapter: {adapter}"
    )
    return assign(recipe, {f"train.{name}": value for name, value in settings.items()})


def planned(recipe: Recipe) -> int:
    from ftui.hardware import probe

    shape = build({"model_type": "llama", **SIZES}, Origin("test", "config"))
    return optimizer_bytes(setup_of(recipe, probe(), shape, None))


def model_for(recipe: Recipe) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    from ftui.worker.adapters import BUILDERS

    torch.manual_seed(0)
    base = LlamaForCausalLM(LlamaConfig(**SIZES, bos_token_id=0, eos_token_id=1, pad_token_id=2))
    return BUILDERS[recipe.adapter.kind](base, recipe)


def trainer_of(recipe: Recipe) -> Any:
    """What the makers of optimizers ask of a trainer."""
    from transformers import Trainer, TrainingArguments

    from ftui.worker.arguments import arguments
    from ftui.worker.precision import Precision

    args = arguments(TrainingArguments, recipe, Precision("float32", "float32", "float32", None, ""), "cpu", Path("x"))
    return Trainer(model_for(recipe), args)


def optimizer_for(recipe: Recipe) -> tuple[Any, Any]:
    """(model, optimizer) as a run has them."""
    from ftui.worker.optimizers import set_own_optimizer

    trainer = trainer_of(recipe)
    set_own_optimizer(trainer, recipe)
    return trainer.model, trainer.create_optimizer()


def stepped(model: Any, optimizer: Any, steps: int = 2) -> float:
    """The loss after some steps on one row."""
    ids = torch.arange(10)[None]
    if hasattr(optimizer, "train"):
        optimizer.train()
    for _ in range(steps):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


def held(optimizer: Any) -> int:
    """Bytes of an optimizer's states."""
    return sum(
        one.numel() * one.element_size() for entry in optimizer.state.values() for name, one in entry.items()
        if isinstance(one, torch.Tensor) and name != "step" and "qmap" not in name
    )


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["{kind: none}", "{kind: lora, rank: 4, alpha: 8, dropout: 0.0}"])
@pytest.mark.parametrize("name", ["muon", "schedule_free", "rmsprop", "ademamix", "ademamix_8bit"])
def test_its_states_are_as_large_as_planned_and_it_learns(name: str, adapter: str) -> None:
    if name == "schedule_free":
        pytest.importorskip("schedulefree")
    recipe = asked(adapter, optimizer=name, schedule="constant_with_warmup")
    model, optimizer = optimizer_for(recipe)
    first = stepped(model, optimizer)
    # Scales of 8-bit states come by whole blocks.
    assert held(optimizer) == pytest.approx(planned(recipe), rel=1e-4 if name.endswith("8bit") else 0)
    # So many that no processor's rounding decides.
    assert stepped(model, optimizer, 32) < first - 0.1


@pytest.mark.slow
def test_muon_leads_the_matrices_and_adamw_the_tables_and_norms() -> None:
    _, optimizer = optimizer_for(asked(optimizer="muon"))
    shapes = {name: {tuple(p.shape) for g in part.param_groups for p in g["params"]}
              for name, part in optimizer.parts.items()}
    assert shapes["adamw"] == {(90, 64), (64,)}
    assert (90, 64) not in shapes["muon"]
    assert (96, 64) in shapes["muon"]


@pytest.mark.slow
def test_muons_state_comes_back_and_takes_the_schedules_rate() -> None:
    recipe = asked("{kind: lora, rank: 4, alpha: 8, dropout: 0.0}", optimizer="muon")
    model, optimizer = optimizer_for(recipe)
    stepped(model, optimizer)
    weights, state = {n: p.detach().clone() for n, p in model.named_parameters()}, optimizer.state_dict()
    copied = torch.load(_through_a_file(state), weights_only=True)
    wanted = stepped(model, optimizer, 3)
    again, fresh = optimizer_for(recipe)
    again.load_state_dict(weights)
    fresh.load_state_dict(copied)
    assert stepped(again, fresh, 3) == wanted
    for group in fresh.param_groups:
        group["lr"] = 0.0
    still = {n: p.detach().clone() for n, p in again.named_parameters()}
    stepped(again, fresh, 1)
    assert all(torch.equal(still[n], p) for n, p in again.named_parameters())


def _through_a_file(state: Any) -> Any:
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


@pytest.mark.slow
def test_betas_and_epsilon_are_the_recipes_or_the_optimizers_own() -> None:
    def group(**settings: Any) -> dict[str, Any]:
        return dict(optimizer_for(asked(**settings))[1].param_groups[0])

    assert group()["betas"] == (0.9, 0.999)
    assert group(beta1=0.8, beta2=0.95, epsilon=1e-6)["betas"] == (0.8, 0.95)
    assert group(epsilon=1e-6)["eps"] == 1e-6
    assert tuple(group(optimizer="lion")["betas"]) == (0.9, 0.99)


def rates(steps: int = 100, **settings: Any) -> list[float]:
    """The learning rate of each step as the run's trainer makes it."""
    from transformers import Trainer

    from ftui.worker.arguments import schedule
    from ftui.worker.trainer import RunTrainer

    class Bare(RunTrainer, Trainer):
        def __init__(self, args: Any) -> None:
            self.args, self.lr_scheduler = args, None
            self.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)

    recipe = asked(warmup=0.1, **settings)
    name, given = schedule(recipe)
    args = SimpleNamespace(
        lr_scheduler_type=name, lr_scheduler_kwargs=given, get_warmup_steps=lambda total: math.ceil(total * 0.1)
    )
    trainer = Bare(args)
    made, found = trainer.create_scheduler(steps), []
    for _ in range(steps):
        found.append(made.get_last_lr()[0] / 0.01)
        trainer.optimizer.step()
        made.step()
    return [*found, made.get_last_lr()[0] / 0.01]


@pytest.mark.slow
def test_schedules_fall_as_they_say() -> None:
    wsd = rates(schedule="wsd", decay_share=0.3, min_rate=0.1)
    assert wsd[10:71] == [1.0] * 61
    assert 0.1 < wsd[85] < 1.0
    assert wsd[100] == pytest.approx(0.1)
    assert rates(schedule="cosine")[100] == pytest.approx(0, abs=1e-9)
    assert rates(schedule="cosine", min_rate=0.2)[100] == pytest.approx(0.2)
    restarts = rates(schedule="restarts", cycles=2)
    assert restarts[54] < 0.02
    assert restarts[55] == pytest.approx(1.0)
    even, early = rates(schedule="polynomial"), rates(schedule="polynomial", power=2.0, min_rate=0.1)
    assert even[55] == pytest.approx(0.5)
    assert early[55] == pytest.approx(0.1 + 0.9 * 0.25)
    root = rates(schedule="inverse_sqrt")
    assert root[40] == pytest.approx(0.5)
    assert all(max(one) == pytest.approx(1.0) for one in (wsd, restarts, even, early, root))


@pytest.mark.slow
def test_a_wsd_that_falls_from_the_warmup_on_is_not_cut() -> None:
    assert rates(schedule="wsd", decay_share=1.0)[100] == pytest.approx(0, abs=1e-9)


def test_the_mean_is_that_of_the_formula_and_gives_the_weights_back_bit_by_bit(tmp_path: Path) -> None:
    from ftui.worker.averages import WeightAverage

    model = torch.nn.Linear(3, 2).to(torch.bfloat16)
    average = WeightAverage(model, 0.5)
    wanted = model.weight.detach().float().clone()
    for update in range(1, 4):
        with torch.no_grad():
            model.weight.add_(0.3)
        average.update()
        decay = min(0.5, (1 + update) / (10 + update))
        wanted = decay * wanted + (1 - decay) * model.weight.detach().float()
    own = model.weight.detach().clone()
    with average.in_place():
        assert torch.equal(model.weight, wanted.to(torch.bfloat16))
        average.save(tmp_path)
    assert torch.equal(model.weight, own)
    other = torch.nn.Linear(3, 2).to(torch.bfloat16)
    resumed = WeightAverage(other, 0.5)
    resumed.load(tmp_path)
    assert torch.equal(other.weight, own)
    for one in (average, resumed):
        one.update()
        one.settle()
    assert torch.equal(model.weight, other.weight)


@pytest.mark.slow
@pytest.mark.xdist_group("worker")
@pytest.mark.parametrize(
    "settings",
    [{"train__ema": 0.5}, {"train__optimizer": "schedule_free", "train__schedule": "constant_with_warmup"},
     {"train__optimizer": "muon"}, {"train__group_by_length": True}],
    ids=lambda settings: next(iter(settings)) + "=" + str(next(iter(settings.values()))),
)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    settings: dict[str, Any], resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any],
    commanded: Callable[..., Any], random_demo: Path,
) -> None:
    if "schedule_free" in settings.values():
        pytest.importorskip("schedulefree")
    recipe = resolved(**settings, data__validation=8)
    whole = work(make(recipe))
    assert whole.code == 0, whole.end
    stopped = work(make(recipe), commanded({4: "stop"}))
    assert stopped.end["status"] == "stopped", stopped.end
    resumed = work(stopped.run)
    assert resumed.end["status"] == "finished", resumed.end
    assert resumed.losses == whole.losses
    assert resumed.end["metrics"]["eval_loss"] == whole.end["metrics"]["eval_loss"]


@pytest.mark.slow
@pytest.mark.xdist_group("worker")
def test_the_mean_is_what_is_evaluated_and_saved(train: Callable[..., Any], random_demo: Path) -> None:
    from safetensors.torch import load_file

    plain = train(data__validation=8)
    averaged = train(data__validation=8, train__ema=0.9)
    assert averaged.losses == plain.losses
    assert averaged.end["metrics"]["eval_loss"] > plain.end["metrics"]["eval_loss"]
    newest = averaged.run.path / "checkpoints" / "checkpoint-6"
    kept = load_file(newest / "average.safetensors")
    saved = load_file(averaged.run.output / "adapter_model.safetensors")
    for name, tensor in saved.items():
        assert torch.equal(kept["mean." + name.replace(".weight", ".default.weight")], tensor), name


def test_rows_of_like_length_share_a_batch_in_the_same_order_each_time() -> None:
    from ftui.worker.grouping import LengthGroups

    lengths = [(37 * index) % 101 for index in range(400)]
    groups = LengthGroups(lengths, 4, 17)
    order = list(groups)
    assert sorted(order) == list(range(400))
    assert order == list(LengthGroups(lengths, 4, 17))
    spread = [max(b) - min(b) for b in ([lengths[i] for i in order[at : at + 4]] for at in range(0, 400, 4))]
    assert sum(spread) / len(spread) < 5
    groups.set_epoch(1)
    assert list(groups) != order


@pytest.mark.slow
@pytest.mark.parametrize("name", ["muon", "schedule_free", "adamw"])
def test_the_trial_step_leaves_no_trace_in_an_optimizer(name: str) -> None:
    from ftui.worker import canary

    if name == "schedule_free":
        pytest.importorskip("schedulefree")

    class Trainer:
        tokens_seen = 0

        def __init__(self) -> None:
            self.model_wrapped, self.optimizer = optimizer_for(asked(optimizer=name, schedule="constant"))
            if hasattr(self.optimizer, "train"):
                self.optimizer.train()

        def longest_batch(self, rows: int) -> tuple[Any, Any]:
            return {"input_ids": torch.arange(10)[None], "labels": torch.arange(10)[None]}, None

        def training_step(self, model: Any, batch: Any, trained: Any) -> None:
            model(**batch).loss.backward()

        def measured(self, mode: str) -> None: ...

    tried, untried = Trainer(), Trainer()
    canary.run(tried, 1, "cpu")
    assert not any(tried.optimizer.state.values())
    assert stepped(tried.model_wrapped, tried.optimizer, 3) == stepped(untried.model_wrapped, untried.optimizer, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"optimizer": "muon"}, {"optimizer": "schedule_free", "schedule": "constant"}, {"optimizer": "ademamix_8bit"},
     {"ema": 0.99}],
    ids=lambda settings: next(iter(settings.values())),
)
def test_a_traced_step_holds_the_states_that_are_planned(settings: dict[str, Any]) -> None:
    import bitsandbytes  # noqa: F401  (a trace puts its own in place of some of its functions)

    from ftui.worker.trace import trace_step

    recipe = asked(**settings)
    traced = trace_step(recipe, {"model_type": "llama", **SIZES}, device="cpu", full=True)
    # A trace counts step counters and quantization maps, too.
    assert traced.peaks.whole.parts["optimizer"] == pytest.approx(planned(recipe), abs=4096)
