"""Rows with images: found beside their file, written with all tokens of each, refused where a model sees none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.data import prepare, profile
from ftui.data.canonical import Row, RowError
from ftui.data.given import Given
from ftui.data.images import MARKER, ImageSlot, as_parts, slot_of
from ftui.data.loading import load
from ftui.data.masking import Writer
from ftui.data.template import ChatTemplate, choose_template
from ftui.data.tokenizer import Tokenizer, load_tokenizer
from ftui.errors import BadInput
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.recipe.picture_combinations import wrong_pictures

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
PARTS = (
    "{% for message in messages %}{{ message['role'] }}:{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %};{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def rows(folder: Path, *values: dict[str, Any]) -> str:
    (folder / "a.png").write_bytes(PNG)
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return str(path)


def talk(question: str, answer: str = "Red.", **beside: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], **beside}


@pytest.fixture
def seeing(bpe_folder: Path) -> Tokenizer:
    """A tokenizer of a model for which an image is three tokens."""
    tokenizer = load_tokenizer(bpe_folder)
    tokenizer.backend.add_special_tokens([MARKER])
    return replace(tokenizer, image=ImageSlot(3))


def test_images_lie_beside_their_file_and_belong_to_what_a_row_is(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(PNG)
    path = rows(tmp_path, talk("<image>Which?", images=["a.png"]), talk("<image>Which?", images="b.png"))
    first, second = load(Given(path)).rows()
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert first.value["images"] == [str(tmp_path / "a.png")]
    assert first.key != second.key
    assert profile([path]).images == 2


def test_a_file_that_is_no_picture_is_told(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"<html>not found</html>, said the server")
    good = talk("<image>Which?", images=["a.png"])
    found = list(load(Given(rows(tmp_path, good, talk("<image>Which?", images=["b.png"])))).rows())
    assert "its image b.png is no JPEG, PNG" in found[1].reason  # type: ignore[union-attr]


def test_an_image_is_written_as_all_its_tokens_and_only_the_answer_is_trained(
    tmp_path: Path, seeing: Tokenizer
) -> None:
    path = rows(tmp_path, talk("<image>Which <image>?", images=["a.png", "a.png"]))
    (row,) = load(Given(path)).rows()
    assert isinstance(row, Row)
    writer = Writer(seeing, choose_template("chatml", seeing), "assistant")
    (tokens,) = writer.tokens([writer.write(row)])
    marker = seeing.id_of(MARKER)
    assert list(tokens.ids).count(marker or -1) == 6
    trained = [token for token, mask in zip(tokens.ids, tokens.trained, strict=True) if mask]
    assert seeing.decode(trained).removesuffix("<|im_end|>") == "Red."


@pytest.mark.parametrize(
    ("question", "answer", "images", "said"),
    [("Which?", "Red.", 1, "1 images, and 0 places"), ("<image>", "Red.", 0, "0 images, and 1 places"),
     ("Which?", "This: <image>", 1, "an image stands in what the assistant says")],
)
def test_places_and_images_that_do_not_agree_are_told(
    question: str, answer: str, images: int, said: str, tmp_path: Path, seeing: Tokenizer
) -> None:
    path = rows(tmp_path, talk(question, answer, **({"images": ["a.png"] * images} if images else {})))
    (row,) = load(Given(path)).rows()
    assert isinstance(row, Row)
    with pytest.raises(RowError, match=said):
        Writer(seeing, choose_template("chatml", seeing), "assistant").write(row)


def test_a_model_that_reads_text_alone_refuses_them_in_one_sentence(tmp_path: Path, bpe: Tokenizer) -> None:
    path = rows(tmp_path, talk("<image>?", images=["a.png"]))
    recipe = Recipe.model_validate({"data": {"sources": [{"path": path}]}})
    with pytest.raises(BadInput, match="only LLaVA models can be trained on them"):
        prepare(recipe, bpe, seed=1)


def test_a_row_that_would_lose_its_image_is_left_out_and_rows_say_which_images_they_have(
    tmp_path: Path, seeing: Tokenizer
) -> None:
    path = rows(tmp_path, talk("<image>?", images=["a.png"]), talk("<image>" + "word " * 200, images=["a.png"]),
                talk("Why?"))
    recipe = Recipe.model_validate(
        {"data": {"sources": [{"path": path}], "template": "chatml", "validation": 0, "max_length": 60}})
    prepared = prepare(recipe, seeing, seed=1)
    assert prepared.pictured
    assert prepared.dropped == {"too long for its images": 1}
    assert sorted(row["images"] for row in prepared.train) == [[], [str(tmp_path / "a.png")]]
    with pytest.raises(BadInput, match="can't be packed"):
        prepare(assign(recipe, {"data.packing": True}), seeing, seed=1)


def test_a_template_that_reads_parts_gets_parts() -> None:
    template = ChatTemplate("parts", PARTS, {})
    assert template.in_parts
    rendered = template.render_row(talk("<image>Which?")["messages"])
    assert rendered.text == "user:<image>Which?;assistant:Red.;"
    assert [rendered.text[start:end] for start, end in rendered.turns] == ["Red.;"]
    assert not ChatTemplate("plain", "{% for m in messages %}{{ m['content'] }}{% endfor %}", {}).in_parts
    assert as_parts("a<image>b") == [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]


def test_the_number_of_tokens_follows_from_the_configuration(tmp_path: Path) -> None:
    def slot(**changed: Any) -> ImageSlot | None:
        config = {"model_type": "llava", "image_token_index": 7,
                  "vision_config": {"model_type": "clip_vision_model", "image_size": 336, "patch_size": 14}, **changed}
        (tmp_path / "config.json").write_text(json.dumps(config))
        return slot_of(tmp_path, {7: MARKER, 8: "<picture>"}.get)

    assert slot() == ImageSlot(576)
    assert slot(vision_feature_select_strategy="full") == ImageSlot(577)
    assert slot(model_type="llama") is None
    assert slot(image_token_index=8) is None
    assert slot(vision_config={"model_type": "siglip_vision_model"}) is None
    assert slot(vision_config=None) is None
    (tmp_path / "config.json").write_text("{")
    assert slot_of(tmp_path, str) is None


@given(st.lists(st.text(alphabet="ab ", max_size=5), min_size=1, max_size=5), st.integers(1, 4))
def test_spans_keep_their_words_when_images_are_spread(words: list[str], count: int) -> None:
    text, spans = "", []
    for word in words:
        text += MARKER
        spans.append((len(text), len(text) + len(word)))
        text += word
    spread, moved = ImageSlot(count).expand(text, spans, len(words))
    assert spread == "".join(MARKER * count + word for word in words)
    assert [spread[start:end] for start, end in moved] == words


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"objective": {"kind": "dpo"}}, "objective.kind is dpo"), ({"adapter": {"kind": "ia3"}}, "adapter.kind is ia3"),
     ({"adapter": {"kind": "lora", "init": "eva"}}, "reads rows"), ({"data": {"packing": True}}, "can't be packed"),
     ({"data": {"padding": "free"}}, "end to end"), ({"train": {"loss": "tiled"}}, "train.loss tiled"),
     ({"train": {"qat": "int8"}}, "train.qat")],
)
def test_what_does_not_go_with_images_is_refused_at_the_recipe(changed: dict[str, Any], said: str) -> None:
    assert list(wrong_pictures(Recipe())) == []
    ((what, hint),) = wrong_pictures(Recipe.model_validate(changed))
    assert said in what
    assert hint
