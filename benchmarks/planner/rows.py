"""From a row of published measurements to what a user would write: a recipe, a machine, and a config.json.

`asked(row)` gives a `Row`, or a sentence that says why the row can't be stated.  What a row leaves open is taken from
its project's own code at the commit that it names (see `ftui/planner/stack.py` for the sources), never from the figure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from models import Config, config

from ftui.hardware.document import Cpu, Gpu, Hardware, Ram

GIB = 1 << 30
Kind = Literal["allocated", "reserved", "process"]


@dataclass(frozen=True)
class Row:
    """`settings` are the recipe's, dotted; `measured` is in bytes and of the given kind."""

    project: str
    name: str
    settings: dict[str, Any]
    config: Config
    hardware: Hardware
    kind: Kind
    measured: float
    parameters: float
    labels: tuple[str, ...] = ()
    doubts: tuple[str, ...] = field(default=())
    """What the row leaves open, or what its recipe states otherwise than it was."""


# What each project's own code does where its rows do not say.
PEFT: dict[str, Any] = {
    "train.trainer": "transformers", "train.loss": "full", "train.optimizer": "adamw", "model.attention": "sdpa",
    "compute.stack": "peft-comparison-2026-07", "compute.allocator": "native",
    "data.padding": "longest",
}
SWIFT: dict[str, Any] = {
    "train.trainer": "transformers", "train.loss": "full", "train.optimizer": "adamw",
    "compute.stack": "ms-swift-2024-01", "compute.allocator": "native", "data.padding": "longest",
}
AXOLOTL: dict[str, Any] = {"train.trainer": "transformers", "compute.allocator": "expandable"}
TORCHTUNE: dict[str, Any] = {
    "train.trainer": "transformers", "train.loss": "full", "train.optimizer": "adamw", "model.attention": "sdpa",
    "compute.stack": "torchtune-2024", "compute.allocator": "native", "adapter.dtype": "bfloat16",
    "data.padding": "max_length",
}
FACTORY: dict[str, Any] = {
    "train.trainer": "transformers", "train.loss": "full", "train.optimizer": "adamw", "train.checkpointing": True,
    # Pre-training on rows cut to one length; trainable parameters are made float32 (hiyouga/LLaMA-Factory,
    # src/llmtuner/model/adapter.py); upcast_layernorm is off by default.
    "compute.stack": "2024-01", "compute.allocator": "native", "data.packing": True, "data.padding": "max_length",
    "adapter.dtype": "float32",
}
WITHOUT_FLASH = {"chatglm3-6b": "sdpa", "baichuan2-7b": "sdpa", "baichuan2-13b": "eager"}
"""Models for which ms-swift 1.5 ignores use_flash_attn; their own code has torch's attention, or ALiBi's scores."""

QUANTIZED_EXPERTS = (
    "gemma4/26b-a4b-moe", "glm45/glm-45-air", "glm47-flash/", "mistral4/qlora", "nemotron-h/120b",
    "nemotron-h/nano-30b", "qwen3-next/qwen3-next-80b-a3b-qlora", "qwen3.5/122b-a10b-moe", "qwen3.5/35b-a3b-moe",
)
"""Axolotl's examples that say quantize_moe_experts: true."""

WHEN_MEASURED: dict[str, dict[str, Any]] = {
    "magistral/magistral-small-qlora": {"train.loss": "full"},  # eac4a61: without cut cross-entropy yet
    "LiquidAI/lfm2-vl-lora": {"train.loss": "full"},  # 130ef7c: the same
    "LiquidAI/lfm2-350m-fft": {"train.loss": "full", "compute.stack": "axolotl-chunked-2025"},  # 130ef7c: chunked
    "qwen3.5/27b-qlora": {"compute.stack": "2026-03"},  # c119382: transformers 5.3
}
"""What Axolotl's examples and requirements said at the commit that wrote the figure, where that has changed since."""

