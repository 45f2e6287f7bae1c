"""The `generate` job: the tuned and the base model's answers to the same prompts, side by side; a classifier's labels.

`args` of run.json: `run` (whose result is asked), `prompts`, `max_new_tokens`; where wanted `task`, the one that is
asked for of those that the adapter tells apart (else each of them is), and `images`, for each prompt the files of its
images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.data.template import choose_template
from ftui.data.tokenizer import Tokenizer
from ftui.data.tokenizer import load_tokenizer as load_rules
from ftui.errors import BadInput
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe.document import Recipe
from ftui.runs.asking import sees, tasks_in
from ftui.runs.folder import find
from ftui.worker.base import choose_device, device_of, folder_of, load_model, load_tokenizer, set_threads
from ftui.worker.checkpoints import aside
from ftui.worker.context import JobContext

if TYPE_CHECKING:
    from ftui.data.template import ChatTemplate
    from ftui.worker.answers import Prompt, Task

ANSWERS = "answers.json"


def run(context: JobContext) -> None:
    """Answer the prompts and write output/answers.json: a list of {"prompt", "tuned", "base"}, with "task" and "images"
    where a prompt has such.

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
    tasks = _tasks(trained.output, args.get("task"))
    if sorts:
        _finish(context, _sorted(context, recipe, folder, trained.output, rules, args["prompts"], tasks))
        return
    template = choose_template("auto", rules)
    from ftui.worker.answers import stops

    prompts = list(_prompts(args["prompts"], args.get("images") or (), tasks, template, folder))
    tuned, base = _both(
        context, recipe, folder, trained.output, prompts, stops(rules, template), int(args["max_new_tokens"])
    )
    answers = [
        {**prompt.told, "tuned": one, "base": other}
        for prompt, one, other in zip(prompts, tuned, base, strict=True)
    ]
    _finish(context, answers)


def _tasks(result: Path, wanted: str | None) -> list[Task | None]:
    """Those that are asked for: the wanted one, all that the adapter tells apart, or none of an adapter of one task."""
    from ftui.worker.answers import Task

    known = [Task(*each) for each in enumerate(tasks_in(result))]
    found = [task for task in known if wanted in (None, task.name)]
    if wanted is not None and not found:
        raise BadInput(f"The result knows no task {wanted}.", _known([task.name for task in known]))
    return [*found] or [None]


def _known(names: Sequence[str]) -> str:
    return f"It tells apart: {', '.join(names)}." if names else "Leave out the task: it was trained on one."


def _prompts(
    texts: Sequence[str], images: Sequence[Sequence[str]], tasks: Sequence[Task | None], template: ChatTemplate,
    folder: Path,
) -> Iterator[Prompt]:
    """What is asked; BadInput for images where the model in `folder` sees none."""
    from ftui.worker.answers import asked, asked_about

    slot = load_rules(folder).image if any(images) else None
    if any(images) and slot is None:
        raise BadInput("The model sees no images.", "Ask it in words: leave out --image.")
    for number, text in enumerate(texts):
        files = images[number] if number < len(images) else ()
        if slot is not None:
            yield asked_about(text, files, template, slot)
        else:
            yield from (asked(text, template, task) for task in tasks)


def _sorted(
    context: JobContext, recipe: Recipe, folder: Path, result: Path, rules: Tokenizer, texts: Sequence[str],
    tasks: Sequence[Task | None],
) -> list[dict[str, Any]]:
    from ftui.worker.sorting import sort

    context.progress("Asking the classifier", 0, None, unit="row")
    asked = [(text, task) for text in texts for task in tasks]
    numbers = [task.number if task else None for _, task in asked]
    told = sort(recipe, folder, result, rules, [text for text, _ in asked], numbers)
    return [{"prompt": text, **({"task": task.name} if task else {}), "tuned": words, "labels": shares}
            for (text, task), (words, shares) in zip(asked, told, strict=True)]


def _finish(context: JobContext, answers: Sequence[dict[str, Any]]) -> None:
    """Tell of the answers, and write them down."""
    for index, item in enumerate(answers):
        told = {name: item[name] for name in ("prompt", "task", "images", "base") if name in item}
        context.emit("sample", text=item["tuned"], index=index, **told)
    with aside(context.output) as making:
        (making / ANSWERS).write_text(json.dumps(answers, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    context.finish("Answered." if len(answers) == 1 else f"Answered {len(answers)} prompts.", output=context.output)


def _both(
    context: JobContext, recipe: Recipe, folder: Path, result: Path, prompts: Sequence[Prompt],
    stop_ids: Sequence[int], max_new_tokens: int,
) -> tuple[list[str], list[str]]:
    """(tuned answers, base answers); of two whole models one at a time is loaded."""
    from ftui.worker.answers import answer, of_base
    from ftui.worker.precision import choose

    device, bf16 = device_of(recipe)
    precision = choose(recipe, cuda=device == "cuda", bf16=bf16)
    tokenizer = load_tokenizer(result, None)

    def ask(model: Any, what: str) -> list[str]:
        context.progress(f"Asking the {what} model", 0, None, unit="row")
        given = of_base(prompts) if what == "base" else prompts
        return answer(model, tokenizer, given, stop_ids=stop_ids, max_new_tokens=max_new_tokens)

    context.progress("Loading the base model", 0, None, unit="row")
    model: Any = load_model(recipe, folder, precision, device, pictured=sees(result))
    set_threads(recipe, model.num_parameters())
    base = ask(model, "base")
    if ADAPTERS[recipe.adapter.kind].saved == "model":
        del model
        model = load_model(recipe, result, precision, device)
    else:
        from ftui.worker.adapters.results import with_adapter

        model = with_adapter(model, result)
    return ask(model, "tuned"), base
