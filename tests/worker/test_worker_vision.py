"""A LLaVA is trained on images with LoRA on its language model, stopped, resumed, saved and loaded in plain peft."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PIL", reason="needs the extra 'vision'")

from . import tiny_llava

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.xdist_group("worker")]


def colours(folder: Path, rows: int = 12) -> Path:
    """Pictures of one colour each, and a conversation about each of them."""
    from PIL import Image

    lines = []
    for number in range(rows):
        colour = ("red", "green", "blue")[number % 3]
        name = f"{number}.png"
        Image.new("RGB", (30 + number, 40), colour).save(folder / name)
        lines.append({"messages": [{"role": "user", "content": "<image>Which colour?"},
                                   {"role": "assistant", "content": colour}], "images": [name]})
    path = folder / "colours.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {"model__base": str(tiny_llava.make(tmp_path / "llava")),
            "data__sources": [{"path": str(colours(tmp_path))}], "data__validation": 3, "data__max_length": 256}


def test_what_is_trained_is_the_language_model_alone_and_loads_in_plain_peft(
    settings: dict[str, Any], train: Callable[..., Any], tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from PIL import Image
    from safetensors.torch import load_file
    from transformers import AutoModelForImageTextToText, AutoProcessor

    ran = train(**settings)
    assert ran.end["status"] == "finished", ran.end
    assert len(ran.losses) == 6
    saved = load_file(ran.run.output / "adapter_model.safetensors")
    assert len(saved) == 2 * 2 * 7
    assert all("language_model" in name for name in saved)
    base = AutoModelForImageTextToText.from_pretrained(settings["model__base"])
    model = PeftModel.from_pretrained(base, str(ran.run.output)).eval()
    processor = AutoProcessor.from_pretrained(ran.run.output)
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which colour?"}]}]
    text = processor.apply_chat_template(turns, add_generation_prompt=True)
    given = processor(text=text, images=Image.open(tmp_path / "0.png"), return_tensors="pt")
    with torch.no_grad():
        tuned = model(**given).logits
        with model.disable_adapter():
            untuned = model(**given).logits
    assert (tuned - untuned).abs().max() > 1e-3

    from ftui.worker.adapters.results import with_adapter
    from ftui.worker.base import load_model
    from ftui.worker.precision import choose

    recipe = ran.run.recipe()
    loaded = load_model(recipe, Path(settings["model__base"]), choose(recipe, cuda=False, bf16=False), "cpu")
    ours = with_adapter(loaded, ran.run.output)
    with torch.no_grad():
        assert (ours.eval()(**given).logits - tuned).abs().max() < 1e-5
    card = (ran.run.output / "README.md").read_text()
    assert "pipeline_tag: image-text-to-text" in card
    assert 'processor = AutoProcessor.from_pretrained(".")' in card


def test_its_loss_is_that_of_plain_transformers_on_the_answers_alone(settings: dict[str, Any], tmp_path: Path) -> None:
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from ftui.data import prepare
    from ftui.worker.collate import Collator
    from ftui.worker.loss import add_loss
    from ftui.worker.pictures import pictures_of

    from .conftest import resolved

    prepared = prepare(resolved(**settings), Path(settings["model__base"]), seed=1)
    model = AutoModelForImageTextToText.from_pretrained(settings["model__base"]).eval()
    rows = [prepared.train[0], prepared.train[1]]
    batch = Collator(0, pictures=pictures_of(model))(rows)
    batch.pop("tokens")
    processor = AutoProcessor.from_pretrained(settings["model__base"])
    total, trained = torch.zeros(()), 0
    for row in rows:
        answer = processor.tokenizer.decode([label for label in row["labels"] if label != -100])
        assert answer.removesuffix("</s>") in ("red", "green", "blue")
        given = processor(
            text=processor.apply_chat_template([
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which colour?"}]},
                {"role": "assistant", "content": [{"type": "text", "text": answer.removesuffix("</s>")}]}]),
            images=Image.open(row["images"][0]), return_tensors="pt")
        assert given["input_ids"][0].tolist() == row["input_ids"]
        with torch.no_grad():
            logits = model(**given).logits[0, :-1]
        wanted = torch.tensor(row["labels"][1:])
        total += torch.nn.functional.cross_entropy(logits, wanted, ignore_index=-100, reduction="sum")
        trained += int((wanted != -100).sum())
    add_loss(model)
    with torch.no_grad():
        output = model(**batch, summed_loss=True)
    assert int(output.count) == trained
    assert output.loss.item() == pytest.approx(total.item(), rel=1e-5)


def test_a_colour_is_learnt_from_the_picture(settings: dict[str, Any], train: Callable[..., Any]) -> None:
    ran = train(**settings, train__max_steps=120, train__eval_steps=120, train__save_steps=120,
                train__learning_rate=1e-2, adapter__rank=16)
    assert ran.end["status"] == "finished", ran.end
    # Without the picture nothing tells the three colours apart; of the 4 to 6 tokens of an answer the first is open.
    blind = 1.0986 / 5
    assert ran.of("evaluation")[-1].data["eval_loss"] < blind / 2


def test_a_run_on_images_resumes_to_the_bit(
    settings: dict[str, Any], make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any]
) -> None:
    whole, broken = work(make(**settings)), work(make(**settings), commanded({5: RuntimeError("the power went")}))
    assert work(broken.run).end["status"] == "finished"
    assert broken.losses == whole.losses


def test_other_adapters_and_an_image_that_is_torn_are_told_in_a_sentence(
    settings: dict[str, Any], make: Callable[..., Any], work: Callable[..., Any], resolved: Callable[..., Any],
    tmp_path: Path,
) -> None:
    recipe = resolved(**settings)
    other = type(recipe).model_validate({**recipe.model_dump(exclude_unset=True), "adapter": {"kind": "ia3"}})
    assert "adapter.kind is ia3" in work(make(other)).end["text"]
    for number in range(12):
        whole = (tmp_path / f"{number}.png").read_bytes()
        (tmp_path / f"{number}.png").write_bytes(whole[:40])
    ran = work(make(**settings))
    assert ran.end["status"] == "failed"
    assert "can't be opened" in ran.end["text"]


def test_the_images_of_llama_factory_train(
    settings: dict[str, Any], train: Callable[..., Any], shared_data: Path
) -> None:
    path = shared_data / "llamafactory" / "mllm_demo.json"
    ran = train(**{**settings, "data__sources": [{"path": str(path)}], "data__validation": 1, "data__max_length": 512},
                train__max_steps=2, train__checkpointing=True)
    assert ran.end["status"] == "finished", ran.end
    assert ran.of("warning") == []


def test_the_plan_counts_their_tokens_and_a_model_that_reads_text_alone_is_refused_before_the_launch(
    settings: dict[str, Any]
) -> None:
    from ftui.recipe import assign
    from ftui.recipe.document import Recipe
    from ftui.runs.launch import lay_out
    from ftui.runs.obstacles import obstacles

    asked = assign(Recipe(), {"model.base": settings["model__base"], "data.sources": settings["data__sources"],
                              "compute.gpus": 0})
    layout = lay_out(asked)
    assert layout.profile.images == 12
    assert layout.profile.lengths is not None
    assert layout.profile.lengths.exact
    assert layout.profile.lengths.p50 > 9 + len("Which colour?")
    assert layout.recipe.data.packing is False
    assert any("vision tower" in note for note in layout.plan.notes)
    assert not any("images" in obstacle.what for obstacle in obstacles(layout))
    packed = lay_out(assign(asked, {"data.packing": True}))
    assert any("can't be packed" in obstacle.what for obstacle in obstacles(packed))
    blind = lay_out(assign(asked, {"model.base": "demo"}))
    assert any("have images, on which demo can't be trained" in obstacle.what for obstacle in obstacles(blind))


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_on_a_quantized_base_the_language_model_alone_is_quantized_and_the_adapter_reloads(
    quantization: str, settings: dict[str, Any], train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import torch
    from peft import PeftModel
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from ftui.worker import output
    from ftui.worker.base import UNQUANTIZED, keep_gradients, quantization_config
    from ftui.worker.precision import choose

    processor = AutoProcessor.from_pretrained(settings["model__base"])
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which colour?"}]}]
    text = processor.apply_chat_template(turns, add_generation_prompt=True)
    given = dict(processor(text=text, images=Image.open(tmp_path / "0.png"), return_tensors="pt"))
    seen: list[Any] = []
    save = output.save

    def saved(target: Path, trainer: Any, *args: Any, **more: Any) -> None:
        model = trainer.accelerator.unwrap_model(trainer.model).eval()
        kinds: dict[str, set[str]] = {}
        for name, module in model.get_base_model().named_modules():
            if "Linear" in type(module).__name__ and "lora" not in name:
                kinds.setdefault(name.split(".")[min(1, name.count("."))], set()).add(type(module).__name__)
        with torch.no_grad():
            seen.extend([model(**given).logits, kinds])
        save(target, trainer, *args, **more)

    monkeypatch.setattr(output, "save", saved)
    ran = train(**settings, model__quantization=quantization, train__learning_rate=1e-2)
    assert ran.end["status"] == "finished", ran.end
    logits, kinds = seen
    packed = {"nf4": "Linear4bit", "int8": "Linear8bitLt"}[quantization]
    assert kinds["vision_tower"] == kinds["multi_modal_projector"] == {"Linear"}
    assert kinds["language_model"] == {packed}

    recipe = ran.run.recipe()
    config = quantization_config(recipe, choose(recipe, cuda=False, bf16=False))
    config.llm_int8_skip_modules = list(UNQUANTIZED)
    base = AutoModelForImageTextToText.from_pretrained(
        settings["model__base"], quantization_config=config, device_map={"": "cpu"}, dtype=torch.float32
    )
    keep_gradients(base)
    model = PeftModel.from_pretrained(base, str(ran.run.output)).eval()
    with torch.no_grad():
        again = model(**given).logits
        with model.disable_adapter():
            untuned = model(**given).logits
    assert float((again - logits).abs().max()) <= 1e-5 * float(logits.abs().max())
    assert (untuned - logits).abs().max() > 1e-3


def test_samples_and_ftui_try_look_at_the_image(
    settings: dict[str, Any], train: Callable[..., Any], work: Callable[..., Any], tmp_path: Path
) -> None:
    from ftui.runs.folder import create

    ran = train(**settings, train__max_steps=120, train__eval_steps=120, train__save_steps=120,
                train__learning_rate=1e-2, adapter__rank=16)
    samples = [event for event in ran.of("sample") if event.step == 120]
    assert len(samples) == 3
    assert all(event.data["prompt"] == "<image>Which colour?" and len(event.data["images"]) == 1 for event in samples)
    assert samples[0].asked.endswith(".png)")
    wanted = [("red", "green", "blue")[int(Path(event.data["images"][0]).stem) % 3] for event in samples]
    assert [event.data["text"] for event in samples] == wanted
    images = [[str(tmp_path / f"{number}.png")] for number in range(3)]
    asking = {"run": ran.run.id, "prompts": ["Which colour?"] * 3, "images": images, "max_new_tokens": 8}
    job = work(create("generate", "g", command="ftui try", args=asking))
    assert job.end["status"] == "finished", job.end
    said = json.loads((job.run.output / "answers.json").read_text())
    assert [(each["prompt"], each["tuned"]) for each in said] == [
        ("Which colour?", colour) for colour in ("red", "green", "blue")
    ]
    wrong = {**asking, "prompts": ["<image><image>Which?"], "images": images[:1]}
    assert "1 images, and 2 places" in work(create("generate", "g", command="ftui try", args=wrong)).end["text"]
