"""Adapters that a training loop can get wrong, through the whole worker: resumed runs go on to the bit, the best
checkpoint is what is saved, AdaLoRA's budget is spent, trained tokens reach a tied head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe

pytestmark = [
    pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker"),
    # Said when the model is asked: relative positions need none.
    pytest.mark.filterwarnings("ignore:Position ids are not supported:UserWarning"),
]

IN_FRONT: dict[str, dict[str, Any]] = {
    "prompt_tuning": {"virtual_tokens": 5, "text": "Answer briefly."},
    "multitask_prompt_tuning": {"virtual_tokens": 5},
    "p_tuning": {"virtual_tokens": 5},
    "prefix_tuning": {"virtual_tokens": 5, "projection": True},
    "cartridge": {"virtual_tokens": 8, "text": "The capital of France is Paris."},
    "cpt": {"virtual_tokens": 12, "prompts": ["What is it?"], "answers": ["A bird."]},
}
OTHERS: dict[str, dict[str, Any]] = {
    "adalora": {"rank": 6, "target_rank": 2}, "poly": {"rank": 4}, "adaption_prompt": {"virtual_tokens": 4},
    "trainable_tokens": {"names": ["<|im_start|>", "<|im_end|>"]},
}


def adapted(resolved: Callable[..., Recipe], kind: str, options: dict[str, Any], **settings: Any) -> Recipe:
    adapter = Recipe.model_validate({"adapter": {"kind": kind, **options}}).adapter
    recipe = resolved().model_copy(update={"adapter": adapter})
    return assign(recipe, {name.replace("__", "."): value for name, value in settings.items()})


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "adapter_model.safetensors"))


@pytest.mark.parametrize("kind", [*IN_FRONT, *OTHERS])
def test_a_resumed_run_of_any_adapter_equals_an_unbroken_one_to_the_bit(
    kind: str, resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any],
    commanded: Callable[..., Any], random_demo: Path,
) -> None:
    recipe = adapted(resolved, kind, {**IN_FRONT, **OTHERS}[kind], train__learning_rate=1e-2)
    whole = work(make(recipe))
    assert whole.end["status"] == "finished", whole.end
    broken = work(make(recipe), commanded({5: RuntimeError("the power went")}))
    assert work(broken.run).end["status"] == "finished", broken.end
    assert broken.losses == whole.losses
    ours, theirs = tensors(broken.run.output), tensors(whole.run.output)
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)


@pytest.mark.parametrize("kind", ["p_tuning", "cpt", "prefix_tuning", "adalora"])
def test_the_best_checkpoint_is_what_is_saved(
    kind: str, resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any], random_demo: Path
) -> None:
    recipe = adapted(
        resolved, kind, {**IN_FRONT, **OTHERS}[kind], train__learning_rate=1.0, train__schedule="constant",
        train__warmup=0.0, train__eval_steps=1, train__max_grad_norm=0.0, train__optimizer="sgd",
    )
    # Downhill for two steps, then uphill.
    def uphill(context: Any) -> None:
        from ftui.worker.jobs import train
        from ftui.worker.objectives.sft import SftTrainer

        def loss(trainer: Any, *args: Any, **kwargs: Any) -> Any:
            found = plain(trainer, *args, **kwargs)
            return -found if trainer.state.global_step >= 2 else found

        plain = SftTrainer.compute_loss
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(SftTrainer, "compute_loss", loss)
            train.run(context)

    ran = work(make(recipe), uphill)
    losses = {event.step: event.data["eval_loss"] for event in ran.of("evaluation")}
    best = min(losses, key=losses.__getitem__)
    assert best != recipe.train.max_steps, "the last step is the best one, which shows nothing"
    kept, saved = tensors(ran.run.checkpoints / f"checkpoint-{best}"), tensors(ran.run.output)
    assert all((kept[name] == saved[name]).all() for name in saved)


@pytest.fixture
def mixture(make: Callable[..., Any], work: Callable[..., Any], random_demo: Path) -> dict[str, Any]:
    """Two finished LoRAs for X-LoRA, apart from each other by their seeds."""
    runs = [work(make(train__max_steps=2, train__seed=seed, adapter__rank=4)) for seed in (1, 2)]
    return {"adapters": [str(ran.run.output) for ran in runs], "depth": 2, "width": 16}


def test_finished_adapters_are_fused_and_the_run_goes_on_where_it_stopped(
    mixture: dict[str, Any], resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any],
    commanded: Callable[..., Any],
) -> None:
    recipe = adapted(resolved, "xlora", mixture, train__learning_rate=1e-2)
    whole = work(make(recipe))
    assert whole.end["status"] == "finished", whole.end
    broken = work(make(recipe), commanded({5: RuntimeError("the power went")}))
    assert work(broken.run).end["status"] == "finished", broken.end
    assert broken.losses == whole.losses
    assert ask(whole.run.output, recipe) is not None
    assert str(whole.run.path) not in (whole.run.output / "adapter_config.json").read_text()


@pytest.mark.parametrize("kind", ["multitask_prompt_tuning", "poly", "cartridge"])
def test_the_lines_in_the_model_card_load_and_ask_the_result(
    kind: str, resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any], random_demo: Path
) -> None:
    recipe = adapted(resolved, kind, {**IN_FRONT, **OTHERS}[kind], train__max_steps=2)
    ran = work(make(recipe))
    assert ask(ran.run.output, recipe) is not None


def ask(output: Path, recipe: Recipe) -> Any:
    """What the model card's own lines generate."""
    from ftui.models import demo
    from ftui.worker.usage import snippet

    found: dict[str, Any] = {}
    lines = snippet(str(output), str(demo.folder()), recipe)
    # peft's X-LoRA adds hooks at every token that it writes.
    exec(lines.replace("max_new_tokens=200", "max_new_tokens=4"), found)
    return found.get("made")


