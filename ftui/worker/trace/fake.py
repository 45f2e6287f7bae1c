"""The training libraries on fake tensors: shapes and storages without numbers, laid out as on a CUDA device.

Fake tensors say that they are on the CPU, since a torch built for CPUs can't run autograd for a CUDA device it doesn't
have.  So wherever a library takes another way on CUDA, `world` leads it there: attention's kernels, autocast's lists,
Triton's tiles, bitsandbytes' products and paged states, the chunk size of ftui's own loss.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ftui.worker.trace.attention import cuda_attention, fused_softmax
from ftui.worker.trace.autocast import cuda_lists
from ftui.worker.trace.liger import liger
from ftui.worker.trace.workspace import Capability

if TYPE_CHECKING:
    from ftui.worker.trace.tracker import Tracker

aten = torch.ops.aten
PAGED_MINIMUM = 100_000
"""Smaller optimizer states aren't paged (`Optimizer8bit.get_state_buffer`)."""


@dataclass
class World:
    """What the pretended device is, and the data that the fake tensors stand for."""

    device: str = "cuda"
    capability: Capability = (8, 0)
    float16: bool = False
    """The 16-bit tensors, bfloat16 in the trace since a CPU can't train in float16, stand for float16 ones."""
    padded: bool = False
    """Some rows of the micro-batch are shorter than it is wide, so that attention needs a mask."""
    trained_share: float = 1.0
    """Share of the tokens that the loss is taken on."""
    tracker: Tracker | None = None
    """Leaves out what is allocated on the host."""

    @property
    def cuda(self) -> bool:
        return self.device == "cuda"


@contextlib.contextmanager
def world(here: World) -> Iterator[World]:
    """Everything inside happens on fake tensors; the libraries are as before afterwards."""
    with contextlib.ExitStack() as stack:
        _patch(stack, nn.Module, "_apply", _apply)
        _transformers(stack, here)
        if here.cuda:
            _cuda(stack, here)
        if sys.modules.get("bitsandbytes") is not None:
            from bitsandbytes import functional

            # It is made of numbers, which fake tensors don't have.
            _patch(stack, functional, "create_dynamic_map", lambda *args, **kwargs: torch.empty(256))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield here


def _patch(stack: contextlib.ExitStack, owner: Any, name: str, value: Any) -> None:
    before = getattr(owner, name)
    setattr(owner, name, value)
    stack.callback(setattr, owner, name, before)


def _transformers(stack: contextlib.ExitStack, here: World) -> None:
    from transformers import masking_utils
    from transformers.utils import import_utils

    # transformers takes fake tensors for a graph being traced, and would build every mask and repeat every key.
    _patch(stack, import_utils, "is_fake_tensor", lambda _: False)
    _patch(stack, masking_utils, "fast_all", lambda mask: not here.padded)

    def packed_indices(position_ids: torch.Tensor) -> torch.Tensor | None:
        # What transformers computes; it would ask the values whether there is more than one row.
        before = position_ids[:, :1] - 1
        numbers = (torch.diff(position_ids, prepend=before, dim=-1) != 1).cumsum(-1)
        return numbers if here.padded else None

    _patch(stack, masking_utils, "find_packed_sequence_indices", packed_indices)


def _cuda(stack: contextlib.ExitStack, here: World) -> None:
    from ftui.worker import loss

    _patch(stack, loss, "CHUNK_BYTES", dict.fromkeys(loss.CHUNK_BYTES, loss.CHUNK_BYTES["cuda"]))
    _patch(stack, loss, "_liger", liger)
    functional = nn.functional
    _patch(stack, functional, "scaled_dot_product_attention",
           cuda_attention(functional.scaled_dot_product_attention, here.capability, here.float16))  # fmt: skip
    _patch(stack, functional, "dropout", dropout)
    if here.float16:
        _patch(stack, functional, "softmax", fused_softmax(functional.softmax))
    stack.enter_context(cuda_lists())
    if "trl" in sys.modules:
        _triton(stack)
    if sys.modules.get("bitsandbytes") is not None:
        _bitsandbytes(stack, here)


