"""CUDA's autocast for tensors that say they are on the CPU: what CUDA computes in float32 and the CPU doesn't.

The list is `AT_FORALL_FP32` and `AT_FORALL_FP32_SET_OPT_DTYPE` in torch's ATen/autocast_mode.h, as far as language
models use it.  Layer norms are the ones that matter: their output becomes float32.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator
from typing import Any

import torch

FLOAT32 = ("layer_norm", "group_norm", "pow.Tensor_Scalar", "pow.Tensor_Tensor", "exp", "log", "rsqrt", "reciprocal",
           "softplus", "cosine_similarity", "nll_loss", "kl_div")
BY_DTYPE = ("softmax.int", "log_softmax.int", "sum", "sum.dim_IntList", "cumsum", "prod")
"""These return float32 unless the caller names a dtype."""
HALF = (torch.bfloat16, torch.float16)


@contextlib.contextmanager
def cuda_lists() -> Iterator[None]:
    """Inside, autocast on the CPU promotes what autocast on CUDA does."""
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        # It says that an earlier kernel is overridden, as it shall.
        warnings.simplefilter("ignore", UserWarning)
        for name in FLOAT32:
            library.impl(name, functools.partial(_in_float32, _overload(name)), "AutocastCPU")
        for name in BY_DTYPE:
            library.impl(name, functools.partial(_by_dtype, _overload(name)), "AutocastCPU")
    try:
        yield
    finally:
        library._destroy()


def _overload(name: str) -> Any:
    base, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, base), overload or "default")


def _in_float32(operation: Any, *args: Any, **kwargs: Any) -> Any:
    with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)):
        return operation(*(_float32(value) for value in args), **{name: _float32(v) for name, v in kwargs.items()})


def _by_dtype(operation: Any, first: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)):
        named = kwargs.get("dtype") is not None or any(isinstance(value, torch.dtype) for value in args)
        if not named and first.dtype in HALF:
            kwargs["dtype"] = torch.float32
        return operation(first, *args, **kwargs)


def _float32(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.dtype in HALF else value
