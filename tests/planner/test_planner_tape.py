"""The tape: autograd's bookkeeping by hand, and layers whose kept tensors were listed from the libraries' code."""

from __future__ import annotations

from typing import Any

import pytest

from ftui.models.document import ModelShape
from ftui.planner.activations import Kind, layers_of
from ftui.planner.geometry import chosen, geometry
from ftui.planner.setup import Setup, number_formats
from ftui.planner.tape import Storage, Tape, Value, highest

TOKEN, FIXED = 1 + 0j, 1j


def given(size: complex, needs: bool = True) -> Value:
    return Value(size, 2, needs)


def test_what_two_operations_save_is_kept_once() -> None:
    tape, x = Tape(), given(4 * TOKEN)
    y = tape.op((x,), 2 * TOKEN, 2, (x,))
    tape.add(y, tape.op((x,), 2 * TOKEN, 2, (x,)))
    assert tape.kept() == 4


def test_nothing_is_saved_where_no_gradient_flows() -> None:
    tape, x = Tape(), given(4 * TOKEN, needs=False)
    assert not tape.op((x,), 2 * TOKEN, 2, (x,)).needs
    assert tape.kept() == 0


def test_a_backward_pass_holds_incoming_saved_and_outgoing_at_once_and_then_only_the_last() -> None:
    tape, x = Tape(), given(8 * TOKEN)
    points = tape.backward(tape.op((x,), 2 * TOKEN, 2, (x,), work=FIXED))
    assert max((point.held for point in points), key=abs) == 2 + 8 + 8 + 1j
    assert points[-1] == (8, 0)


def test_a_second_gradient_is_added_out_of_place() -> None:
    tape, x = Tape(), given(8 * TOKEN)
    left, right = tape.op((x,), 2 * TOKEN, 2), tape.op((x,), 2 * TOKEN, 2)
    assert max(point.held.real for point in tape.backward(tape.add(left, right))) == 3 * 8
    # The sum hands its own gradient to both sides: while the second is made, the first one's and it are there.


def test_a_trained_weights_gradient_stays_unless_one_is_there_already() -> None:
    tape, x = Tape(), given(4 * TOKEN)
    weight = Value(6 * FIXED, 2, True, leaf=True, storage=Storage(6 * FIXED, outside=True))
    points = tape.backward(tape.op((x, weight), 2 * TOKEN, 2, (x, weight)))
    assert points[1] == (2 + 4 + 4 + 6j, 0)
    assert points[-1] == (4, 6j)


def test_a_checkpoints_second_pass_ends_before_the_operation_that_saves_last() -> None:
    tape, x = Tape(), given(0j)
    middle = tape.op((x,), 4 * TOKEN, 2)
    tape.op((tape.op((middle,), 16 * TOKEN, 2, (middle,)),), 2 * TOKEN, 2)
    assert max(point.real for point in tape.forward(x, stops=True)) == 4
    assert max(point.real for point in tape.forward(x)) == 4 + 16 + 2


def test_only_points_that_can_be_the_highest_are_left() -> None:
    assert highest([1 + 1j, 2 + 0j, 2 + 1j, 0 + 5j, 1 + 4j, 1 + 1j]) == (2 + 1j, 1 + 4j, 0 + 5j)


@pytest.fixture(scope="module")
def kept(shapes: dict[str, ModelShape]) -> Any:
    def find(method: str, **more: Any) -> tuple[float, Setup]:
        sizes = geometry(shapes["llama3-8b"])
        setup = Setup(**{  # type: ignore[arg-type]
            "geometry": sizes, "method": method, "device": "cuda", "rows": 1, "length": 2048, "padded": False,
            "checkpointing": False, "attention": "sdpa", "optimizer": "adamw", "rank": 0 if method == "full" else 16,
            "quantization": "nf4" if method == "qlora" else "none",
            "targets": () if method == "full" else chosen(sizes, "all-linear"),
            **number_formats(method, "cuda", "bfloat16"), **more,  # type: ignore[arg-type]
        })
        (kind,) = layers_of(setup)
        assert isinstance(kind, Kind)
        return kind.parts.layer.kept.real, setup

    return find


@pytest.mark.parametrize(("method", "more", "hidden", "query"), [
    ("full", {"autocast": False}, 16, 0),  # two norms' float32 inputs and results, the inputs of attention and MLP
    ("qlora", {}, 12, 0),  # one 16-bit input for all adapters behind a norm
    ("lora", {}, 18, 2),  # float32 adapters under autocast: a 16-bit copy for each module
    ("lora", {"autocast": False}, 28, 4),  # and without it a float32 one
])
def test_a_llama_layer_keeps_what_its_code_saves(kept: Any, method: str, more: Any, hidden: int, query: int) -> None:
    found, setup = kept(method, **more)
    sizes = setup.geometry
    core = 4 * sizes.query + 4 * sizes.key + 4 * sizes.heads
    cast = method == "lora" and not setup.autocast
    middles = 0 if method == "full" else 7 * 16 * (4 if cast else 2)
    roots = 2 * 4
    mlp = (10 if cast else 8) * sizes.mlp
    assert found == hidden * sizes.hidden + query * sizes.query + core + mlp + middles + roots


def test_dropout_on_cuda_keeps_a_mask_of_a_byte_and_a_copy_for_each_adapter(kept: Any) -> None:
    plain, setup = kept("lora")
    dropped, _ = kept("lora", dropout=True)
    assert dropped - plain == sum(target.inputs for target in setup.targets)


def test_a_mask_costs_a_number_per_pair_and_repeated_keys_and_values(kept: Any) -> None:
    plain, setup = kept("qlora")
    masked, _ = kept("qlora", padded=True)
    repeated = 2 * 2 * (setup.geometry.query - setup.geometry.key)
    assert masked - plain == 2 * setup.length + repeated