EXPERIMENTS: dict[str, dict[str, Any]] = {
    "adalora": {"rank": 64}, "deft--llama-3.2-3B-rank32-para": {"para": True},
    "fourierft--llama-3.2-3B-default": {"frequencies": 1000},
    "fourierft--llama-3.2-3B-n_frequency-5000": {"frequencies": 5000},
    "frod--llama-3.2-3B-default": {"sparse_rate": 0.01}, "frod": {"sparse_rate": 0.02},
    "gralora": {"blocks": 2}, "lily": {"stride": 14, "shared": 2},
    "lokr": {"factor": 4}, "miss--llama-3.2-3B-bat": {"variant": "bat"},
    "miss--llama-3.2-3B-mini": {"variant": "mini", "mini_rank": 64},
    "boft": {"block_size": 4}, "c3a": {"block_size": 64}, "oft": {"block_size": 32},
    "prefix_tuning": {"virtual_tokens": 200}, "prompt_tuning": {"virtual_tokens": 200},
    "p_tuning": {"virtual_tokens": 20, "encoder_width": 3072},
    "adaption_prompt": {"virtual_tokens": 100, "top_layers": 28}, "trainable_tokens": {"tokens": 2},
    "road": {"variant": "road_2", "group_size": 64},
    "tinylora": {"length": 64}, "unilora": {"length": 256}, "vblora": {"vectors": 256, "vector_length": 256},
    "waveft": {"frequencies": 5000},
}
"""Adapter options of PEFT's experiments, by experiment's name or kind (method_comparison/MetaMathQA/experiments)."""

OPTIMIZERS = {
    "adamw": "adamw", "adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw (opt in bwd)": "",
    "adamw8bit (opt in bwd)": "", "adamw_bnb_8bit": "adamw_8bit", "adamw_8bit": "adamw_8bit",
    "adamw_torch_8bit": "adamw_8bit", "adamw_torch_4bit": "adamw_8bit", "pagedadamw": "paged_adamw",
}
ATTENTION = {"flash": "flash_attention_2", "flash2": "flash_attention_2", "flash_attention_2": "flash_attention_2",
             "kernels-community/vllm-flash-attn3": "flash_attention_2", "no-flash": "eager", "sdpa": "sdpa",
             "eager": "eager", "eager(HF)": "eager", "default": "sdpa"}
QUANTIZED = {"none": "none", "nf4": "nf4", "bnb4": "nf4", "int8": "int8"}
LORA = {"lora": {}, "qlora": {}, "rslora": {"rslora": True}, "dora": {"dora": True}, "lora+": {}, "lora+neftune": {}}
CAPABILITY = (("t4", (7, 5)), ("v100", (7, 0)), ("a100", (8, 0)), ("a6000", (8, 6)), ("a10", (8, 6)), ("l40", (8, 9)),
              ("4090", (8, 9)), ("l4", (8, 9)), ("h100", (9, 0)), ("h200", (9, 0)), ("b200", (10, 0)))


def asked(row: dict[str, str]) -> Row | str:
    """What a user would ask for to plan the run that the row measured."""
    notes, project = row["notes"], _project(row["source"])
    if "kind=measured;" not in notes or "SUSPECT" in notes or not _number(row["peak_gb"]):
        return "not a measurement of a run"
    sharing = _sharing(row, project)
    if isinstance(sharing, str):
        return sharing
    if project not in PROJECTS:
        return f"no recipe for {project}'s rows"
    if "only part unfrozen" in notes:
        return "partly frozen"
    if row["quant"] not in QUANTIZED:
        return f"no such quantization in ftui ({row['quant']})"
    if "(unsloth)" in row["method"]:
        return "Unsloth's own kernels"
    found = config(row["model"])
    if found is None:
        return f"no config for {row['model']}"
    if not row["seq_len"] or not row["micro_batch"]:
        return "no length or micro-batch stated"
    adapter = _adapter(row, project)
    if isinstance(adapter, str):
        return adapter
    optimizer = OPTIMIZERS.get(row["optimizer"].lower(), "adamw") or "sgd"
    rows = int(row["micro_batch"])
    settings: dict[str, Any] = {
        "model.dtype": "bfloat16", "model.quantization": QUANTIZED[row["quant"]],
        "data.max_length": int(row["seq_len"]), "data.packing": _packed(notes),
        "train.micro_batch": rows, "train.effective_batch": rows,
        "train.checkpointing": not row["grad_ckpt"].startswith("False"),
        "train.activation_offload": "offload" in row["grad_ckpt"], "train.optimizer": optimizer,
        **PROJECTS[project], **adapter, **sharing,
    }
    if row["attention"]:
        settings["model.attention"] = ATTENTION.get(row["attention"], "sdpa")
    _own_ways(row, project, settings)
    doubts = [] if row["grad_ckpt"] else ["checkpointing is not stated"]
    if "audio_config" in found or found["model_type"] == "lfm2_vl":
        doubts.append("the tower beside the text model is not counted")
    if "sample_packing=False" in notes and rows == 1:
        doubts.append("how long the rows really were is not stated")
    if "opt in bwd" in row["optimizer"]:
        doubts.append("the optimizer's steps are taken inside the backward pass")
    if "unpacked" in notes:
        doubts.append("unpacked rows, far shorter than the length")
    if "low-memory" in notes or "compile" in notes:
        doubts.append("compiled, or with settings that the row does not name")
    settings["train.effective_batch"] *= _devices(row)
    return Row(
        project, _name(row), settings, found, _machine(row), _kind(row, project),
        float(row["peak_gb"]) * (GIB if "GiB" in notes or "table prints MB" in notes else 1e9),
        float(row["params_b"]) * 1e9, (project, f"{project} {row['method']} {row['quant']}"), tuple(doubts),
    )


