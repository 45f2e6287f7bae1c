"""Describing what lies on this disk: whole, broken and strange folders."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.errors import BadInput, FtuiError
from ftui.models import describe, families, headers, locate
from ftui.models.families import FAMILIES

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 50, "hidden_size": 16,
    "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 64, "dtype": "bfloat16",
}


def write_tensors(path: Path, tensors: list[tuple[str, tuple[int, ...]]], dtype: str = "BF16", width: int = 2) -> None:
    """A safetensors file of zeros."""
    header, at = {}, 0
    for name, shape in tensors:
        size = families_product(shape) * width
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(at))


def families_product(shape: tuple[int, ...]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model folder in two shards, with tokenizer files and a card."""
    home = tmp_path / "tiny-llama"
    home.mkdir()
    (home / "config.json").write_text(json.dumps(LLAMA))
    every = families.tensors(LLAMA)
    halves = {"model-00001-of-00002.safetensors": every[:9], "model-00002-of-00002.safetensors": every[9:]}
    for name, tensors in halves.items():
        write_tensors(home / name, tensors)
    places = {tensor: name for name, tensors in halves.items() for tensor, _ in tensors}
    (home / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (home / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (home / "README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\n# Tiny\n")
    return home


def test_a_whole_folder_is_described_exactly(folder: Path) -> None:
    shape = describe(str(folder))
    assert shape.exact
    assert shape.parameters == sum(families_product(each) for _, each in families.tensors(LLAMA))
    assert (shape.source, shape.path, shape.dtype) == ("local", str(folder), "bfloat16")
    assert shape.weight_bytes == sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert (shape.chat_template, shape.chat_template_known, shape.licence) == ("{{ messages }}", True, "apache-2.0")
    assert [row.name for row in shape.linears] == [
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    ]
    assert shape.linears[0].count == 2
    assert locate(str(folder)) == folder


def test_a_bare_config_is_enough_for_the_shape(folder: Path) -> None:
    shape = describe(str(folder / "config.json"))
    assert (shape.source, shape.path, shape.chat_template_known) == ("config", None, False)
    assert shape.parameters == describe(str(folder)).parameters


def test_the_headers_dtype_wins_over_the_configs(folder: Path) -> None:
    (folder / "model.safetensors.index.json").unlink()
    for shard in folder.glob("*.safetensors"):
        shard.unlink()
    write_tensors(folder / "model.safetensors", families.tensors(LLAMA), "F32", 4)
    assert describe(str(folder)).dtype == "float32"


@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "garbage", "pointer", "header", "lacks", "entry"])
def test_a_broken_shard_is_named_in_one_sentence(folder: Path, damage: str) -> None:
    shard = folder / "model-00002-of-00002.safetensors"
    raw = shard.read_bytes()
    if damage == "missing":
        shard.unlink()
    elif damage == "lacks":
        write_tensors(shard, [("other", (2, 2))])
    elif damage == "entry":
        text = b'{"a": {"dtype": "F32", "shape": "x"}}'
        shard.write_bytes(struct.pack("<Q", len(text)) + text)
    else:
        content = {"cut": raw[:-7], "empty": b"", "garbage": os.urandom(64) + b"\xff" * 8,
                   "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
                   "header": raw[:40]}[damage]
        shard.write_bytes(content if damage != "garbage" else b"\xff" * 64)
    with pytest.raises(BadInput) as caught:
        describe(str(folder))
    assert shard.name in caught.value.what
    assert caught.value.hint
    assert locate(str(folder)) is None


