"""What the trace pretends of CUDA: attention's kernels, autocast's lists, kernels' buffers, and that nothing stays."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from ftui.worker.trace.attention import is_fused  # noqa: E402
from ftui.worker.trace.autocast import cuda_lists  # noqa: E402
from ftui.worker.trace.fake import World, world  # noqa: E402
from ftui.worker.trace.workspace import cublas_bytes, hidden  # noqa: E402

pytestmark = pytest.mark.torch
AMPERE, TURING = (8, 0), (7, 5)


def heads(count: int, width: int = 64, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(1, count, 16, width, dtype=dtype)


@pytest.mark.parametrize(
    ("query", "key", "masked", "capability", "fused"),
    [
        (heads(8), heads(2), False, AMPERE, True),
        (heads(8, dtype=torch.float32), heads(8, dtype=torch.float32), False, AMPERE, True),
        (heads(8, dtype=torch.float32), heads(2, dtype=torch.float32), False, AMPERE, False),
        (heads(8), heads(2), True, AMPERE, False),
        (heads(8), heads(8), True, AMPERE, True),
        (heads(8), heads(8), False, TURING, False),
        (heads(8, dtype=torch.float16), heads(8, dtype=torch.float16), False, TURING, True),
        (heads(8, 512), heads(2, 512), False, AMPERE, False),
    ],
    ids=["grouped", "float32", "float32 grouped", "masked grouped", "masked", "bfloat16 on a T4", "float16 on a T4",
         "wide"],
)
def test_the_kernel_is_the_one_that_cuda_would_take(
    query: torch.Tensor, key: torch.Tensor, masked: bool, capability: tuple[int, int], fused: bool
) -> None:
    mask = torch.empty(1, 1, 16, 16) if masked else None
    float16 = query.dtype == torch.float16
    assert is_fused(query, key, key, mask, 0.0, capability, float16) is fused


def test_a_layer_norm_gives_float32_under_cudas_autocast_and_not_afterwards() -> None:
    hidden_states, weight = torch.ones(2, 8, dtype=torch.bfloat16), torch.ones(8)

    def norm() -> torch.dtype:
        with torch.autocast("cpu", torch.bfloat16):
            return torch.nn.functional.layer_norm(hidden_states, (8,), weight.bfloat16()).dtype

    before = norm()
    with cuda_lists():
        assert norm() == torch.float32
    assert norm() == before == torch.bfloat16


def test_a_softmax_keeps_the_dtype_that_its_caller_names() -> None:
    scores = torch.ones(2, 8, dtype=torch.bfloat16)
    with cuda_lists(), torch.autocast("cpu", torch.bfloat16):
        assert torch.softmax(scores, -1).dtype == torch.float32
        assert torch.softmax(scores, -1, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_flash_attentions_backward_holds_its_accumulator() -> None:
    operation = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default
    query, key = heads(8), heads(2)
    sizes = hidden(operation, (query, query, key, key, query, None, 0.0, True), {}, ())
    assert sizes == [4 * 8 * 128 * 64, 4 * 8 * 128, 2 * 8 * 16 * 64, 2 * 8 * 16 * 64]


def test_hopper_has_the_larger_workspace() -> None:
    assert cublas_bytes((9, 0)) == 32 << 20
    assert cublas_bytes((8, 9)) == 8_519_680


def test_the_libraries_are_left_as_they_were() -> None:
    from transformers import masking_utils

    from ftui.worker import loss

    def state() -> tuple[object, ...]:
        functional = torch.nn.functional
        return (torch.nn.Module._apply, functional.scaled_dot_product_attention, functional.dropout,
                masking_utils.fast_all, loss.CHUNK_BYTES)  # fmt: skip

    before = state()
    with world(World()):
        assert state() != before
        assert type(torch.empty(2)).__name__ == "FakeTensor"
    assert state() == before
    assert type(torch.empty(2)) is torch.Tensor