@pytest.mark.parametrize("implementation", ["chunked", "full"])
@pytest.mark.parametrize("kind", [*IN_FRONT, *OTHERS])
def test_the_loss_and_its_gradients_are_those_of_pefts_own_forward_pass(
    kind: str, implementation: str, resolved: Callable[..., Recipe], random_demo: Path
) -> None:
    """Labels and positions included: the rows are padded, and only a part of each is trained."""
    import torch
    from transformers import AutoModelForCausalLM

    from ftui.worker.adapters import BUILDERS
    from ftui.worker.loss import add_loss

    recipe = adapted(resolved, kind, {**IN_FRONT, **OTHERS}[kind])
    model = BUILDERS[kind](AutoModelForCausalLM.from_pretrained(random_demo), recipe)
    model.config.use_cache = False
    drawn = torch.Generator().manual_seed(1)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=drawn))
    ids = torch.randint(3, 200, (2, 12), generator=drawn)
    labels = ids.clone()
    labels[:, :4] = -100
    labels[1, -3:] = -100
    rows = {"input_ids": ids, "labels": labels, "attention_mask": (torch.arange(12) < torch.tensor([[12], [9]])).long()}
    more = {"task_ids": torch.zeros(2, dtype=torch.long)} if kind in ("poly", "multitask_prompt_tuning") else {}
    if kind == "cpt":
        model._cpt_forward = type(model)._cpt_forward.__get__(model)
    model.train()
    torch.manual_seed(2)
    theirs = model(**rows, **more).loss
    expected = torch.autograd.grad(theirs, trained)
    if kind == "cpt":
        model = BUILDERS[kind](AutoModelForCausalLM.from_pretrained(random_demo), recipe)
        model.load_state_dict({**model.state_dict(), **dict(zip(
            [name for name, each in model.named_parameters() if each.requires_grad], trained, strict=True))})
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        model.config.use_cache = False
        model.train()
    add_loss(model.get_base_model(), implementation)
    torch.manual_seed(2)
    output = model(**rows, summed_loss=True)
    ours = output.loss / output.count
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for one, other in zip(torch.autograd.grad(ours, trained), expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6, rtol=1e-4)


def test_adalora_ends_with_the_ranks_that_were_asked_for(
    resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any], random_demo: Path
) -> None:
    recipe = adapted(resolved, "adalora", OTHERS["adalora"], train__max_steps=20, train__learning_rate=1e-2)
    ran = work(make(recipe))
    saved = {name: values for name, values in tensors(ran.run.output).items() if "lora_E" in name}
    left = [int((values != 0).sum()) for values in saved.values()]
    assert sum(left) == 2 * len(saved)
    assert {values.numel() for values in saved.values()} == {6}


def test_trained_tokens_reach_a_tied_head(
    resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any], random_demo: Path
) -> None:
    """The first step's loss and gradients are those of the model's own forward pass."""
    import torch
    from transformers import AutoModelForCausalLM

    from ftui.worker.adapters import BUILDERS
    from ftui.worker.loss import add_loss

    recipe = adapted(resolved, "trainable_tokens", OTHERS["trainable_tokens"])
    model = BUILDERS["trainable_tokens"](AutoModelForCausalLM.from_pretrained(random_demo), recipe)
    [tokens] = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.no_grad():
        tokens.add_(torch.randn_like(tokens))
    ids = torch.randint(0, 9, (2, 8), generator=torch.Generator().manual_seed(0))
    plain = model(input_ids=ids, labels=ids).loss
    [expected] = torch.autograd.grad(plain, tokens)
    add_loss(model.get_base_model())
    output = model(input_ids=ids, labels=ids, summed_loss=True)
    [found] = torch.autograd.grad(output.loss / output.count, tokens)
    assert (output.loss / output.count).item() == pytest.approx(plain.item(), rel=1e-6)
    assert torch.allclose(found, expected, atol=1e-6)
    assert expected.abs().max() > 0