def test_shards_without_an_index_must_be_all_there(folder: Path) -> None:
    (folder / "model.safetensors.index.json").unlink()
    assert describe(str(folder)).weight_bytes
    (folder / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(BadInput, match="Only 1 of the 2 weight files"):
        describe(str(folder))


def test_an_index_that_points_outside_the_folder_is_refused(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    with pytest.raises(BadInput, match="outside the folder"):
        describe(str(folder))


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({**LLAMA, "vocab_size": 51}))
    with pytest.raises(BadInput, match=r"don't belong to config\.json"):
        describe(str(folder))
    (folder / "config.json").write_text(json.dumps({**LLAMA, "num_hidden_layers": 3}))
    with pytest.raises(BadInput, match="layer 2 is missing"):
        describe(str(folder))


def test_an_unknown_family_is_counted_from_its_headers_and_says_so(folder: Path) -> None:
    config = {**LLAMA, "model_type": "brandnew", "architectures": ["BrandNewForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    shape = describe(str(folder))
    assert not shape.exact
    assert shape.parameters == sum(families_product(each) for _, each in families.tensors(LLAMA))
    assert {row.name: row.count for row in shape.linears}["down_proj"] == 2
    assert "headers" in (shape.inexact_reason or "")
    bare = describe(str(folder / "config.json"))
    assert not bare.exact
    assert bare.parameters == pytest.approx(shape.parameters, rel=0.02)


def test_what_stands_around_a_language_model_is_counted_by_the_weights_where_the_config_is_strange(
    folder: Path,
) -> None:
    plain = describe(str(folder))
    wrapped = {"model_type": "some_audio", "text_config": LLAMA, "audio_config": {}}
    (folder / "config.json").write_text(json.dumps(wrapped))
    assert (describe(str(folder)).other_parameters, describe(str(folder)).others_known) == (0, True)
    (folder / "model.safetensors.index.json").unlink()
    for shard in folder.glob("*.safetensors"):
        shard.unlink()
    tensors = [*families.tensors(LLAMA), ("audio_tower.conv.weight", (10, 16))]
    write_tensors(folder / "model.safetensors", tensors)
    shape = describe(str(folder))
    assert (shape.parameters, shape.other_parameters, shape.others_known) == (plain.parameters, 160, True)
    assert not describe(str(folder / "config.json")).others_known


def test_a_quantized_checkpoint_is_counted_as_unquantized(folder: Path) -> None:
    plain = describe(str(folder)).parameters
    for shard in folder.glob("*.safetensors"):
        shard.unlink()
    (folder / "model.safetensors.index.json").unlink()
    packed = [(name, (shape[0] * shape[1] // 2, 1)) if "proj" in name else (name, shape)
              for name, shape in families.tensors(LLAMA)]
    write_tensors(folder / "model.safetensors", packed, "U8", 1)
    for stated, named in (
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "nf4"),
        ({"load_in_8bit": True}, "int8"), ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "awq"}, "awq"),
    ):
        (folder / "config.json").write_text(json.dumps({**LLAMA, "quantization_config": stated}))
        shape = describe(str(folder))
        assert (shape.quantization, shape.parameters, shape.dtype) == (named, plain, "bfloat16")


@pytest.mark.parametrize(("scaling", "context"), [
    (None, 64), ({"rope_type": "default"}, 64), ({"type": "linear", "factor": 4.0}, 256),
    ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}, 128),
    ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8}, 64),
    ({"type": "longrope", "short_factor": [1], "long_factor": [2]}, 64), ({"type": "dynamic", "factor": None}, 64),
    ({"type": "linear", "factor": "four"}, 64), ("nonsense", 64),
])
def test_the_context_length_follows_the_rope_scaling(folder: Path, scaling: Any, context: int) -> None:
    (folder / "config.json").write_text(json.dumps({**LLAMA, "rope_scaling": scaling}))
    assert describe(str(folder)).context_length == context


@pytest.mark.parametrize(("name", "content", "template"), [
    ("tokenizer_config.json", {"chat_template": [{"name": "tool_use", "template": "T"},
                                                 {"name": "default", "template": "D"}]}, "D"),
    ("tokenizer_config.json", {"chat_template": None}, None),
    ("tokenizer_config.json", {"chat_template": 5}, None),
    ("chat_template.json", {"chat_template": "J"}, "J"),
    ("chat_template.jinja", "{% for %}", "{% for %}"),
])
def test_the_chat_template_is_found_where_transformers_looks(
    folder: Path, name: str, content: Any, template: str | None
) -> None:
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    assert describe(str(folder)).chat_template == template


@pytest.mark.parametrize(("card", "licence"), [
    ("---\nlicense: other\nlicense_name: gemma\n---\n", "gemma"), ("---\nlicense: [mit, apache-2.0]\n---\n", "mit"),
    ("no front matter", None), ("---\nlicense: [broken\n---\n", None), ("---\nnever closed", None), ("\xff", None),
])
def test_the_licence_comes_from_the_cards_front_matter(folder: Path, card: str, licence: str | None) -> None:
    (folder / "README.md").write_bytes(card.encode("latin-1"))
    assert describe(str(folder)).licence == licence


def test_a_multimodal_configs_language_model_is_counted_and_said(folder: Path) -> None:
    text = {"model_type": "gemma3_text", "hidden_size": 64, "num_hidden_layers": 7, "intermediate_size": 96}
    config = {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": text,
              "vision_config": {"hidden_size": 32}, "torch_dtype": "bfloat16"}
    path = folder / "alone.json"
    path.write_text(json.dumps(config))
    shape = describe(str(path))
    assert (shape.heads, shape.kv_heads, shape.head_dim, shape.vocab) == (8, 4, 256, 262208)
    assert (shape.sliding_layers, shape.tied_embeddings, shape.dtype) == (6, True, "bfloat16")
    assert any("language model is counted" in note for note in shape.notes)


