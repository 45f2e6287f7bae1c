"""The `extend` job: new tokens with rows of their own, in a folder that plain transformers and all of ftui take."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data.tokenizer import load_tokenizer
from ftui.models import describe
from ftui.models.extended import added_tokens
from ftui.runs.added_tokens import with_added_tokens
from ftui.runs.folder import create

from .conftest import Ran, resolved, work

pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("worker")]

GEMMA = ["<start_of_turn>", "<end_of_turn>"]
"""Tokens that the embedded tokenizer lacks."""


@pytest.fixture
def base(random_demo: Path, tmp_path: Path) -> Callable[..., Path]:
    """The embedded tokenizer with random weights in a folder of its own, tied or not, whole or in shards."""

    def make(dtype: str = "float32", shards: str = "1GB", **config: Any) -> Path:
        import torch
        from transformers.models.llama import LlamaConfig, LlamaForCausalLM

        from ftui.models import demo

        folder = tmp_path / "base"
        shutil.copytree(random_demo, folder)
        (folder / "model.safetensors").unlink()
        torch.manual_seed(1)
        sizes = {**{name: value for name, value in demo.CONFIG.items() if name != "architectures"}, **config}
        model = LlamaForCausalLM(LlamaConfig(**sizes)).to(getattr(torch, dtype))
        model.save_pretrained(folder, max_shard_size=shards)
        return folder

    return make


def extended(folder: Path, out: Path, tokens: list[str] = GEMMA, template: str | None = "gemma") -> Ran:
    args = {"ref": str(folder), "revision": None, "tokens": tokens, "template": template,
            "end": tokens[-1] if template else None, "out": str(out)}  # fmt: skip
    return work(create("extend", "extend", args=args, command="ftui models extend"))


@pytest.mark.parametrize(("dtype", "tied", "rows"), [("float32", True, 1280), ("bfloat16", False, 1283)])
def test_new_tokens_have_the_mean_of_their_pieces_and_all_else_is_as_it_was(
    base: Callable[..., Path], tmp_path: Path, dtype: str, tied: bool, rows: int
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, out = base(dtype, tie_word_embeddings=tied, vocab_size=rows), tmp_path / "extended"
    ran = extended(folder, out)
    assert ran.end["status"] == "finished", ran.end
    ours, plain = load_tokenizer(out), AutoTokenizer.from_pretrained(out)
    first = load_tokenizer(folder).vocab
    assert [ours.id_of(token) for token in GEMMA] == plain.convert_tokens_to_ids(GEMMA) == [first, first + 1]
    text = "<start_of_turn>user\nTell me where a monkey lives.<end_of_turn>\n"
    assert ours.encode(text) == plain(text, add_special_tokens=False)["input_ids"]
    assert ours.eos_token == plain.eos_token == "<end_of_turn>"
    old, new = (AutoModelForCausalLM.from_pretrained(each, dtype="auto") for each in (folder, out))
    after = -(-(first + 2) // 64) * 64 if rows % 64 == 0 else max(rows, first + 2)
    assert describe(str(out)).exact
    assert describe(str(out)).vocab == new.config.vocab_size == after
    for read in (lambda model: model.model.embed_tokens.weight, lambda model: model.lm_head.weight):
        before, made = read(old), read(new)
        assert made.dtype == before.dtype
        assert len(made) == after
        assert torch.equal(made[:first], before[:first])
        for number, token in enumerate(GEMMA):
            pieces = before[load_tokenizer(folder).encode(token)].double().mean(0)
            assert torch.equal(made[first + number], pieces.to(before.dtype))
        assert not torch.equal(made[first], made[first + 1])
    ids = torch.tensor([ours.encode("Tell me where a monkey lives.")])
    with torch.no_grad():
        assert torch.equal(old(ids).logits[..., :first], new(ids).logits[..., :first])
    assert set(GEMMA) == set(added_tokens(str(out)))
    stops = json.loads((out / "generation_config.json").read_text())["eos_token_id"]
    assert stops[0] == first + 1


def test_weight_files_without_such_rows_are_linked(base: Callable[..., Path], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder, out = base(shards="1MB"), tmp_path / "extended"
    assert extended(folder, out).end["status"] == "finished"
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    same = [name for name in files if (folder / name).samefile(out / name)]
    assert len(files) > 1
    assert 0 < len(same) < len(files)
    found: Any = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)[1]  # type: ignore[index]
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_lora_trains_the_new_rows_and_plain_peft_has_them(base: Callable[..., Path], tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder, out = base(), tmp_path / "extended"
    assert extended(folder, out).end["status"] == "finished"
    recipe = with_added_tokens(resolved(model__base=str(out), data__template="auto"))
    assert recipe.adapter.tokens == tuple(GEMMA)  # type: ignore[union-attr]  # LoRA's
    ran = work(create("train", "t", command="ftui launch t", recipe=recipe))
    assert ran.end["status"] == "finished", ran.end
    plain: Any = AutoModelForCausalLM.from_pretrained(out)
    before = plain.get_input_embeddings().weight.detach().clone()
    tuned: Any = PeftModel.from_pretrained(plain, str(ran.run.output)).merge_and_unload()
    after = tuned.get_input_embeddings().weight.detach()
    changed = [int(row) for row in (before != after).any(1).nonzero()]
    assert changed == [load_tokenizer(out).id_of(token) for token in GEMMA]
    assert torch.isfinite(after).all()


def test_tokens_that_are_there_already_are_said(base: Callable[..., Path], tmp_path: Path) -> None:
    ran = extended(base(), tmp_path / "extended", ["<|im_start|>"], None)
    assert ran.end["status"] == "failed"
    assert "has all of these tokens already" in ran.end["text"]
    assert not (tmp_path / "extended").exists()


def test_what_has_come_to_lie_there_is_not_written_over(base: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "extended").mkdir()
    (tmp_path / "extended" / "mine").touch()
    ran = extended(base(), tmp_path / "extended")
    assert "is there already" in ran.end["text"]
    assert (tmp_path / "extended" / "mine").exists()


def test_a_model_without_safetensors_is_refused_and_nothing_is_left(base: Callable[..., Path], tmp_path: Path) -> None:
    folder = base()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    ran = extended(folder, tmp_path / "extended")
    assert ran.end["status"] == "failed"
    assert "no safetensors files" in ran.end["text"]
    assert sorted(path.name for path in tmp_path.iterdir() if "extended" in path.name) == []
