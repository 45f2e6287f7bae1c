"""Tables of library versions: which there are, what a recipe may name, and what the installed ones are held against."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ftui import installed
from ftui.errors import BadInput
from ftui.hardware.document import Cpu, Gpu, Hardware, Ram
from ftui.planner.memory import memory, moments
from ftui.planner.setup import Setup, setup_of
from ftui.planner.stack import CURRENT, EARLY_2024, PEFT_COMPARISON, STACKS, Stack, stack_named
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.units import GiB

SETTINGS: dict[str, Any] = {
    "model.quantization": "none", "model.dtype": "bfloat16", "model.attention": "sdpa", "data.max_length": 1024,
    "data.packing": False, "adapter.rank": 8, "adapter.alpha": 16, "adapter.dropout": 0.0, "train.micro_batch": 2,
    "train.effective_batch": 2, "train.checkpointing": True, "train.optimizer": "adamw", "train.loss": "full",
}


def box(free: int = 80) -> Hardware:
    card = Gpu(index=0, name="A100", total_bytes=80 * GiB, used_bytes=(80 - free) * GiB, free_bytes=free * GiB,
               compute_capability=(8, 0))
    return Hardware(
        host="box", system="Linux", time=0.0, gpus=(card,), ram=Ram(total_bytes=64 * GiB, available_bytes=64 * GiB),
        cpu=Cpu(name="cpu", cores=8, host_cores=8, architecture="x86_64"),
    )


@pytest.fixture
def planned(shapes: dict[str, Any]) -> Any:
    def build(free: int = 80, **settings: Any) -> Setup:
        given = {name.replace("__", "."): value for name, value in settings.items()}
        adapter = {"adapter": {"kind": "none"}} if given.get("adapter.kind") == "none" else {}
        base = Recipe.model_validate(adapter)
        wanted = {k: v for k, v in {**SETTINGS, **given}.items() if not (adapter and k.startswith("adapter."))}
        return setup_of(assign(base, wanted), box(free), shapes["llama3-8b"], None)

    return build


def test_current_is_the_newest_table_and_each_says_where_it_was_read() -> None:
    assert stack_named("current") is CURRENT is next(iter(STACKS.values()))
    for name, stack in STACKS.items():
        assert stack_named(name) is stack
        assert len(stack.source) > 40
        assert stack.versions


def test_an_unknown_stack_names_those_that_there_are() -> None:
    with pytest.raises(BadInput) as error:
        stack_named("2019")
    assert "2019" in error.value.what
    assert all(name in (error.value.hint or "") for name in STACKS)


def test_a_recipe_names_its_stack(planned: Any) -> None:
    assert planned(compute__stack="2024-01").stack is EARLY_2024
    with pytest.raises(BadInput):
        planned(compute__stack="nope")


def test_without_autocast_peft_casts_each_adapters_input(planned: Any) -> None:
    plain = planned(train__checkpointing=False)
    cast = planned(train__checkpointing=False, compute__stack=PEFT_COMPARISON.name)
    assert (plain.autocast, cast.autocast) == (True, False)
    assert memory(cast).allocated_bytes > memory(plain).allocated_bytes


def test_logits_that_the_loop_holds_are_there_all_the_way_back(planned: Any) -> None:
    setup = planned()
    held = replace(setup, stack=replace(CURRENT, logits_held=2.0))
    extra = 2 * setup.tokens * setup.geometry.vocab
    before = {moment.phase: moment.activations for moment in moments(setup)}
    for moment in moments(held):
        if moment.phase not in ("load", "optimizer step", "saving"):
            assert moment.activations - before[moment.phase] == pytest.approx(extra), moment.phase


def test_float32_logits_and_their_shifted_copy_are_the_early_stacks(planned: Any) -> None:
    new, old = memory(planned()), memory(planned(compute__stack="2024-01"))
    assert old.parts.logits >= new.parts.logits


def test_early_bitsandbytes_keeps_the_inputs_that_hooks_do_not_reach(planned: Any) -> None:
    kept, sizes = {}, planned().geometry
    for name in ("2024-01", "ms-swift-2024-01"):
        setup = planned(model__quantization="nf4", compute__stack=name)
        kept[name] = {moment.phase: moment.activations for moment in moments(setup)}
    inputs = 2 * setup.tokens * sizes.layers * (2 * sizes.hidden + sizes.query + sizes.mlp)
    for phase in ("loss forward", "first layer backward"):
        assert kept["ms-swift-2024-01"][phase] - kept["2024-01"][phase] == pytest.approx(inputs, rel=0.01), phase
    plain = [planned(compute__stack=name) for name in ("2024-01", "ms-swift-2024-01")]
    assert memory(plain[0]).parts == memory(plain[1]).parts, "16-bit products save their inputs as autograd would"


def test_early_transformers_5_holds_the_whole_base_in_16_bits_while_it_quantizes_it(planned: Any) -> None:
    setup = planned(model__quantization="nf4", compute__stack="2026-03")
    estimate = memory(setup)
    assert estimate.phase == "load"
    assert 0 < estimate.allocated_bytes - 2 * setup.geometry.parameters < 0.02 * estimate.allocated_bytes
    assert memory(planned(model__quantization="nf4")).phase != "load"
    plain = [memory(planned(compute__stack=name)).parts for name in ("2026-03", "current")]
    assert plain[0] == plain[1], "16-bit weights arrive as they stay"


def test_a_cache_that_is_emptied_does_not_grow_with_mixed_widths(planned: Any) -> None:
    setup = planned(compute__stack=PEFT_COMPARISON.name, compute__allocator="native")
    assert not setup.varied
    assert planned(compute__allocator="native").varied


def test_the_interval_is_wide_where_loops_were_only_read_and_rows_not_seen(planned: Any) -> None:
    def width(setup: Setup) -> tuple[float, float]:
        found = memory(setup)
        return found.process_bytes - found.low_bytes, found.high_bytes - found.process_bytes

    own = planned(data__padding="max_length")
    for other in ({"train__trainer": "transformers"}, {"compute__stack": "2024-01"}):
        read = planned(data__padding="max_length", **other)
        assert all(wide > 1.5 * narrow for wide, narrow in zip(width(read), width(own), strict=True)), other
    unseen = replace(own, unseen=True)
    assert planned().unseen
    assert not own.unseen
    assert width(unseen)[0] > 1.5 * width(own)[0]
    assert width(unseen)[1] == width(own)[1], "rows are never wider than max_length, so no verdict changes"


def test_the_settings_of_a_measurement_arrive_in_the_setup(planned: Any) -> None:
    found = planned(
        model__quantization="nf4", model__upcast="all", model__double_quantization=False, adapter__dtype="float32",
        data__padding="free", train__loss="cut", train__trainer="transformers", train__activation_offload=True,
        train__optimizer="paged_lion_8bit", compute__allocator="native",
    )
    assert (found.upcast, found.double_quantization, found.adapter_bytes, found.padding) == ("all", False, 4, "free")
    assert (found.loss, found.trainer, found.activation_offload) == ("cut", "transformers", True)
    assert (found.optimizer, found.expandable) == ("paged_lion_8bit", False)
    assert planned(model__upcast="all").upcast == "none", "there is nothing to upcast beside a 16-bit base"


@pytest.mark.parametrize(
    ("quantization", "trainer", "wanted"),
    [("none", "ftui", 4), ("nf4", "ftui", 2), ("nf4", "trl", 2), ("nf4", "transformers", 4), ("int8", "ftui", 2)],
)
def test_an_adapter_has_its_trainers_format(planned: Any, quantization: str, trainer: str, wanted: int) -> None:
    assert planned(model__quantization=quantization, train__trainer=trainer).adapter_bytes == wanted
    assert planned(model__quantization=quantization, adapter__dtype="bfloat16").adapter_bytes == 2


def test_rows_are_as_wide_as_their_padding_makes_them(planned: Any) -> None:
    longest, free = planned(data__max_length=1001), planned(data__max_length=1001, data__padding="free")
    assert (longest.length, longest.padded, longest.varied) == (1008, True, True)
    assert (free.length, free.padded) == (1001, True)
    whole = planned(data__max_length=1001, data__padding="max_length")
    assert (whole.length, whole.varied) == (1008, False)
    packed = planned(data__packing=True)
    assert (packed.length, packed.padded, packed.varied) == (1024, True, True)
    assert not planned(data__packing=True, data__padding="max_length").varied


def test_mixed_widths_cost_the_native_allocator_and_never_the_verdict(planned: Any) -> None:
    grown, native = planned(), planned(compute__allocator="native")
    alike = planned(compute__allocator="native", data__padding="max_length")
    assert memory(native).reserved_bytes > 1.05 * memory(alike).reserved_bytes
    assert memory(alike).reserved_bytes == pytest.approx(memory(grown).reserved_bytes, rel=0.1)
    tight = memory(alike).process_bytes / GiB
    small = memory(planned(free=int(tight) + 5, compute__allocator="native"))
    assert small.process_bytes <= small.high_bytes <= planned(free=int(tight) + 5).room, "what is cached is given back"


def test_logits_of_mixed_widths_cost_more_than_layers_tensors(planned: Any) -> None:
    def cached(setup: Setup) -> float:
        alike = replace(setup, varied=False)
        return (memory(setup).reserved_bytes - memory(alike).reserved_bytes) / (
            memory(alike).parts.activations + memory(alike).parts.logits
        )

    full = planned(compute__allocator="native")
    kept = planned(compute__allocator="native", train__checkpointing=False, train__loss="chunked")
    assert cached(full) > 3 * cached(kept) > 0


def test_the_other_versions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Stack("t", "s", {"torch": "2.13", "peft": "0.21", "trl": "1.16"})
    versions = {"torch": "2.13.0+cpu", "peft": "0.19.1", "trl": None}
    monkeypatch.setattr(installed, "installed", versions.get)
    said = installed.unlike(table)
    assert said is not None
    assert "peft 0.19.1 (table: 0.21)" in said
    assert "torch" not in said.split("installed:")[1].split(".")[0]
    assert "trl" not in said
    monkeypatch.setattr(installed, "installed", {"torch": "2.13.1", "peft": "0.21.2"}.get)
    assert installed.unlike(table) is None


def test_a_missing_library_has_no_version() -> None:
    assert installed.installed("no-such-distribution-anywhere") is None
    assert installed.installed("pydantic")


def test_offloaded_activations_leave_the_card(planned: Any) -> None:
    for checkpointing in (True, False):
        here = planned(train__checkpointing=checkpointing, train__loss="chunked", data__max_length=8192)
        away = replace(here, activation_offload=True)
        before, after = (
            {moment.phase: moment.activations for moment in moments(setup)} for setup in (here, away)
        )
        assert after["loss forward"] < before["loss forward"] / 2
        assert after["last layer backward"] < before["last layer backward"]
        assert after["first layer backward"] == before["first layer backward"]
    short = planned(data__max_length=8)
    assert memory(replace(short, activation_offload=True)).allocated_bytes <= memory(short).allocated_bytes