def _own_ways(row: dict[str, str], project: str, settings: dict[str, Any]) -> None:
    """What depends on the row besides, as the project's code has it."""
    notes, quantized, tuned = row["notes"], row["quant"] != "none", row["method"] != "full"
    rows = settings["train.micro_batch"]
    match project:
        case "ms-swift":
            settings["train.effective_batch"] = 16 * rows
            name = row["model"].lower()
            settings["model.attention"] = WITHOUT_FLASH.get(name, settings["model.attention"])
            if tuned and settings["adapter.kind"] == "lora":
                # peft 0.7 gives a new adapter its base layer's format, which 4-bit layers do not have.
                settings["adapter.dtype"] = "float32" if quantized else "bfloat16"
                settings["adapter.dropout"] = 0.05
        case "axolotl":
            if any(f"examples/{name}" in row["source"] for name in QUANTIZED_EXPERTS):
                settings["compute.stack"] = "axolotl-experts-2026-07"
            settings["train.loss"] = "cut" if "CutCrossEntropy" in notes else "full"
            settings["train.effective_batch"] = 4 * rows
            if tuned and settings["adapter.kind"] == "lora":
                settings["adapter.dtype"], settings["adapter.dropout"] = "float32", 0.05
            settings |= next((then for name, then in WHEN_MEASURED.items() if f"examples/{name}" in row["source"]), {})
        case "LLaMA-Factory":
            settings["train.effective_batch"] = rows * int(found[1] if (found := re.search(r"GA(\d)", notes)) else 1)
        case "torchtune":
            if "chunked CE" in notes or "+activation" in notes or "+optimizer" in notes or "8-bit" in notes:
                settings["train.loss"] = "chunked"
            if not tuned:
                settings.pop("adapter.dtype", None)


def _sharing(row: dict[str, str], project: str) -> dict[str, Any] | str:
    """How several cards share the work; figures that sum over them are of another way (layers in turn)."""
    notes, said = row["notes"], f"{row['notes']} {row['source']}"
    if _devices(row) == 1:
        return {}
    found = next((kind for word, kind in (("ZeRO-3", "zero3"), ("ZeRO-2", "zero2"), ("fsdp", "fsdp"), ("FSDP", "fsdp"))
                  if word in said), "fsdp" if project == "torchtune" else None)
    if found is None or "total of" in notes:
        return "several cards, whose way of sharing is not stated"
    offload = "all" if re.search(r"CPU offload|fsdp2-offload", said) and "without CPU" not in said else "none"
    return {"compute.gpus": _devices(row), "compute.strategy": found, "compute.offload": offload}


def _adapter(row: dict[str, str], project: str) -> dict[str, Any] | str:
    """The recipe's adapter section, dotted."""
    method, notes = row["method"], row["notes"]
    if method == "full":
        return {"adapter.kind": "none"}
    experiment = found[1] if (found := re.search(r"experiment (\S+)", notes)) else ""
    if method in LORA:
        options: dict[str, Any] = {"kind": "lora", "rank": int(float(row["rank"] or 8)), "alpha": 16, "dropout": 0.0}
        return _dotted({**options, "targets": _targets(row["target_modules"]), **LORA[method]})
    from ftui.methods import ADAPTERS

    if method not in ADAPTERS:
        return f"no such method in ftui ({method})"
    options = {"kind": method}
    known = ADAPTERS[method].options.model_fields
    if "rank" in known and _number(row["rank"]):
        options["rank"] = int(float(row["rank"]))
    if "targets" in known and row["target_modules"] not in ("", "None"):
        options["targets"] = _targets(row["target_modules"])
    given = EXPERIMENTS.get(experiment, EXPERIMENTS.get(method, {}))
    return _dotted({**options, **{name: value for name, value in given.items() if name in known}})


