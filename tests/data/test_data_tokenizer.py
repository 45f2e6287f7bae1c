"""Token ids are the model's own: SentencePiece's for a lone tokenizer.model, transformers' for a tokenizer.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ftui.data.tokenizer import Tokenizer, load_tokenizer
from ftui.errors import BadInput

TEXTS = ["Hello  world", "  two spaces", "a\n\n\n b\t", " ", "naïve café 你好 🙂 مرحبا", "<s> in [INST] text </s>"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(__file__).resolve().parents[3] / "shared/data/tokenizers/llama2/tokenizer.model"
    if not source.exists():
        pytest.skip("the Llama 2 tokenizer (../shared/data) is not beside this checkout")
    folder = tmp_path_factory.mktemp("llama2")
    shutil.copy(source, folder)
    return folder


def real_texts(shared_data: Path) -> list[str]:
    rows = json.loads((shared_data / "llamafactory/alpaca_en_demo.json").read_text())
    lines = (shared_data / "llamafactory/c4_demo.jsonl").read_text().splitlines()[:50]
    return [row["output"] for row in rows[:300]] + [json.loads(line)["text"] for line in lines]


def test_a_lone_tokenizer_model_gives_sentencepieces_own_ids(llama: Path, shared_data: Path) -> None:
    import sentencepiece

    oracle = sentencepiece.SentencePieceProcessor(model_file=str(llama / "tokenizer.model"))
    tokenizer = load_tokenizer(llama)
    texts = real_texts(shared_data) + [text for text in TEXTS if "<s>" not in text]
    assert tokenizer.encode_batch(texts) == oracle.encode(texts)
    assert tokenizer.decode(tokenizer.encode("Hello  world\n x")) == "Hello  world\n x"


def test_a_lone_tokenizer_model_knows_its_special_tokens(llama: Path) -> None:
    tokenizer = load_tokenizer(llama)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.id_of(tokenizer.unk_token)) == (1, 2, 0)
    assert (tokenizer.vocab, tokenizer.adds_bos, tokenizer.adds_eos) == (32_000, True, False)
    assert tokenizer.encode("<s>a</s>")[::2] == [1, 2]
    assert tokenizer.special_ids == {0, 1, 2}
    assert tokenizer.chat_template is None


@pytest.mark.slow
@pytest.mark.torch
def test_transformers_gives_the_same_ids_for_a_tokenizer_json(
    bpe_folder: Path, bos_folder: Path, shared_data: Path
) -> None:
    from transformers import AutoTokenizer

    for folder in (bpe_folder, bos_folder):
        ours, oracle = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
        for text in [*TEXTS, *real_texts(shared_data)[:50]]:
            assert ours.encode(text) == oracle.encode(text, add_special_tokens=False)
        assert ours.adds_bos == (oracle.encode("a")[0] == oracle.bos_token_id)
        assert (ours.bos_id, ours.eos_id) == (oracle.bos_token_id, oracle.eos_token_id)


@pytest.mark.slow
@pytest.mark.torch
def test_a_saved_tokenizer_gives_plain_transformers_the_same_ids_and_template(
    llama: Path, tmp_path: Path, shared_data: Path
) -> None:
    from transformers import AutoTokenizer

    from ftui.data.template import choose_template

    ours = load_tokenizer(llama)
    template = choose_template("plain", ours)
    ours.save(tmp_path / "saved", chat_template=template.source)
    oracle = AutoTokenizer.from_pretrained(tmp_path / "saved")
    for text in [*TEXTS, *real_texts(shared_data)]:
        assert ours.encode(text) == oracle.encode(text, add_special_tokens=False)
    messages = [{"role": "user", "content": "Sum 1 + 1"}, {"role": "assistant", "content": "It is 2."}]
    assert oracle.apply_chat_template(messages, tokenize=False) == template.render(messages)
    again = load_tokenizer(tmp_path / "saved")
    assert (again.bos_id, again.eos_id, again.chat_template) == (1, 2, template.source)


def test_offsets_find_the_tokens_of_characters(bpe: Tokenizer) -> None:
    text = "ab 🙂 cd"
    encoded = bpe.encode_with_offsets([text])[0]
    first, after = encoded.tokens_of(3, 4)
    assert bpe.decode(encoded.ids[first:after]).strip() == "🙂"
    assert encoded.tokens_of(2, 2) == (0, 0)
    assert encoded.tokens_of(0, len(text)) == (0, len(encoded.ids))


def test_the_fingerprint_changes_with_the_template_and_bos_is_known(bpe: Tokenizer, with_bos: Tokenizer) -> None:
    assert bpe.fingerprint != with_bos.fingerprint
    assert (bpe.adds_bos, with_bos.adds_bos) == (False, True)
    assert bpe.pad_id == bpe.eos_id == with_bos.id_of("<|endoftext|>")
    assert with_bos.pad_id == with_bos.eos_id


def test_templates_in_every_place_are_found(bpe_folder: Path, tmp_path: Path) -> None:
    for number, (name, content) in enumerate(
        [
            ("chat_template.jinja", "{{ 1 }}"),
            ("chat_template.json", json.dumps({"chat_template": "{{ 1 }}"})),
            ("tokenizer_config.json", json.dumps({"eos_token": "</s>", "chat_template": "{{ 1 }}"})),
            ("tokenizer_config.json", json.dumps({"chat_template": [{"name": "default", "template": "{{ 1 }}"}]})),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(bpe_folder / "tokenizer.json", folder)
        (folder / name).write_text(content)
        assert load_tokenizer(folder).chat_template == "{{ 1 }}"


def test_gpt_2s_vocabulary_and_merges_are_enough(bpe_folder: Path, bpe: Tokenizer, tmp_path: Path) -> None:
    model = json.loads((bpe_folder / "tokenizer.json").read_text())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    tokenizer = load_tokenizer(tmp_path)
    for text in ("The quick brown fox", "naïve café\n\n"):
        assert tokenizer.encode(text) == bpe.encode(text)
    assert tokenizer.encode("a<|endoftext|>")[-1] == tokenizer.eos_id


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "has no tokenizer that ftui can read"),
        ({"tokenizer.json": "{"}, "can't be read"),
        ({"tokenizer.model": "no pieces"}, "SentencePiece model"),
        ({"tokenizer.json": "@", "tokenizer_config.json": "{"}, "tokenizer_config.json can't be read"),
    ],
)
def test_a_folder_without_a_good_tokenizer_is_refused(
    bpe_folder: Path, tmp_path: Path, files: dict[str, str], says: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text((bpe_folder / name).read_text() if content == "@" else content)
    with pytest.raises(BadInput) as refused:
        load_tokenizer(tmp_path)
    assert says in str(refused.value)
    with pytest.raises(BadInput, match="no model folder"):
        load_tokenizer(tmp_path / "nowhere")
