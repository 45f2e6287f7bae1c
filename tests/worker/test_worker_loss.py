"""The loss without logits equals the plain one; what is masked or packed apart stays apart."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from ftui.worker import loss as loss_module  # noqa: E402  (after the check for torch)
from ftui.worker.collate import Collator  # noqa: E402
from ftui.worker.loss import Weighting, add_loss, trained_loss  # noqa: E402


def row(ids: list[int], trained: list[int], lengths: list[int] | None = None) -> Any:
    labels = [token if keep else -100 for token, keep in zip(ids, trained, strict=True)]
    return {"input_ids": ids, "labels": labels, "seq_lengths": lengths or [len(ids)]}


def tiny(**changes: Any) -> Any:
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    settings: dict[str, Any] = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 97, "tie_word_embeddings": True,
    }
    torch.manual_seed(3)
    return LlamaForCausalLM(LlamaConfig(**settings | changes)).float()


ROWS = [row(list(range(1, 20)), [0] * 7 + [1] * 12), row(list(range(30, 41)), [0, 0, 0] + [1] * 8)]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_loss_and_gradients_equal_the_plain_ones(tied: bool, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loss_module.CHUNK_BYTES, "cpu", chunk * 4 * 97)
    batch = Collator(pad_id=0)(ROWS)
    batch.pop("tokens")
    model = tiny(tie_word_embeddings=tied)
    plain = model(**batch).loss
    plain.backward()
    wanted = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    add_loss(model)
    output = model(**batch, summed_loss=True)
    mean = output.loss / output.count
    mean.backward()
    assert mean.item() == pytest.approx(plain.item(), abs=1e-6)
    assert int(output.count) == 20
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, wanted[name], atol=1e-6), name


def test_soft_caps_factors_and_biases_have_their_part_in_the_gradient() -> None:
    from types import SimpleNamespace

    torch.manual_seed(0)
    hidden = torch.randn(2, 6, 8, dtype=torch.float64, requires_grad=True)
    head = torch.nn.Linear(8, 11).double()
    labels = torch.randint(0, 11, (2, 6))
    labels[0, :3] = -100
    config = SimpleNamespace(final_logit_softcapping=3.0, logit_scale=0.5)

    def plain() -> Any:
        logits = 3.0 * torch.tanh(head(hidden) * 0.5 / 3.0)
        return torch.nn.functional.cross_entropy(
            logits[:, :-1].reshape(-1, 11), labels[:, 1:].reshape(-1), ignore_index=-100, reduction="sum"
        )

    parameters = [hidden, head.weight, head.bias]
    wanted = torch.autograd.grad(plain(), parameters)
    found = torch.autograd.grad(trained_loss(hidden, labels, head, config).loss, parameters)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_tokens_that_are_not_trained_give_no_gradient() -> None:
    model = tiny()
    add_loss(model)
    batch = Collator(pad_id=0)([row(list(range(1, 9)), [0] * 8)])
    batch.pop("tokens")
    output = model(**batch, summed_loss=True)
    output.loss.backward()
    assert output.loss.item() == 0
    assert int(output.count) == 0
    assert all(not parameter.grad.any() for parameter in model.parameters() if parameter.grad is not None)

    hidden = torch.randn(1, 8, 32, requires_grad=True)
    labels = torch.tensor([row(list(range(1, 9)), [0, 0, 0, 1, 1, 0, 0, 1])["labels"]])
    trained_loss(hidden, labels, model.get_output_embeddings(), model.config).loss.backward()
    # A token is predicted from the place before it.
    assert hidden.grad[0].abs().sum(-1).gt(0).tolist() == [False, False, True, True, False, False, True, False]


def test_packed_rows_do_not_see_each_other() -> None:
    model = tiny()
    add_loss(model)
    one, other = row([5, 6, 7, 8], [0, 1, 1, 1]), row([11, 12, 13], [0, 1, 1])
    packed = row([5, 6, 7, 8, 11, 12, 13], [0, 1, 1, 1, 0, 1, 1], [4, 3])
    longer = row(list(range(20, 30)), [0] + [1] * 9, [10])
    alone = 0.0
    with torch.no_grad():
        for rows in ([one], [other], [longer]):
            batch = Collator(pad_id=0)(rows)
            batch.pop("tokens")
            alone += model(**batch, summed_loss=True).loss.item()
        batch = Collator(pad_id=0, packed=True)([packed, longer])
        assert batch.pop("tokens") == 17
        together = model(**batch, summed_loss=True)
    assert together.loss.item() == pytest.approx(alone, abs=1e-4)
    assert int(together.count) == 3 + 2 + 9


def test_flattened_for_flash_attention_the_boundaries_are_those_of_the_rows() -> None:
    packed = row([5, 6, 7, 8, 11, 12, 13], [0, 1, 1, 1, 0, 1, 1], [4, 3])
    batch = Collator(pad_id=0, packed=True, flatten=True, boundaries=True, multiple=8)([packed, row([1, 2], [0, 1])])
    assert batch["input_ids"].shape == (1, 16)
    assert batch["cu_seq_lens_q"].tolist() == [0, 4, 7, 9, 16]
    assert batch["position_ids"][0].tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, *range(7)]
    assert batch["labels"][0, 9:].eq(-100).all()
    assert batch["tokens"] == 9


def test_padding_is_on_the_right_and_masked() -> None:
    batch = Collator(pad_id=9, multiple=4)([row([1, 2, 3], [0, 1, 1]), row([4, 5, 6, 7, 8], [0, 0, 1, 1, 1])])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 9, 9, 9, 9, 9], [4, 5, 6, 7, 8, 9, 9, 9]]
    assert batch["attention_mask"].sum(1).tolist() == [3, 5]
    assert batch["labels"][0].tolist() == [-100, 2, 3, -100, -100, -100, -100, -100]


def test_generation_is_as_it_was() -> None:
    model = tiny()
    ids = torch.tensor([[1, 2, 3]])
    plain = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False)
    add_loss(model)
    patched = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False)
    assert patched.tolist() == plain.tolist()


FAMILIES: dict[str, dict[str, Any]] = {
    "mistral": {}, "qwen2": {}, "qwen3": {"head_dim": 8}, "phi3": {"pad_token_id": 0},
    "gemma2": {"head_dim": 8, "sliding_window": 8}, "gemma3_text": {"head_dim": 8, "sliding_window": 8},
    "gpt_neox": {}, "mixtral": {"num_local_experts": 4}, "cohere": {"logit_scale": 0.25}, "granite": {},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_that_of_each_family(family: str) -> None:
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    sizes: dict[str, Any] = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    settings = {"vocab_size": 97, **({} if family == "gpt2" else sizes), **FAMILIES[family]}
    torch.manual_seed(3)
    config = CONFIG_MAPPING[family](**settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    batch = Collator(pad_id=0)(ROWS)
    batch.pop("tokens")
    with torch.no_grad():
        plain = model(**batch, use_cache=False).loss
    add_loss(model)
    output = model(**batch, summed_loss=True)
    assert output.loss.item() / int(output.count) == pytest.approx(plain.item(), abs=2e-5)
    output.loss.backward()
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0


@pytest.mark.parametrize("weighting", [Weighting(dft=True), Weighting(smoothing=0.1)], ids=["dft", "smoothing"])
@pytest.mark.parametrize("chunk", [3, 1000])
def test_a_weighted_loss_and_its_gradients_equal_what_autograd_gives(
    weighting: Weighting, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    monkeypatch.setitem(loss_module.CHUNK_BYTES, "cpu", chunk * 4 * 11)
    torch.manual_seed(0)
    hidden = torch.randn(2, 6, 8, dtype=torch.float64, requires_grad=True)
    head = torch.nn.Linear(8, 11).double()
    labels = torch.randint(0, 11, (2, 6))
    labels[0, :3] = -100
    config = SimpleNamespace(final_logit_softcapping=3.0, logit_scale=0.5)

    def plain() -> Any:
        logits = (3.0 * torch.tanh(head(hidden) * 0.5 / 3.0))[:, :-1].reshape(-1, 11)
        losses = torch.nn.functional.cross_entropy(
            logits, labels[:, 1:].reshape(-1), ignore_index=-100, reduction="none", label_smoothing=weighting.smoothing
        )
        return (losses * (-losses).exp().detach() if weighting.dft else losses).sum()

    parameters = [hidden, head.weight, head.bias]
    wanted, found = plain(), trained_loss(hidden, labels, head, config, weighting).loss
    assert found.item() == pytest.approx(wanted.item(), abs=1e-5)
    for one, other in zip(
        torch.autograd.grad(found, parameters), torch.autograd.grad(wanted, parameters), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-5)


def test_dft_is_trls_and_an_evaluation_measures_the_plain_loss(tmp_path: Any) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from ftui.worker.trace.trainers import tokenizer

    batch = Collator(pad_id=0)(ROWS)
    batch.pop("tokens")
    model = tiny()
    plain = model.eval()(**batch).loss.item()
    trainer = SFTTrainer(
        model=model.train(), processing_class=tokenizer(), train_dataset=Dataset.from_list([{"input_ids": [0, 1]}]),
        args=SFTConfig(output_dir=str(tmp_path), loss_type="dft", report_to=[], use_cpu=True, bf16=False,
                       gradient_checkpointing=False, dataset_kwargs={"skip_prepare_dataset": True}),
    )  # fmt: skip
    theirs = trainer.compute_loss(model, dict(batch))
    theirs.backward()
    wanted = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    ours = tiny()
    ours.load_state_dict(model.state_dict())
    add_loss(ours, "chunked", Weighting(dft=True))
    output = ours.train()(**batch, summed_loss=True)
    (output.loss / output.count).backward()
    assert (output.loss / output.count).item() == pytest.approx(theirs.item(), abs=1e-6)
    for name, parameter in ours.named_parameters():
        assert torch.allclose(parameter.grad, wanted[name], atol=1e-6), name
    evaluated = ours.eval()(**batch, summed_loss=True)
    assert (evaluated.loss / evaluated.count).item() == pytest.approx(plain, abs=1e-6)
