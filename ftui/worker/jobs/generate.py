"""The `generate` job: the tuned and the base model's answers to the same prompts, side by side; a classifier's labels.

`args` of run.json: `run` (whose result is asked), `prompts`, `max_new_tokens`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.data.template import choose_template
from ftui.data.tokenizer import Tokenizer
from ftui.data.tokenizer import load_tokenizer as load_rules
from ftui.errors import BadInput
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe.document import Recipe
from ftui.runs.folder import find
from ftui.worker.base import choose_device, device_of, folder_of, load_model, load_tokenizer, set_threads
from ftui.worker.checkpoints import aside
from ftui.worker.context import JobContext

if TYPE_CHECKING:
    from ftui.worker.answers import Prompt

ANSWERS = "answers.json"


def run(context: JobContext) -> None:
    """Answer the prompts and write output/answers.json: a list of {"prompt", "tuned", "base"}.

    A classifier's base has no answers: it is {"prompt", "tuned", "labels": {label: probability}}.
    """
    args = context.info.args
    trained = find(args["run"])
    recipe = trained.recipe()
    if recipe is None or not trained.output.is_dir():
        raise BadInput(f"The run {trained.id} has no result to ask.", f"See its state: ftui runs show {trained.id}")
    sorts = recipe.objective.kind == "classify"
    if OBJECTIVES[recipe.objective.kind].head == "scores" and not sorts:
        raise BadInput(f"The model of the run {trained.id} gives scores, and writes no answers.",
                       f"Python that asks it stands in {trained.report}.")
    choose_device(recipe)
    folder = folder_of(context, recipe.model.base, recipe.model.revision)
    if folder is None:
        context.finish("Stopped before the base model was here; nothing was asked.")
        return
    rules = load_rules(trained.output)
    if sorts:
        _finish(context, _sorted(context, recipe, folder, trained.output, rules, args["prompts"]))
        return
    template = choose_template("auto", rules)
    from ftui.worker.answers import asked, stops

    prompts = [asked(text, template) for text in args["prompts"]]
    tuned, base = _both(
        context, recipe, folder, trained.output, prompts, stops(rules, template), int(args["max_new_tokens"])
    )
    answers = [
        {"prompt": prompt.shown, "tuned": one, "base": other}
        for prompt, one, other in zip(prompts, tuned, base, strict=True)
    ]
    _finish(context, answers)


def _sorted(
    context: JobContext, recipe: Recipe, folder: Path, result: Path, rules: Tokenizer, texts: Sequence[str]
) -> list[dict[str, Any]]:
    from ftui.worker.sorting import sort

    context.progress("Asking the classifier", 0, None, unit="row")
    told = sort(recipe, folder, result, rules, texts)
    return [{"prompt": text, "tuned": words, "labels": shares}
            for text, (words, shares) in zip(texts, told, strict=True)]


def _finish(context: JobContext, answers: Sequence[dict[str, Any]]) -> None:
    """Tell of the answers, and write them down."""
    for index, item in enumerate(answers):
        base = {"base": item["base"]} if "base" in item else {}
        context.emit("sample", prompt=item["prompt"], text=item["tuned"], index=index, **base)
    with aside(context.output) as making:
        (making / ANSWERS).write_text(json.dumps(answers, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    context.finish("Answered." if len(answers) == 1 else f"Answered {len(answers)} prompts.", output=context.output)


def _both(
    context: JobContext, recipe: Recipe, folder: Path, result: Path, prompts: Sequence[Prompt],
    stop_ids: Sequence[int], max_new_tokens: int,
) -> tuple[list[str], list[str]]:
    """(tuned answers, base answers); of two whole models one at a time is loaded."""
    from ftui.worker.answers import answer
    from ftui.worker.precision import choose

    device, bf16 = device_of(recipe)
    precision = choose(recipe, cuda=device == "cuda", bf16=bf16)
    tokenizer = load_tokenizer(result, None)

    def ask(model: Any, what: str) -> list[str]:
        context.progress(f"Asking the {what} model", 0, None, unit="row")
        return answer(model, tokenizer, prompts, stop_ids=stop_ids, max_new_tokens=max_new_tokens)

    context.progress("Loading the base model", 0, None, unit="row")
    model: Any = load_model(recipe, folder, precision, device)
    set_threads(recipe, model.num_parameters())
    base = ask(model, "base")
    if ADAPTERS[recipe.adapter.kind].saved == "model":
        del model
        model = load_model(recipe, result, precision, device)
    else:
        from ftui.worker.adapters.results import with_adapter

        model = with_adapter(model, result)
    return ask(model, "tuned"), base
