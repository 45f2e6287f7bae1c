"""The result folder: loads with plain peft and transformers, and says where it came from."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from ftui.data import Prepared
from ftui.methods import ADAPTERS, OBJECTIVES, LoraOptions
from ftui.paths import METADATA
from ftui.recipe import write
from ftui.recipe.document import Recipe
from ftui.runs.document import RunInfo
from ftui.runs.folder import versions
from ftui.units import plain
from ftui.worker.adapters.lora_result import make_plain
from ftui.worker.anchor import save as keep_importance
from ftui.worker.checkpoints import aside
from ftui.worker.pictures import keep_processor
from ftui.worker.reference import COPY
from ftui.worker.usage import snippet


def save(
    target: Path, trainer: Any, tokenizer: Any, recipe: Recipe, info: RunInfo, prepared: Prepared, found: Path, *,
    base: str, licence: str | None, metrics: dict[str, Any], start: Path,
) -> None:
    """Write adapter or model, tokenizer, model card and metadata into `target`, complete or not at all.

    `found` is the folder of the base model, `base` what the adapter calls it: a hub id, or an absolute folder; `start`
    is where an adapter's start was kept, if it was.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    is_adapter = hasattr(model, "peft_config")
    with aside(target) as folder:
        if is_adapter:
            for config in model.peft_config.values():
                config.base_model_name_or_path = base
                config.revision = recipe.model.revision
            # "auto" would ask the hub for the base's configuration to see whether the vocabulary has grown.
            names = [name for name in model.peft_config if name != COPY]
            model.save_pretrained(str(folder), save_embedding_layers=False, selected_adapters=names)
            if isinstance(recipe.adapter, LoraOptions):
                make_plain(folder, recipe.adapter, start)
        else:
            model.config.use_cache = True
            model.save_pretrained(str(folder))
        trainer.keep_beside(folder)
        if trainer.importance is not None:
            keep_importance(trainer.importance, folder)
        tokenizer.save_pretrained(str(folder))
        if prepared.pictured:
            keep_processor(found, folder)
        metadata: dict[str, Any] = {
            "run": info.id,
            "created": info.created,
            "command": info.command,
            "base": {"model": base, "revision": recipe.model.revision},
            "recipe": write(recipe),
            "data": [version.as_dict() for version in prepared.versions],
            "rows": {"train": prepared.train_rows, "validation": prepared.validation_rows},
            **({"tasks": list(prepared.tasks)} if hasattr(recipe.adapter, "tasks") and prepared.tasks else {}),
            **({"labels": list(prepared.labels), "multi_label": prepared.multi_label} if prepared.labels else {}),
            "metrics": metrics,
            "versions": versions(),
            "python": platform.python_version(),
        }
        (folder / METADATA).write_text(json.dumps(metadata, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        card = model_card(recipe, base, licence, metrics, metadata["versions"], prepared, is_adapter)
        (folder / "README.md").write_text(card, encoding="utf-8")


def _data_table(prepared: Prepared) -> str:
    """What it was trained on, so that the same can be found again."""
    rows = [
        f"| `{plain(Path(version.ref).name if Path(version.ref).is_absolute() else version.ref)}` | {version.rows:,} | "
        f"{version.revision or ''} | {version.sha256 or ''} |"
        for version in prepared.versions
    ]
    return "\n".join(["| data | rows | revision | sha256 |", "|---|---:|---|---|", *rows]) + "\n\n"


def _in_a_sentence(title: str) -> str:
    """A method's title with a small first letter, where it isn't a name with capitals of its own."""
    word = title.partition(" ")[0]
    return title[0].lower() + title[1:] if word[1:].islower() else title


def model_card(
    recipe: Recipe, base: str, licence: str | None, metrics: dict[str, Any], used: dict[str, str],
    prepared: Prepared, is_adapter: bool,
) -> str:
    """README.md with the front matter that the hub reads; a base that is only a folder here is named in the text."""
    objective, row = OBJECTIVES[recipe.objective.kind], ADAPTERS[recipe.adapter.kind]
    task = "text-classification" if objective.head == "scores" else (
        "image-text-to-text" if prepared.pictured else "text-generation")
    front = ["library_name: " + ("peft" if is_adapter else "transformers"), f"pipeline_tag: {task}"]
    if not Path(base).is_absolute():
        front.append(f"base_model: {base}")
    if licence:
        front.append(f"license: {licence}")
    front.append(f"tags: [ftui, {objective.kind}" + ("]" if row.kind == "none" else f", {row.kind}]"))
    numbers = "\n".join(f"| {name} | {value:.4f} |" for name, value in metrics.items() if isinstance(value, float))
    what = f"An adapter ({row.title}) for `{base}`," if is_adapter else f"`{base}` after {_in_a_sentence(row.title)},"
    use = snippet(
        ".", base, recipe, prepared.labels, multi=prepared.multi_label, pictured=prepared.pictured, tasks=prepared.tasks
    )
    return (
        "---\n" + "\n".join(front) + "\n---\n\n"
        f"# {recipe.name}\n\n{what} trained with ftui by {objective.inline} on "
        f"{prepared.train_rows:,} rows.\n\n{_data_table(prepared)}"
        f"| | |\n|---|---|\n{numbers}\n\n## Use\n\n```python\n{use}```\n\n"
        f"## Settings\n\n```yaml\n{write(recipe)}```\n\n"
        + ", ".join(f"{name} {version}" for name, version in used.items()) + "\n"
    )


