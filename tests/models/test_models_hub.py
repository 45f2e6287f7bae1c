"""The hub through a local server: describing, searching, logins, and what each fault says to a person."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from ftui import paths
from ftui.errors import BadInput, FtuiError, Refused
from ftui.models import catalogue, describe, download, families, locate, search, tokenizer_folder
from ftui.models import hub as hub_module


def count(config: dict[str, Any]) -> int:
    return sum(math.prod(shape) for _, shape in families.tensors(config))


def log_in(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)


def test_a_model_is_described_without_its_weights(hub: Any, llama: dict[str, Any]) -> None:
    shape = describe("tiny/llama")
    assert (shape.source, shape.exact, shape.parameters) == ("hub", True, count(llama))
    assert shape.revision == hub.repos["tiny/llama"].sha
    assert (shape.chat_template, shape.licence, shape.gated, shape.dtype) == (
        "{{ messages }}", "apache-2.0", False, "bfloat16",
    )
    assert shape.weight_bytes == sum(map(len, hub.weights("tiny/llama").values()))
    assert not hub.sent("/cdn/")
    assert locate("tiny/llama") is None


def test_a_second_look_asks_only_whether_it_changed(hub: Any) -> None:
    first = describe("tiny/llama")
    hub.requests.clear()
    assert describe("tiny/llama") == first
    assert [path.split("?")[0] for _, path, _ in hub.requests] == ["/api/models/tiny/llama"]
    hub.add("tiny/llama", hub.files({"hidden_size": 32}))
    assert describe("tiny/llama").hidden == 32


def test_what_was_seen_once_is_known_when_the_hub_is_away(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = describe("tiny/llama")
    hub.status = 503
    away = describe("tiny/llama")
    assert away.parameters == seen.parameters
    assert any("HTTP 503" in note for note in away.notes)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert describe("tiny/llama").parameters == seen.parameters


def test_an_unknown_family_is_counted_from_headers_read_by_range(hub: Any, llama: dict[str, Any]) -> None:
    hub.add("tiny/strange", hub.files({"model_type": "strange"}))
    shape = describe("tiny/strange")
    assert (shape.exact, shape.parameters) == (False, count(llama))
    assert {row.name for row in shape.linears} >= {"q_proj", "down_proj"}
    assert all("range" in headers for method, _, headers in hub.sent("/cdn/") if method == "GET")


def test_a_missing_model_names_the_nearest_of_the_catalogue(hub: Any) -> None:
    with pytest.raises(BadInput, match="no model Qwen/Qwen3-8") as caught:
        describe("Qwen/Qwen3-8")
    assert "Qwen/Qwen3-8B" in (caught.value.hint or "")
    assert "ftui models search" in (caught.value.hint or "")


def test_a_missing_revision_is_named(hub: Any) -> None:
    with pytest.raises(BadInput, match="no revision 'v9'"):
        describe("tiny/llama", "v9")


def test_a_gated_model_says_where_to_accept_and_how_to_log_in(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("tiny/gated", gated=True)
    with pytest.raises(Refused, match="gated") as caught:
        describe("tiny/gated")
    assert f"{hub.url}/tiny/gated" in (caught.value.hint or "")
    assert "ftui login" in (caught.value.hint or "")
    log_in(monkeypatch, "hf_" + "x" * 30)
    with pytest.raises(Refused, match="has no access"):
        describe("tiny/gated")
    log_in(monkeypatch, hub.token)
    assert describe("tiny/gated").gated is True


def test_a_gated_model_of_the_catalogue_is_still_known(hub: Any) -> None:
    hub.add("meta-llama/Llama-3.2-1B-Instruct", gated=True)
    shape = describe("meta-llama/Llama-3.2-1B-Instruct")
    assert (shape.source, shape.gated, shape.parameters) == ("catalogue", True, 1_235_814_400)
    assert any("Accept it at" in note for note in shape.notes)


def test_a_private_model_looks_missing_until_one_logs_in(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("tiny/private", private=True)
    with pytest.raises(BadInput, match="or it is private"):
        describe("tiny/private")
    log_in(monkeypatch, hub.token)
    assert describe("tiny/private").layers == 3


@pytest.mark.parametrize(("status", "said"), [(429, "fewer requests"), (500, "HTTP 500"), (418, "HTTP 418")])
def test_a_hub_in_trouble_is_said_in_one_sentence(
    hub: Any, status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    hub.status = status
    with pytest.raises(Refused, match=said):
        describe("tiny/unseen")


def test_a_slow_hub_is_given_up_on_in_time(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "TIMEOUT", 0.1)
    hub.delay = 1.0
    with pytest.raises(Refused, match="didn't answer in time"):
        describe("tiny/llama")
    assert describe("Qwen/Qwen3-8B").source == "catalogue"


def test_a_dead_hub_is_said_in_one_sentence(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Refused, match="can't be reached"):
        describe("tiny/llama")
    assert describe("qwen3-8b").ref == "Qwen/Qwen3-8B"


@pytest.mark.parametrize(("files", "said"), [
    ({"adapter_config.json": b"{}"}, "is an adapter"), ({"model.gguf": b"G"}, "GGUF files only"),
    ({"data.csv": b""}, "no config.json"), ({"config.json": b"{nonsense"}, "not valid JSON"),
    ({"config.json": b'{"model_type": "llama"}'}, "hidden_size"),
])
def test_what_cannot_be_trained_is_refused(hub: Any, files: dict[str, bytes], said: str) -> None:
    hub.add("tiny/odd", files)
    with pytest.raises(BadInput, match=said):
        describe("tiny/odd")


@pytest.mark.parametrize("ref", ["two words", "a//b", "a/b c", "-x/y", "x/..", "näme/x", "x" * 200, "a--b/c"])
def test_a_bad_id_is_refused_before_anything_is_asked(hub: Any, ref: str) -> None:
    with pytest.raises(FtuiError):
        describe(ref)
    assert not hub.requests


def test_offline_an_unknown_model_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="HF_HUB_OFFLINE") as caught:
        describe("somebody/something")
    assert "ftui models list" in (caught.value.hint or "")


def test_offline_the_catalogue_answers_by_any_of_its_names() -> None:
    for ref in ("Qwen/Qwen3-8B", "qwen/qwen3-8b", "qwen3-8b"):
        assert (describe(ref).source, describe(ref).ref) == ("catalogue", "Qwen/Qwen3-8B")
    assert describe("meta-llama/Llama-3.1-8B").ref == "meta-llama/Llama-3.1-8B"


def test_search_finds_by_downloads_and_says_size_licence_and_gate(hub: Any) -> None:
    hub.add("other/llama-big", downloads=500, gated=True, licence="llama3.1")
    hub.add("other/qwen", downloads=900)
    found = search("llama")
    assert [each.id for each in found] == ["other/llama-big", "tiny/llama"]
    assert (found[0].gated, found[0].licence, found[0].downloads, found[0].source) == (True, "llama3.1", 500, "hub")
    assert found[1].parameters
    assert len(search("llama", limit=1)) == 1
    assert json.dumps([each.as_dict() for each in found])


def test_offline_search_looks_into_the_catalogue_and_says_so() -> None:
    found = search("qwen3")
    assert {each.source for each in found} == {"catalogue"}
    assert "HF_HUB_OFFLINE" in (found[0].reason or "")
    assert all("qwen3" in each.id.lower() for each in found)
    assert search("nothing like that") == ()
    for query, limit in (("", 5), ("x", 0)):
        with pytest.raises(BadInput):
            search(query, limit)


def test_a_token_goes_to_the_hub_only_and_into_no_file_or_message(
    hub: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    log_in(monkeypatch, hub.token)
    caplog.set_level(logging.DEBUG)
    hub.add("tiny/gated", gated=True)
    download("tiny/gated")
    assert {headers.get("authorization") for _, _, headers in hub.sent("/resolve/")} == {f"Bearer {hub.token}"}
    assert {headers.get("authorization") for _, _, headers in hub.sent("/cdn/")} == {None}
    hub.status = 403
    for ref in ("tiny/unseen", hub.token, f"a/{hub.token}"):
        with pytest.raises(FtuiError) as caught:
            describe(ref)
        assert hub.token not in str(caught.value)
    kept = [path for path in [*paths.home().rglob("*"), *tmp_path.rglob("*")] if path.is_file()]
    assert kept
    assert not [path for path in kept if hub.token.encode() in path.read_bytes()]
    assert hub.token not in caplog.text


def test_scrub_takes_out_whatever_could_be_a_token() -> None:
    text = "GET https://cdn/x?Signature=abc&token=zzz Authorization: Bearer abc.def hf_abcdefgh1234"
    clean = hub_module.scrub(text)
    for secret in ("abc.def", "hf_abcdefgh1234", "=abc", "=zzz"):
        assert secret not in clean


def test_every_entry_of_the_catalogue_counts_to_its_published_size() -> None:
    entries = catalogue()
    assert len(entries) >= 30
    assert len({name for entry in entries for name in (entry.id, *entry.also)}) == sum(1 + len(e.also) for e in entries)
    for entry in entries:
        assert entry.shape.exact, entry.id
        assert entry.shape.parameters == entry.published.parameters, entry.id
        assert entry.source == f"https://huggingface.co/{entry.id}/blob/main/config.json"
        assert len(entry.sources) > 1, entry.id
        assert entry.good_at.endswith("."), entry.id
        assert len(entry.good_at) < 110, entry.id
        assert entry.goals or entry.shape.other_parameters, f"{entry.id} is for no goal, and sees nothing"
        assert entry.shape.ref == entry.id
    assert {entry.shape.model_type for entry in entries} >= {
        "llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "mistral", "mixtral", "phi3", "gpt2", "gpt_neox",
    }
    for goal in ("chat", "instruct", "classify", "domain", "code", "reasoning"):
        assert sum(goal in entry.goals for entry in entries) >= 3


def test_a_hanging_hub_never_holds_up_a_search(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "TIMEOUT", 0.1)
    hub.delay = 1.0
    found = search("qwen3")
    assert found[0].source == "catalogue"
    assert "didn't answer in time" in (found[0].reason or "")


def test_a_model_that_another_tool_fetched_in_part_is_described_offline(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import hf_hub_download

    for name in ("config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        hf_hub_download("tiny/llama", name, cache_dir=paths.hub_cache_dir(), endpoint=hub.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shape = describe("tiny/llama")
    assert (shape.layers, shape.path, shape.source) == (3, None, "hub")
    assert any("aren't on this disk" in note for note in shape.notes)
    assert locate("tiny/llama") is None


def test_the_tokenizers_files_alone_can_be_had(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tokenizer_folder("tiny/llama")
    assert {path.name for path in folder.iterdir()} == {"config.json", "tokenizer.json", "tokenizer_config.json"}
    hub.requests.clear()
    assert tokenizer_folder("tiny/llama") == folder
    assert not hub.requests
    hub.add("tiny/gated", gated=True)
    with pytest.raises(Refused, match="gated"):
        tokenizer_folder("tiny/gated")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Refused, match="HF_HUB_OFFLINE"):
        tokenizer_folder("tiny/other")
    assert tokenizer_folder(str(folder)) == folder


def test_a_catalogue_name_is_fetched_by_its_hub_id(hub: Any) -> None:
    hub.add("Qwen/Qwen3-0.6B")
    assert tokenizer_folder("qwen3-0.6b").parent.parent.name == "models--Qwen--Qwen3-0.6B"
    assert download("qwen3-0.6b") == locate("qwen3-0.6b") == locate("Qwen/Qwen3-0.6B")
