"""`Tracker`: watches every operation of torch and logs the storages that come and go, of real or of fake tensors.

Each storage is sized once, rounded as the device's allocator rounds, and its end is seen by a weak reference.  So views
cost nothing, whatever made them, and what Python or autograd keeps alive is counted as long as it lives.
"""

from __future__ import annotations

import contextlib
import re
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ftui.worker.trace.log import Event, Log, Work
from ftui.worker.trace.work import work_of

CUDA_ROUNDING = 512
CPU_ROUNDING = 64
LAYER = re.compile(r"\.(\d+)(?:\.|$)")

Answer = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
"""(operation, args, kwargs) -> its result, or NotImplemented to run it."""
Hidden = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], list[int]]
"""(operation, args, kwargs, result) -> sizes of buffers that its kernel holds while it runs."""


class Tracker(TorchDispatchMode):
    """Logs allocations while it is entered (`with tracker:`).

    `rounding` is the allocator's unit in bytes; `hidden` tells the buffers that kernels allocate by themselves;
    `answer` stands in for operations that need values where there are none.  `phase` is set by whoever leads the step;
    within it `follow` makes the tracker tell forward, loss and backward, and the layers, apart.
    """

    def __init__(self, *, rounding: int = CPU_ROUNDING, hidden: Hidden | None = None, answer: Answer | None = None):
        super().__init__()
        self.log = Log()
        self.phase = "setup"
        self.total = self.peak = 0
        self._rounding, self._hidden, self._answer = rounding, hidden, answer
        self._live: dict[int, tuple[int, int]] = {}
        """Address of a storage -> (id, bytes)."""
        self._references: dict[int, weakref.ref[Any]] = {}
        self._owner: dict[int, int | None] = {}
        """Id -> layer of the parameter that it is, or is a gradient or a state of."""
        self._first: dict[int, int] = {}
        """Id -> index of its allocation's event."""
        self._made_for: int | None = None
        self._ids = 0
        self._ignoring = False
        self._layer: int | None = None
        self._path = ""
        self._names: dict[int, str] = {}
        self._decoder: int | None = None
        self._layers_at = ""
        self._layer_count = 0
        # Where the nodes of the autograd graph were made: sequence number from which on -> path.
        self._made_from: list[int] = []
        self._made_in: list[str] = []

    # What is there before the step.

    def adopt(self, tensor: torch.Tensor, part: str, layer: int | None = None) -> None:
        """Count `tensor` as `part`, allocated now if it wasn't seen before; `layer` is the one it belongs to."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._live:
            self._allocate(storage, part, layer, "")
        if (known := self._live.get(storage._cdata)) is not None:
            self.log.parts[known[0]] = part
            self._owner[known[0]] = layer
            first = self._first[known[0]]
            if self.phase == "setup" and self.log.events[first].layer != layer:
                # A step counter's making says nothing of its parameter.
                self.log.events[first] = self.log.events[first]._replace(layer=layer)

    def adopt_model(self, model: torch.nn.Module, *, adapter: bool, part: str = "weights") -> None:
        """Count a model's weights and buffers, in the order in which they are loaded; mark gradients when they come.

        `adapter` says that what trains is an adapter's and not the model's own; `part` is what the rest is counted as.
        """
        was, self.phase = self.phase, "load"
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            trained = tensor.requires_grad
            states, layer = _quantization_states(tensor), self._layer_in(name)
            with self._unquantized(tensor, layer) if states else contextlib.nullcontext():
                for each in (tensor, *states):
                    self.adopt(each, "adapter" if trained and adapter else part, layer)
            if trained:
                self._mark_gradient(tensor, layer)
        self.phase = was

    @contextlib.contextmanager
    def _unquantized(self, packed: torch.Tensor, layer: int | None) -> Iterator[None]:
        """While a weight is quantized its 16-bit original is on the device as well."""
        per_byte = 4 if packed.dtype == torch.uint8 else 2
        id, size = self._new_id("workspace", layer), self._rounded(per_byte * packed.untyped_storage().nbytes())
        self._log(id, size, layer, "quantization")
        yield
        self._log(id, -size, layer, "quantization")

    def adopt_states(self, optimizer: torch.optim.Optimizer) -> None:
        """Count an optimizer's states; step counters are on the host but for fused and capturable optimizers."""
        for group in optimizer.param_groups:
            on_device = bool(group.get("fused") or group.get("capturable"))
            for parameter in group["params"]:
                layer = self.layer_of(parameter)
                for state in optimizer.state.get(parameter, {}).values():
                    if isinstance(state, torch.Tensor):
                        paged = getattr(state, "is_paged", False)
                        host = paged or (state.dim() == 0 and not on_device)
                        self.adopt(state, "host" if host else "optimizer", layer)

    @contextlib.contextmanager
    def ignoring(self) -> Iterator[None]:
        """What is allocated inside isn't memory of the device."""
        was, self._ignoring = self._ignoring, True
        try:
            yield
        finally:
            self._ignoring = was

    # Where in the model.

    def follow(
        self, model: torch.nn.Module, decoder: torch.nn.Module | None, layers: torch.nn.ModuleList | None
    ) -> None:
        """Name the modules of `model` as they work.  `decoder` ends where the loss begins; `layers` are inside it."""
        strip = "base_model.model." if hasattr(model, "peft_config") else ""
        for name, module in model.named_modules():
            self._names[id(module)] = name.removeprefix(strip)
            if module is layers:
                self.log.layers_at = self._layers_at = f"{name.removeprefix(strip)}."
                self._layer_count = len(layers)
            if module is decoder:
                self._decoder = id(module)

    @contextlib.contextmanager
    def watching(self) -> Iterator[Tracker]:
        """Enter the tracker with hooks on the modules' forwards."""
        before = torch.nn.modules.module.register_module_forward_pre_hook(self._enter)
        after = torch.nn.modules.module.register_module_forward_hook(self._leave)
        try:
            with self:
                yield self
        finally:
            before.remove()
            after.remove()

    def _enter(self, module: torch.nn.Module, args: Any) -> None:
        name = self._names.get(id(module))
        if name is None:
            return
        if id(module) == self._decoder and self.phase == "loss forward":
            self.phase = "forward"
        self._go(name)

    def _leave(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        name = self._names.get(id(module))
        if name is None:
            return
        self._go(name.rpartition(".")[0])
        if id(module) == self._decoder and self.phase == "forward":
            self.phase, self._layer = "loss forward", None

    def _go(self, path: str) -> None:
        self._path = path
        self._made_from.append(torch.autograd._get_sequence_nr())
        self._made_in.append(path)
        self._settle(path)

    def _settle(self, path: str) -> None:
        """The layer at work: that of `path`; between two layers still the earlier one."""
        layer = self._layer_in(path)
        if layer is not None:
            self._layer = layer
        elif self._layer is not None and not self._between(path):
            self._layer = None

    def _between(self, path: str) -> bool:
        """Whether `path` is what stands between two layers' work: the list of layers or what loops over it."""
        return self._layers_at.startswith(f"{path}.") or not path

    def _layer_in(self, path: str) -> int | None:
        at = path.find(self._layers_at) if self._layers_at else -1
        if at < 0:
            return None
        found = LAYER.match(f".{path[at + len(self._layers_at) :]}")
        return int(found[1]) if found else None

    def _look_back(self) -> None:
        """While gradients flow: where the node that runs now was made."""
        if torch.is_grad_enabled():
            # A checkpointed layer computes its forward again: the modules' hooks say where.
            return
        node = torch._C._current_autograd_node()
        number = node._sequence_nr() if node is not None else None
        if number is None or number >= 1 << 62:
            return
        place = bisect_right(self._made_from, number) - 1
        self._path = self._made_in[place] if place >= 0 else ""
        layer = self._layer_in(self._path)
        if layer is not None:
            self._layer = layer
            self.phase = (
                "last layer backward" if layer == self._layer_count - 1 and self._layer_count
                else "first layer backward" if layer == 0 else "layers backward"
            )
        elif self.phase in ("first layer backward", "layers backward") and "embed" in self._path:
            self._layer, self.phase = None, "embedding backward"

    # Operations.

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return func(*args, **kwargs)
        if any(kind.__name__ == "DTensor" for kind in types):
            # Its local operations come here by themselves.
            return NotImplemented
        going_back = self.phase.endswith("backward")
        if going_back:
            self._look_back()
        result = NotImplemented if self._answer is None else self._answer(func, args, kwargs)
        if result is NotImplemented:
            result = func(*args, **kwargs)
        if self._ignoring:
            return result
        made = [tensor for tensor in tree_leaves(result) if isinstance(tensor, torch.Tensor)]
        owners = self._owners(args, made) if self.phase in ("setup", "optimizer step") else None
        label = f"{self._path} {func.name().partition('::')[2].partition('.')[0]}"
        for index, tensor in enumerate(made):
            storage = _storage(tensor)
            if storage is None or self._is_known(storage):
                continue
            layer = owners[index] if owners else self._layer
            self._allocate(storage, self._part(func), layer, label)
        if self._hidden is not None:
            for size in self._hidden(func, args, kwargs, result):
                self._touch(size, owners[0] if owners else self._layer, label)
        if (spent := work_of(func, args, kwargs, made)) is not None:
            self._spent(spent, owners[0] if owners else self._layer)
        return result

    def keep(self, size: int, part: str, where: str) -> None:
        """Log an allocation of `size` bytes that stays to the end, such as a library's workspace."""
        self._log(self._new_id(part, None), self._rounded(size), None, where)

    def _touch(self, size: int, layer: int | None, where: str) -> None:
        """A buffer that a kernel allocates and gives back."""
        if rounded := self._rounded(size):
            id = self._new_id("workspace", layer)
            self._log(id, rounded, layer, where)
            self._log(id, -rounded, layer, where)

    def _spent(self, spent: Work, layer: int | None) -> None:
        self.log.work[self.phase, layer].add(spent)

    def _part(self, func: Any) -> str:
        if self.phase in ("setup", "optimizer step") or "dequantize" in func.name():
            return "workspace"
        return "logits" if self.phase.startswith("loss") else "activations"

    def _owners(self, args: Any, made: list[torch.Tensor]) -> list[int | None]:
        """In the optimizer's step: for each result the layer of the parameter it is about."""
        for argument in args:
            if isinstance(argument, (list, tuple)) and argument and isinstance(argument[0], torch.Tensor):
                found = [self.layer_of(tensor) for tensor in argument]
                self._made_for = None if self.phase == "optimizer step" else self._made_for
                return found if len(found) == len(made) else [None] * max(1, len(made))
        owner = next((o for a in args if isinstance(a, torch.Tensor) and (o := self.layer_of(a)) is not None), None)
        if owner is None and self.phase == "setup":
            # The states that are being made belong to nobody yet; the optimizer goes from parameter to parameter.
            owner = self._made_for
        if owner is not None or self.phase == "setup":
            self._made_for = owner
        return [owner] * max(1, len(made))

    def layer_of(self, tensor: torch.Tensor) -> int | None:
        """The layer of the parameter that `tensor` is, or is a gradient or a state of."""
        storage = _storage(tensor)
        known = self._live.get(storage._cdata) if storage is not None else None
        return self._owner.get(known[0]) if known else None

    # The log.

    def _is_known(self, storage: Any) -> bool:
        known = self._live.get(storage._cdata)
        if known is None:
            return storage.nbytes() == 0
        id, size = known
        if size != (now := self._rounded(storage.nbytes())):
            # Sharded training frees and grows unsharded parameters by resizing their storage.
            layer = self._owner.get(id)
            self._log(id, -size, layer, self._path)
            grown = self._new_id(self.log.parts[id], layer)
            self._live[storage._cdata] = (grown, now)
            self._log(grown, now, layer, self._path)
        return True

    def _allocate(self, storage: Any, part: str, layer: int | None, where: str) -> None:
        size = self._rounded(storage.nbytes())
        if size == 0:
            return
        address, id = storage._cdata, self._new_id(part, layer)
        self._live[address] = (id, size)
        self._references[address] = weakref.ref(storage, lambda _: self._free(address))
        self._log(id, size, layer, where)

    def _free(self, address: int) -> None:
        id, size = self._live.pop(address)
        del self._references[address]
        self._log(id, -size, self._layer_of_end(id), self._path)

    def _layer_of_end(self, id: int) -> int | None:
        """Which layer lets the tensor go: the one at work, unless what is let go was another layer's business."""
        home, now = self._owner.get(id), self._layer
        scratch = self.phase == "optimizer step" == self.log.events[self._first[id]].phase
        if scratch and home is not None and self._made_for == home + 1:
            # What an optimizer has made for one parameter it lets go when it has the next one's.
            return self._made_for
        if home is None or now is None or self.phase in ("setup", "optimizer step"):
            return now if home is None and self.phase not in ("setup", "optimizer step") else home
        late = now < home and not self.log.events[self._first[id]].phase.endswith("backward")
        return home if late or abs(now - home) > 1 else now

    def _new_id(self, part: str, layer: int | None) -> int:
        self._ids += 1
        self.log.parts[self._ids] = part
        self._owner[self._ids] = layer
        self._first[self._ids] = len(self.log.events)
        return self._ids

    def _log(self, id: int, size: int, layer: int | None, where: str) -> None:
        self.log.events.append(Event(id, size, self.phase, layer, where))
        if self.log.parts[id] != "host":
            self.total += size
            self.peak = max(self.peak, self.total)

    def _rounded(self, size: int) -> int:
        return -(-size // self._rounding) * self._rounding

    def _mark_gradient(self, parameter: torch.Tensor, layer: int | None) -> None:
        def mark(trained: torch.Tensor) -> None:
            if trained.grad is not None:
                self.adopt(trained.grad, "gradients", layer)

        parameter.register_post_accumulate_grad_hook(mark)


def _storage(tensor: torch.Tensor) -> Any:
    """The storage of `tensor`; None for kinds of tensors without one."""
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return None


def _quantization_states(parameter: torch.Tensor) -> list[torch.Tensor]:
    """The scales that bitsandbytes keeps beside a quantized weight."""
    state = getattr(parameter, "quant_state", None)
    found = [getattr(parameter, name, None) for name in ("SCB",)]
    if state is not None:
        nested = getattr(state, "state2", None)
        found += [state.absmax, state.code, getattr(state, "offset", None)]
        found += [nested.absmax, nested.code] if nested is not None else []
    return [tensor for tensor in found if isinstance(tensor, torch.Tensor)]
