"""The `extend` job: a base model with tokens that it lacks, as a folder of its own, which all else takes as any base.

`args` of run.json: `ref` and `revision` (the base), `tokens`, `template` (a name of ftui's, or None), `end` (the token
with which an answer ends, or None for the base's), `out` (the new folder).
"""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from ftui.data.template import choose_template
from ftui.data.tokenizer import Tokenizer, load_tokenizer
from ftui.errors import BadInput
from ftui.models import describe
from ftui.models.config import read_json
from ftui.models.document import ModelShape
from ftui.models.extended import KEY
from ftui.models.fetch import Stopped
from ftui.models.headers import INDEX
from ftui.paths import METADATA
from ftui.runs.folder import versions
from ftui.worker.base import folder_of
from ftui.worker.checkpoints import aside
from ftui.worker.context import JobContext
from ftui.worker.extending import Growth, copied_beside, extend_config, extend_file, growth, weight_files


def run(context: JobContext) -> None:
    """Write the extended model to `out`, complete or not at all."""
    args, out = context.info.args, Path(context.info.args["out"])
    if out.exists():
        raise BadInput(f"{out} is there already.", "Move it away, or extend the model into another folder.")
    folder = folder_of(context, args["ref"], args["revision"])
    if folder is None:
        context.finish("Stopped before the base model was here; nothing was extended.")
        return
    shape, before = describe(str(folder)), load_tokenizer(folder)
    tokens = [token for token in args["tokens"] if not before.is_single(token)]
    if not tokens:
        raise BadInput(f"{args['ref']} has all of these tokens already.", "Train on it as it is.")
    grows = growth(shape.vocab, before.vocab, [before.encode(token) for token in tokens])
    context.emit("status", state="running", text=f"Adding {len(tokens)} tokens to {args['ref']}.")
    try:
        with aside(out) as making:
            _check(args["ref"], _write_weights(context, folder, making, grows, shape.hidden), shape)
            _write_beside(folder, making, grows, _tokenizer(before, tokens, args), tokens, args)
    except Stopped:
        context.finish("Stopped; nothing was extended.", hint=f"Begin again with: ftui runs resume {context.info.id}")
        return
    listed = json.dumps(tokens, ensure_ascii=False)
    context.finish(
        f"{len(tokens)} tokens added: the embedding has {grows.after:,} rows, and had {grows.before:,}.",
        metrics={"rows": grows.after, "added": len(tokens)}, output=out,
        hint=f"Train on it with --model {shlex.quote(str(out))}; LoRA trains their rows by itself (adapter.tokens: "
             f"{listed}).",
    )  # fmt: skip


def _write_weights(context: JobContext, folder: Path, making: Path, grows: Growth, hidden: int) -> list[str]:
    """All weight files, and the names of what has more rows now; raises Stopped between two of them."""
    files, grown = weight_files(folder), []
    sizes = [path.stat().st_size for path in files]
    for number, path in enumerate(files):
        if context.stop_asked:
            raise Stopped
        context.progress(f"Writing {path.name}", sum(sizes[:number]), sum(sizes), unit="byte")
        grown += extend_file(path, making / path.name, grows, hidden)
    return grown


def _tokenizer(before: Tokenizer, tokens: list[str], args: dict[str, Any]) -> Tokenizer:
    """The base's tokenizer with the new tokens, and with the template that is asked for."""
    whole = before.with_tokens(tokens, end=args["end"])
    template = args["template"]
    return whole.with_tokens((), template=choose_template(template, whole).source) if template else whole


def _check(ref: str, grown: list[str], shape: ModelShape) -> None:
    """BadInput for a model whose rows were not found where they must be."""
    matrices = [name for name in grown if name.endswith("weight")]
    if len(matrices) < (1 if shape.tied_embeddings else 2):
        raise BadInput(
            f"{ref} holds its embedding in a form that ftui can't extend.",
            "Take a template that needs no new tokens: --template plain.",
        )


def _write_beside(
    folder: Path, making: Path, grows: Growth, tokenizer: Tokenizer, tokens: list[str], args: dict[str, Any]
) -> None:
    """Configuration, tokenizer and what else lies in the base's folder."""
    for path in copied_beside(folder):
        shutil.copyfile(path, making / path.name)
    tokenizer.save(making)
    config = extend_config(read_json(folder / "config.json"), grows)
    generation = read_json(folder / "generation_config.json") if (folder / "generation_config.json").exists() else {}
    generation["eos_token_id"] = list(tokenizer.eos_ids)
    documents: dict[str, Any] = {
        "config.json": config, "generation_config.json": generation,
        METADATA: {
            KEY: tokens, "base": {"model": args["ref"], "revision": args["revision"]}, "versions": versions(),
        },
    }
    if (folder / INDEX).exists():
        index = read_json(folder / INDEX)
        size = sum(path.stat().st_size for path in making.glob("*.safetensors"))
        documents[INDEX] = {**index, "metadata": {**index.get("metadata", {}), "total_size": size}}
    for name, document in documents.items():
        (making / name).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
