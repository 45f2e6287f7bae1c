"""The model that a job asks: a base, or what a finished run has made of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.data.template import choose_template
from ftui.data.tokenizer import load_tokenizer as load_rules
from ftui.errors import BadInput
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.folder import find
from ftui.worker.base import choose_device, device_of, folder_of, load_model, load_tokenizer, set_threads
from ftui.worker.context import JobContext

if TYPE_CHECKING:
    from ftui.worker.speaker import Speaker


def speaker_of(context: JobContext) -> Speaker | None:
    """The model that is asked, loaded; None where a stop came before it was here."""
    args = context.info.args
    trained = find(args["run"]) if args["run"] else None
    recipe = trained.recipe() if trained else assign(
        Recipe(), {"model.base": args["model"], "model.quantization": args["quantization"]})
    if recipe is None or (trained and not trained.output.is_dir()):
        raise BadInput(f"The run {args['run']} has no result to ask.", f"See its state: ftui runs show {args['run']}")
    if OBJECTIVES[recipe.objective.kind].head == "scores":
        raise BadInput(f"The model of the run {args['run']} gives scores, and writes no answers.",
                       "Name a model that answers.")
    if args["gpus"] == 0:
        recipe = assign(recipe, {"compute.gpus": 0})
    choose_device(recipe)
    folder = folder_of(context, recipe.model.base, recipe.model.revision)
    if folder is None:
        return None
    from ftui.worker.answers import stops
    from ftui.worker.speaker import Speaker

    context.progress("Loading the model", 0, None, unit="row")
    result = trained.output if trained else None
    rules = load_rules(result or folder)
    template = choose_template("auto", rules)
    for note in template.notes:
        context.warn(note)
    model = _loaded(recipe, folder, result)
    set_threads(recipe, model.num_parameters())
    return Speaker(
        model, load_tokenizer(result or folder, None), template, stops(rules, template), int(args["max_new_tokens"]),
        float(args["temperature"]), getattr(model.config.get_text_config(), "max_position_embeddings", None),
        lambda: context.stop_asked,
    )


def _loaded(recipe: Recipe, folder: Path, result: Path | None) -> Any:
    """The base in `folder`, with the adapter in `result` or in its place the whole model there."""
    from ftui.worker.precision import choose

    device, bf16 = device_of(recipe)
    precision = choose(recipe, cuda=device == "cuda", bf16=bf16)
    if result is not None and ADAPTERS[recipe.adapter.kind].saved == "model":
        return load_model(recipe, result, precision, device)
    model: Any = load_model(recipe, folder, precision, device)
    if result is None:
        return model
    from ftui.worker.adapters.results import with_adapter

    return with_adapter(model, result)