def bad_references(folder: Path) -> dict[str, str]:
    root = folder.parent
    (root / "empty").mkdir()
    (root / "outer" / "inner").mkdir(parents=True)
    (root / "outer" / "inner" / "config.json").write_text("{}")
    (root / "adapter").mkdir()
    (root / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "Qwen/Qwen3-0.6B"}')
    (root / "gguf").mkdir()
    (root / "gguf" / "model.gguf").write_bytes(b"GGUF")
    (root / "loop").symlink_to(root / "loop")
    (root / "dangling").symlink_to(root / "nowhere")
    os.mkfifo(root / "pipe")
    files = {"binary.json": os.urandom(200) + b"\xff\xfe", "broken.json": b'{"a": ',
             "list.json": b"[1]", "none.json": b"",
             "deep.json": b"[" * 100_000, "sizeless.json": b'{"model_type": "llama"}',
             "foreign.json": b'{"model_type": "bert-like"}', "weights.safetensors": b"1"}
    for name, content in files.items():
        (root / name).write_bytes(content)
    return {
        "empty": "it is empty", "outer": "no config.json", "adapter": "an adapter", "gguf": "GGUF files only",
        "loop": "can't be opened", "pipe": "no regular file",
        "dangling": "no folder or file", "absent": "no folder or file",
        "binary.json": "text file", "broken.json": "not valid JSON", "list.json": "no JSON object",
        "none.json": "not valid JSON", "deep.json": "not valid JSON", "sizeless.json": "hidden_size",
        "foreign.json": "hidden_size", "weights.safetensors": "weight file",
    }


def test_whatever_is_no_model_is_refused_with_what_to_do(folder: Path) -> None:
    for name, said in bad_references(folder).items():
        with pytest.raises(FtuiError, match=said) as caught:
            describe(str(folder.parent / name))
        assert caught.value.hint, name
        assert caught.value.exit_code == 2
        assert locate(str(folder.parent / name)) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_says_so(folder: Path) -> None:
    (folder / "config.json").chmod(0)
    with pytest.raises(BadInput, match="permission"):
        describe(str(folder))


@pytest.mark.parametrize("ref", ["", "   ", "a\0b", "/" + "x" * 5000, "~nobody-there/x"])
def test_references_that_can_name_nothing_are_refused(ref: str) -> None:
    with pytest.raises(FtuiError):
        describe(ref)


@given(raw=st.binary(max_size=400))
@settings(max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_the_header_reader_do_anything_but_read_or_refuse(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "any.safetensors"
    path.write_bytes(raw)
    try:
        tensors, size = headers.read_header(path)
    except BadInput:
        return
    assert size == len(raw)
    assert isinstance(tensors, dict)


@given(config=st.dictionaries(st.sampled_from([
    "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "text_config",
    "rope_scaling", "architectures", "dtype", "quantization_config", "sliding_window", "attn_logit_softcapping",
    "auto_map",
    "layer_types", "use_sliding_window", "n_embd", "n_layer", "num_experts", "head_dim",
]), st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 300), st.floats(allow_nan=False), st.text(max_size=6),
              st.sampled_from(sorted(FAMILIES))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=12), inner, max_size=3)),
    max_leaves=6,
)))
@settings(max_examples=120, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_config_makes_describe_do_anything_but_describe_or_refuse(tmp_path: Path, config: dict[str, Any]) -> None:
    path = tmp_path / "any.json"
    path.write_text(json.dumps(config))
    try:
        assert describe(str(path)).parameters > 0
    except FtuiError:
        return


def test_describing_loads_no_heavy_library(folder: Path) -> None:
    code = (
        "import sys; from ftui.models import catalogue, describe, locate\n"
        f"describe({str(folder)!r}); locate({str(folder)!r}); catalogue(); describe('qwen3-8b')\n"
        "print([name for name in ('torch', 'transformers', 'numpy', 'huggingface_hub', 'tokenizers', 'httpx2')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_single_file_wins_over_an_index_as_it_does_in_transformers(folder: Path) -> None:
    write_tensors(folder / "model.safetensors", families.tensors(LLAMA))
    (folder / "model-00001-of-00002.safetensors").unlink()
    assert describe(str(folder)).weight_bytes == (folder / "model.safetensors").stat().st_size


def test_pickled_weights_must_be_all_there_and_no_pointers(folder: Path) -> None:
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadInput, match="Git LFS pointer"):
        describe(str(folder))
    (folder / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "pytorch_model-1.bin"}}')
    with pytest.raises(BadInput, match=r"pytorch_model-1\.bin of tiny-llama is missing"):
        describe(str(folder))


def test_a_shape_can_be_a_key_for_what_is_remembered_by_model() -> None:
    shape = describe("demo")
    assert {shape: 1}[describe("demo")] == 1