def dropout(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """CUDA's fused one, with a mask of one byte per element (`is_fused_kernel_acceptable`, ATen/native/Dropout.cpp)."""
    if not training or p == 0.0:
        return input
    found: torch.Tensor = torch.native_dropout(input, p, True)[0]
    return found


def _triton(stack: contextlib.ExitStack) -> None:
    """trl's fused head: on CUDA Triton folds each tile of logits in place, and products are added without copies."""
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    class Kernel:
        def __getitem__(self, grid: Any) -> Any:
            return lambda *args, **kwargs: None

    def addmm(accumulator: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> None:
        accumulator.mul_(1.0)

    class Triton:
        @staticmethod
        def cdiv(value: int, step: int) -> int:
            return -(-value // step)

    for name in ("_forward_kernel", "_backward_kernel"):
        _patch(stack, chunked_logprob, name, Kernel())
    for module in (chunked_logprob, utils):
        _patch(stack, module, "_use_triton", lambda device: True)
    _patch(stack, chunked_logprob, "_addmm_fp32", addmm)
    if distillation := sys.modules.get("trl.trainer.distillation_trainer"):
        from trl.kernels import chunked_divergence

        for module in (chunked_divergence, distillation):
            _patch(stack, module, "_use_triton", lambda device: True)
        for name in ("_stats_kernel", "_jsd_kernel", "_backward_kernel"):
            _patch(stack, chunked_divergence, name, Kernel())
        _patch(stack, chunked_divergence, "_project", lambda tile, *_: tile.mul_(1.0))
        _patch(stack, chunked_divergence, "_addmm_fp32", lambda accumulator, *_: accumulator.mul_(1.0))
        _lend(stack, chunked_divergence, "triton", Triton)
    for name in ("orpo", "cpo"):
        if trainer := sys.modules.get(f"trl.experimental.{name}.{name}_trainer"):
            _patch(stack, trainer, "selective_log_softmax", lambda logits, ids, *_, **__: Selected.apply(logits, ids))
    _lend(stack, chunked_logprob, "triton", Triton)


def _lend(stack: contextlib.ExitStack, owner: Any, name: str, value: Any) -> None:
    """Give `owner` what it lacks."""
    if not hasattr(owner, name):
        setattr(owner, name, value)
        stack.callback(delattr, owner, name)


class Selected(torch.autograd.Function):
    """`trl.kernels.logprob_entropy`: keeps the logits and three numbers per token, and makes one gradient."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        found = torch.empty(logits.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(logits, index, torch.empty_like(found), torch.empty_like(found))
        return found

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return torch.empty_like(ctx.saved_tensors[0], memory_format=torch.contiguous_format), None


def _bitsandbytes(stack: contextlib.ExitStack, here: World) -> None:
    import bitsandbytes
    from bitsandbytes.autograd import _functions
    from bitsandbytes.optim import optimizer

    def matmul(a: Any, b: Any, out: Any = None, state: Any = None, threshold: float = 0.0, bias: Any = None) -> Any:
        state = state or _functions.MatmulLtState()
        if threshold > 0.0:
            state.threshold = threshold
        return _functions.MatMul8bitLt.apply(a, b, out, bias, state)

    _patch(stack, bitsandbytes, "matmul", matmul)

    def state_buffer(self: Any, p: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        if not self.is_paged or p.numel() < PAGED_MINIMUM:
            return torch.zeros_like(p, dtype=dtype, device=p.device)
        # Unified memory: the driver moves it to the device and away, the allocator knows nothing of it.
        with here.tracker.ignoring() if here.tracker else contextlib.nullcontext():
            buffer = torch.zeros_like(p, dtype=dtype, device=p.device)
        buffer.is_paged = True  # type: ignore[attr-defined]
        return buffer

    _patch(stack, optimizer.Optimizer8bit, "get_state_buffer", state_buffer)
    _patch(stack, optimizer.Optimizer8bit, "prefetch_state", lambda self, p: None)
    _patch(stack, optimizer, "sync_gpu", lambda tensor: None)
    speaker = logging.getLogger(_functions.__name__)
    stack.callback(speaker.setLevel, speaker.level)
    speaker.setLevel(logging.ERROR)


def _apply(self: nn.Module, fn: Any, recurse: bool = True) -> nn.Module:
    """`nn.Module._apply` for fake tensors: torch's swaps tensors in place, which these don't allow."""
    for child in self.children() if recurse else ():
        child._apply(fn)
    for name, parameter in self._parameters.items():
        if parameter is None:
            continue
        with torch.no_grad():
            changed = fn(parameter)
        if changed is parameter or (changed.dtype == parameter.dtype and changed.device == parameter.device):
            continue
        self._parameters[name] = nn.Parameter(changed, parameter.requires_grad)
    for name, buffer in self._buffers.items():
        if buffer is not None:
            self._buffers[name] = fn(buffer)
    return self


def answer(here: World) -> Any:
    """What stands in for operations whose result depends on values: every token is real, `trained_share` are trained,
    nothing is an outlier, and every condition holds.
    """

    def given(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func is aten._local_scalar_dense.default:
            kind = args[0].dtype
            return True if kind == torch.bool else 1.0 if kind.is_floating_point else 1
        if func is aten.nonzero.default:
            return torch.empty(_chosen(args[0], here), args[0].dim(), dtype=torch.long, device=args[0].device)
        if func is aten.index.Tensor and any(_is_mask(index) for index in args[1]):
            return func(args[0], _as_numbers(args[1], here))
        if func is aten.masked_select.default:
            return args[0].new_empty(round(prod(args[0].shape) * here.trained_share))
        if func is aten.equal.default:
            return True
        if func.name() == "bitsandbytes::int8_vectorwise_quant":
            matrix = args[0]
            rows = torch.empty(prod(matrix.shape[:-1]), dtype=torch.float32, device=matrix.device)
            none = torch.empty(0, dtype=torch.long, device=matrix.device)
            return torch.empty_like(matrix, dtype=torch.int8), rows, none
        if func.name() == "bitsandbytes::int8_mixed_scaled_mm":
            first, second = args[0], args[2]
            return first.new_empty(*args[1].shape[:-1], second.shape[0]), first.new_empty(0)
        return NotImplemented

    return given


def _is_mask(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)


def _chosen(mask: torch.Tensor, here: World) -> int:
    return round(mask.numel() * here.trained_share)


def _as_numbers(indices: Any, here: World) -> list[Any]:
    """The same choice by numbers: one index per dimension of each mask."""
    numbers: list[Any] = []
    for index in indices:
        if _is_mask(index):
            many = _chosen(index, here)
            numbers += [torch.empty(many, dtype=torch.long, device=index.device) for _ in range(index.dim())]
        else:
            numbers.append(index)
    return numbers
