"""Python that uses a result without ftui: what the model card and the report show."""

from __future__ import annotations

from collections.abc import Sequence

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe.document import Recipe


def snippet(folder: str, base: str, recipe: Recipe, labels: Sequence[str] = (), *, multi: bool = False,
            pictured: bool = False, tasks: Sequence[str] = ()) -> str:
    """Python that loads the result from `folder` and asks it something, without ftui but for the methods that it gives
    peft.

    `labels` are a classifier's, `multi` says whether a text may have several of them; `pictured` asks about an image;
    `tasks` are those that the adapter tells apart.
    A quantization-aware result is rounded there by the grid that it was trained with.
    """
    row = ADAPTERS[recipe.adapter.kind]
    scores = OBJECTIVES[recipe.objective.kind].head == "scores"
    reader = "AutoProcessor" if pictured else "AutoTokenizer"
    head = "AutoModelForSequenceClassification" if scores else (
        "AutoModelForImageTextToText" if pictured else "AutoModelForCausalLM")
    adapter = row.saved == "adapter"
    rounded = {"int4": "PerGroup(32)", "int8": "PerAxis(0)"}.get(recipe.train.qat, "")
    given = ['dtype="auto"', 'device_map="auto"']
    if scores and adapter:
        # The base's own configuration knows of neither: the labels are the adapter's, and padding is needed.
        names = f"id2label={dict(enumerate(labels))}" if labels else "num_labels=1"
        given = [names, "pad_token_id=tokenizer.pad_token_id", *given]
    if recipe.model.trust_code:
        # Here, too, it runs nobody's code but that which was agreed to: a commit of the hub pins it.
        pinned = [f'revision="{recipe.model.revision}"'] if adapter and recipe.model.revision else []
        given = [*pinned, "trust_remote_code=True", *given]
    where = base if adapter else folder
    lines = [
        *(["import ftui.tuners  # pip install ftui: it gives peft this kind of adapter"] if row.tuners else []),
        *(["import torch"] if (labels and not multi) or hasattr(recipe.adapter, "tasks") or rounded else []),
        *(["from peft import PeftConfig, PeftModel"] if recipe.adapter.kind == "xlora" else
          ["from peft import PeftModel"] if adapter else []),
        *(["from PIL import Image"] if pictured else []),
        f"from transformers import {', '.join(sorted((head, reader)))}",
        *([] if not rounded else ["from torchao.quantization import IntxWeightOnlyConfig, quantize_",
                                  f"from torchao.quantization.granularity import {rounded.partition('(')[0]}"]),
        "",
        f'{"processor" if pictured else "tokenizer"} = {reader}.from_pretrained("{folder}")',
        f'model = {head}.from_pretrained("{where}", {", ".join(given)})',
        *_adapted(folder, recipe, adapter=adapter),
        *([] if not rounded else [
            f"grid = IntxWeightOnlyConfig(weight_dtype=torch.{recipe.train.qat}, granularity={rounded})",
            'heads = ("lm_head", "score")',
            "quantize_(model, grid, lambda part, name: isinstance(part, torch.nn.Linear) and name not in heads)",
        ]),
        *_tasks(recipe, tasks),
        *(_classes(recipe, multi=multi) if labels else _score() if scores else _seen() if pictured
          else _answer(recipe)),
    ]
    return "\n".join(lines) + "\n"


def _adapted(folder: str, recipe: Recipe, *, adapter: bool) -> list[str]:
    """The line that puts the adapter on; X-LoRA's own adapters lie beside its gate."""
    if recipe.adapter.kind == "xlora":
        return [
            "model.config.use_cache = False",
            f'config = PeftConfig.from_pretrained("{folder}")',
            f'config.adapters = {{name: "{folder}/" + name for name in config.adapters}}',
            f'model = PeftModel.from_pretrained(model, "{folder}", config=config)',
        ]
    return [f'model = PeftModel.from_pretrained(model, "{folder}")'] if adapter else []


def _answer(recipe: Recipe) -> list[str]:
    task = "task_ids=task, " if hasattr(recipe.adapter, "tasks") else ""
    return [
        'messages = [{"role": "user", "content": "Hello!"}]',
        "inputs = tokenizer.apply_chat_template(",
        '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"',
        ").to(model.device)",
        f"made = model.generate(**inputs, {task}max_new_tokens=200)",
        'print(tokenizer.decode(made[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))',
    ]


def _tasks(recipe: Recipe, tasks: Sequence[str]) -> list[str]:
    """The line that says which task is asked, for adapters that tell them apart."""
    if not hasattr(recipe.adapter, "tasks"):
        return []
    if len(tasks) < 2:
        return ["task = torch.tensor([0], device=model.device)"]
    return [f"tasks = {list(tasks)}",
            f"task = torch.tensor([tasks.index({tasks[0]!r})], device=model.device)"]


def _seen() -> list[str]:
    return [
        'content = [{"type": "image"}, {"type": "text", "text": "What is this?"}]',
        'text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)',
        'inputs = processor(text=text, images=Image.open("picture.jpg"), return_tensors="pt").to(model.device)',
        "made = model.generate(**inputs, max_new_tokens=200)",
        'print(processor.decode(made[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))',
    ]


def _score() -> list[str]:
    return [
        'messages = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello, what can I do?"}]',
        'inputs = tokenizer.apply_chat_template(messages, return_dict=True, return_tensors="pt").to(model.device)',
        "print(model(**inputs).logits[0, 0].item())  # the higher, the better the answer",
    ]


def _classes(recipe: Recipe, *, multi: bool) -> list[str]:
    names, task = "model.config.id2label", ", task_ids=task" if hasattr(recipe.adapter, "tasks") else ""
    ask = ['inputs = tokenizer("A text to sort.", return_tensors="pt").to(model.device)']
    if multi:
        return [
            *ask,
            f"shares = model(**inputs{task}).logits[0].sigmoid().tolist()",
            f"print([{names}[number] for number, share in enumerate(shares) if share > 0.5])",
        ]
    return [*ask, f"print({names}[int(torch.argmax(model(**inputs{task}).logits[0]))])"]