def _dotted(options: dict[str, Any]) -> dict[str, Any]:
    return {f"adapter.{name}": value for name, value in options.items()}


def _targets(text: str) -> str | list[str]:
    """Module names as ftui's models have them; a pattern is its last part's alternatives."""
    low = text.lower()
    if not low or low in ("all", "all-linear"):
        return "all-linear"
    if "c_attn" in low or "default qkv" in low:
        return ["q_proj", "k_proj", "v_proj"]
    if "(" in text:
        return [f"{stem}_proj" for stem in re.findall(r"[a-z]+", text.rsplit("(", 1)[1].split(")")[0])]
    return [name.strip().rsplit(".", 1)[-1] for name in re.split(r"[,/ ]+", text) if name.strip()]


def _packed(notes: str) -> bool:
    # torchtune's table adds one setting a row: what stands behind the first one is packed.
    words = r"sample_packing=True|(?<!un)packed dataset|packing$|\+(packed|compile|chunked|activation|optimizer|8-bit)"
    return re.search(words, notes) is not None


def _project(source: str) -> str:
    first = source.split()[0]
    if first == "huggingface/peft" and "docs accelerate" in source:
        return "peft-docs"
    known = {"huggingface/peft": "peft", "modelscope/ms-swift": "ms-swift"}
    return known.get(first, first)


def _devices(row: dict[str, str]) -> int:
    found = re.match(r"(\d+)x", row["gpu"])
    return int(found[1]) if found else 1


def _kind(row: dict[str, str], project: str) -> Kind:
    notes = row["notes"]
    if "active" in notes or "allocated" in notes:
        return "allocated"
    # LLaMA-Factory logs no memory: its rounded gigabytes are what the driver shows.
    driver = "nvidia-smi" in notes or "process" in notes or project == "LLaMA-Factory"
    return "process" if driver else "reserved"


def _machine(row: dict[str, str]) -> Hardware:
    """A card with the row's name; what is free on it is taken to be all, or plenty where its size is not stated."""
    size = found[1] if (found := re.search(r"(\d+)\s*GB", row["gpu"])) else "48" if "L40S" in row["gpu"] else "1000"
    total = int(size) * GIB
    low = row["gpu"].lower()
    capability = next((found for word, found in CAPABILITY if word in low), (8, 0))
    cards = tuple(
        Gpu(index=index, name=row["gpu"] or "a card", total_bytes=total, used_bytes=0, free_bytes=total,
            compute_capability=capability)
        for index in range(_devices(row))
    )
    return Hardware(
        host="published", system="Linux", time=0.0, gpus=cards,
        ram=Ram(total_bytes=1000 * GIB, available_bytes=1000 * GIB),
        cpu=Cpu(name="cpu", cores=16, host_cores=16, architecture="x86_64"),
    )


def _name(row: dict[str, str]) -> str:
    checkpointing = {"True": "checkpointed", "False": "kept"}.get(row["grad_ckpt"], row["grad_ckpt"])
    rank = f" r{row['rank']}" if row["rank"] else ""
    return (f"{row['model'].rsplit('/', 1)[-1][:28]} {row['method']} {row['quant']}{rank} "
            f"{row['micro_batch']}×{row['seq_len']} {checkpointing} {row['attention']}").strip()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


DOCS: dict[str, Any] = {
    "train.trainer": "trl", "train.loss": "full", "train.optimizer": "adamw", "model.attention": "flash_attention_2",
    "compute.stack": "2024-01", "compute.allocator": "native", "data.packing": True, "data.padding": "max_length",
    "adapter.dtype": "bfloat16",
}
PROJECTS = {"peft": PEFT, "peft-docs": DOCS, "ms-swift": SWIFT, "axolotl": AXOLOTL, "torchtune": TORCHTUNE,
            "LLaMA-Factory": FACTORY}
