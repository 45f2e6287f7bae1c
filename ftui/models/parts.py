"""What decoder layers are made of: linear maps, norms, tables and packed experts, each with its tensors."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class Part:
    """One module of a layer: its path, its tensors as (suffix, shape), and its linear map (inputs, outputs) if any.

    `experts` > 0 marks a packed tensor of that many linear maps.
    """

    path: str
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    linear: tuple[int, int] | None = None
    experts: int = 0

    @property
    def elements(self) -> int:
        """How many parameters the part has."""
        return sum(prod(shape) for _, shape in self.tensors)


Parts = tuple[Part, ...]


def linear(path: str, inputs: int, outputs: int, bias: bool = False) -> Part:
    """A torch.nn.Linear, whose weight is (outputs, inputs)."""
    return Part(path, ((".weight", (outputs, inputs)), *_bias(bias, outputs)), (inputs, outputs))


def conv1d(path: str, inputs: int, outputs: int) -> Part:
    """GPT-2's Conv1D: a linear map whose weight is (inputs, outputs), always with bias."""
    return Part(path, ((".weight", (inputs, outputs)), *_bias(True, outputs)), (inputs, outputs))


def norm(path: str, width: int, bias: bool = False) -> Part:
    """A normalisation with a learned scale, and a learned shift where `bias`."""
    return Part(path, ((".weight", (width,)), *_bias(bias, width)))


def matrix(path: str, rows: int, columns: int) -> Part:
    """A parameter that is no linear module to peft or bitsandbytes: an embedding table, an expert router."""
    return Part(path, ((".weight", (rows, columns)),))


def tensor(path: str, *shape: int) -> Part:
    """A bare parameter under its own name."""
    return Part(path, (("", shape),))


def depthwise(path: str, width: int, kernel: int, bias: bool = False) -> Part:
    """A convolution along the tokens, each channel by itself."""
    return Part(path, ((".weight", (width, 1, kernel)), *_bias(bias, width)))


def packed(path: str, experts: int, inputs: int, outputs: int, *, turned: bool = False, bias: bool = False) -> Part:
    """All experts' weights of one kind in one 3-D parameter, as transformers 5 keeps them.

    `turned`: stored as (experts, inputs, outputs); `bias`: with a vector for each expert beside it.
    """
    shape = (experts, inputs, outputs) if turned else (experts, outputs, inputs)
    more = (("_bias", (experts, outputs)),) if bias else ()
    return Part(path, (("", shape), *more), (inputs, outputs), experts)


def _bias(bias: bool, width: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return ((".bias", (width,)),) if bias else ()
