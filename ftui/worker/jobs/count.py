"""The `count` job: build a model's real class without weights (on the meta device) and count what it has.

For families that `ftui.models.families` has no row for.  The result stands in `output/count.json` and is kept by
config, so that the next `describe()` of any model with the same shapes is exact.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.errors import BadInput
from ftui.files import write_atomic
from ftui.models import counts
from ftui.models.config import language
from ftui.models.counts import Counted
from ftui.models.document import Linear
from ftui.models.lookup import config_of
from ftui.models.own_code import needed
from ftui.units import count as said
from ftui.worker.context import JobContext
from ftui.worker.own_code import admit

if TYPE_CHECKING:
    import torch

ELSEWHERE = re.compile(r"vision|visual|audio|image|multi_modal|mm_")
"""Parts around a language model whose linear maps are no LoRA targets of a text run."""


def run(context: JobContext) -> None:
    """Count the model `args["ref"]` at `args["revision"]`."""
    ref, revision = str(context.info.args["ref"]), context.info.args.get("revision")
    context.emit("status", state="running", text=f"Counting {ref}.")
    config = config_of(ref, revision)
    if needed(config):
        admit(ref, revision, None)
    counted = count(config)
    counts.write(config, counted)
    write_atomic(context.output / "count.json", json.dumps({"ref": ref, **counted.as_dict()}, indent=2), mode=0o644)
    context.finish(
        f"{ref} has {said(counted.parameters)} parameters ({counted.parameters:,}).",
        metrics={"parameters": counted.parameters},
    )


def count(config: dict[str, Any]) -> Counted:
    """What the causal language model class of `config` has; BadInput where transformers has none."""
    import transformers

    model = build(config)
    table = model.get_input_embeddings().weight
    head = model.get_output_embeddings()
    return Counted(
        architecture=type(model).__name__, parameters=sum(each.numel() for each in model.parameters()),
        embedding_parameters=table.numel(), tied_embeddings=head is None or head.weight is table,
        linears=linears(model, head), transformers=transformers.__version__,
    )


def build(config: dict[str, Any]) -> Any:
    """The transformers model of `config` without weights; a multimodal one's language model where that has a class."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    read = language(config)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        try:
            whole = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            with torch.device("meta"):
                try:
                    return AutoModelForCausalLM.from_config(
                        whole.get_text_config(decoder=True), trust_remote_code=False
                    )
                except ValueError:
                    return AutoModelForCausalLM.from_config(whole, trust_remote_code=False)
        except (ValueError, TypeError, KeyError, AttributeError, OSError, RuntimeError) as error:
            own = " It needs code of its own: ftui models code shows it." if needed(config) else ""
            raise BadInput(
                f"transformers has no causal language model for the model type {read.model_type!r} as configured.{own}",
                f"A newer transformers may: pip install -U transformers. It said: {str(error).splitlines()[0][:160]}",
            ) from error


def linears(model: Any, head: torch.nn.Module | None) -> tuple[Linear, ...]:
    """The linear modules inside numbered layers, and packed experts, grouped by path and shape."""
    import torch
    from transformers.pytorch_utils import Conv1D

    groups: dict[tuple[str, int, int, bool, bool], list[tuple[str, int]]] = {}

    def note(name: str, shape: Sequence[int], bias: bool, experts: int = 0) -> None:
        inputs, outputs = shape
        if (layer := re.search(r"\.(\d+)\.", name)) and not ELSEWHERE.search(name):
            general = re.sub(r"\.\d+(?=\.|$)", ".#", name)
            groups.setdefault((general, inputs, outputs, bias, experts > 0), []).append((layer[1], experts or 1))

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            note(name, (module.in_features, module.out_features), module.bias is not None)
        elif isinstance(module, Conv1D):
            note(name, module.weight.shape, True)
    hidden = model.get_input_embeddings().weight.shape[1]
    for name, parameter in model.named_parameters():
        if parameter.dim() == 3 and "expert" in name:
            # Some families store (experts, outputs, inputs), some the other way round: the hidden side tells.
            down = re.search(r"down|w2|output", name) is not None
            straight = parameter.shape[1 if down else 2] == hidden
            shape = (parameter.shape[2], parameter.shape[1])
            note(name, shape if straight else shape[::-1], False, parameter.shape[0])
    return tuple(
        Linear(
            name=general.removesuffix(".#").rsplit(".", 1)[-1], inputs=inputs, outputs=outputs, bias=bias,
            count=(total := sum(each for _, each in members)), per_layer=total // len({layer for layer, _ in members}),
            packed=packed,
        )
        for (general, inputs, outputs, bias, packed), members in groups.items()
    )
