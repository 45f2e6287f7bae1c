"""A model's own Python code: read as text, pinned by a hash, agreed to one hash at a time, and never imported here."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.errors import BadInput, FtuiError, Refused
from ftui.models import describe, fetch, own_code, trusted

CODE = {"modeling_x.py": b"from .blocks import Block\n", "blocks.py": b"class Block: ...\n"}
MAP = {"AutoModelForCausalLM": "modeling_x.XForCausalLM", "AutoTokenizer": ["tok.Slow", None]}


@pytest.fixture
def folder(make_own_code: Callable[[Path], Path], tmp_path: Path) -> Path:
    return make_own_code(tmp_path / "own")


@pytest.fixture
def on_hub(hub: Any) -> Any:
    """The hub with `far/own`, which needs code of its own."""
    files = hub.files()
    config = {**json.loads(files["config.json"]), "model_type": "tiny_own", "auto_map": MAP}
    hub.add("far/own", {**files, **CODE, "config.json": json.dumps(config).encode()})
    return hub


def test_code_that_transformers_no_longer_needs_is_not_asked_for(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "phi3"}))
    assert describe(str(folder)).remote_code is False
    assert own_code.look(str(folder)) is None


def test_the_hash_of_a_folder_stands_for_every_byte_of_its_code_and_for_what_is_loaded(folder: Path) -> None:
    first = own_code.look(str(folder))
    assert first is not None
    assert first.hash.startswith("sha256:")
    assert list(first.files) == ["configuration_tiny_own.py", "modeling_tiny_own.py"]
    seen = {first.hash}
    for change in (
        lambda: (folder / "modeling_tiny_own.py").write_bytes(first.files["modeling_tiny_own.py"] + b"\n"),
        lambda: (folder / "beside.py").write_text("x = 1"),
        lambda: (folder / "beside.py").rename(folder / "aside.py"),
        lambda: (folder / "config.json").write_text(
            (folder / "config.json").read_text().replace("TinyOwnConfig", "OtherConfig")
        ),
    ):
        change()
        found = own_code.look(str(folder))
        assert found is not None
        seen.add(found.hash)
    assert len(seen) == 5


def test_a_hub_model_s_code_is_fetched_alone_and_pinned_by_its_commit(on_hub: Any) -> None:
    code = own_code.look("far/own")
    assert code is not None
    assert code.hash == on_hub.repos["far/own"].sha
    assert dict(code.files) == CODE
    assert (code.author, code.classes) == ("far", {"AutoModelForCausalLM": MAP["AutoModelForCausalLM"]})
    assert not on_hub.sent(".safetensors")
    assert describe("far/own").remote_code


def test_the_code_comes_along_where_the_model_was_fetched_without_it(on_hub: Any) -> None:
    from ftui.models import download

    download("far/own")
    assert not on_hub.sent("blocks.py")
    code = own_code.look("far/own")
    assert code is not None
    assert dict(code.files) == CODE


def test_code_changed_in_the_hub_s_cache_is_no_longer_that_commit(on_hub: Any, snapshot_of: Any) -> None:
    sha = on_hub.repos["far/own"].sha
    own_code.look("far/own")
    blob = (snapshot_of("far/own", sha) / "blocks.py").resolve()
    blob.write_bytes(b"import os; os.system('true')\n")
    with pytest.raises(Refused, match=r"blocks\.py .* was changed here"):
        own_code.look("far/own")
    pointer = snapshot_of("far/own", sha) / "blocks.py"
    pointer.unlink()
    pointer.write_bytes(b"a plain file in its place\n")
    with pytest.raises(Refused, match="was changed here"):
        own_code.look("far/own")


@pytest.mark.parametrize(("named", "said"), [
    ("other/repo--modeling.X", "from another repository"),
    ("/etc/modeling.X", "no file of it"),
    ("../up.X", "no file of it"),
    ("modeling_tiny_own.X.Y", "no file of it"),
    ("gone.X", r"gone\.py, which isn't there"),
])
def test_code_that_is_not_among_the_model_s_own_files_is_refused(folder: Path, named: str, said: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": named}}))
    with pytest.raises(BadInput, match=said):
        own_code.look(str(folder))


def test_a_file_that_the_code_imports_must_be_there_too(folder: Path) -> None:
    (folder / "configuration_tiny_own.py").write_text("from .more import Something\n")
    with pytest.raises(BadInput, match=r"more\.py"):
        own_code.look(str(folder))


def test_a_folder_full_of_code_is_no_model(folder: Path) -> None:
    (folder / "huge.py").write_bytes(b"#" * (own_code.MOST_BYTES + 1))
    with pytest.raises(BadInput, match="more Python code than a model has"):
        own_code.look(str(folder))


def test_consent_is_for_one_hash_of_one_model_and_can_be_taken_back(folder: Path, own_home: Path) -> None:
    code = own_code.look(str(folder))
    assert code is not None
    assert trusted.untrusted(str(folder), None, None) is not None
    trusted.trust(code)
    assert trusted.untrusted(str(folder), None, None) is None
    assert not trusted.trusted("/another/folder", code.hash)
    assert stat.S_IMODE((own_home / trusted.FILE).stat().st_mode) == 0o600
    (folder / "modeling_tiny_own.py").write_text("changed = True\n")
    what, hint = trusted.untrusted(str(folder), None, code.hash) or ("", "")
    assert "not the one that was agreed to" in what
    changed = own_code.look(str(folder))
    assert changed is not None
    assert f"--set model.trust_code={changed.hash}" in hint
    assert "needs Python code of its own" in (trusted.untrusted(str(folder), None, None) or ("", ""))[0]
    assert trusted.distrust(str(folder)) == 1
    assert not trusted.trusted(code.ref, code.hash)


def test_one_can_t_agree_to_a_hash_that_the_code_doesn_t_have(folder: Path) -> None:
    with pytest.raises(Refused, match="not the one that was agreed to"):
        trusted.agree(str(folder), None, "sha256:" + "0" * 64)
    assert trusted.untrusted(str(folder), None, None) is not None


@pytest.mark.parametrize("how", ["writable", "stranger", "link", "garbage"])
def test_a_list_of_consents_that_others_may_have_written_trusts_nobody(
    folder: Path, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    code = own_code.look(str(folder))
    assert code is not None
    trusted.trust(code)
    path = own_home / trusted.FILE
    if how == "writable":
        path.chmod(0o666)
    elif how == "stranger":
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    elif how == "link":
        path.rename(tmp_path / "elsewhere.json")
        path.symlink_to(tmp_path / "elsewhere.json")
    else:
        path.write_text('{"not": "a list"')
    assert not trusted.trusted(code.ref, code.hash)


def test_what_the_hub_calls_a_file_can_t_leave_the_cache() -> None:
    class Sibling:
        lfs = None
        size = 1

        def __init__(self, name: str, etag: str = "0" * 40) -> None:
            self.rfilename, self.blob_id = name, etag

    class Info:
        siblings = [
            Sibling("config.json"), Sibling("../up.json"), Sibling("/etc/up.json"), Sibling("a//b.json"),
            Sibling("additional_chat_templates/../../up.jinja"), Sibling("a\0b.json"),
            Sibling("tokenizer.json", "../../../up"),
        ]

    assert [each.name for each in fetch.files_of(Info())] == ["config.json"]
    with pytest.raises(FtuiError, match="names no commit"):
        fetch.Fetcher("far/own", "../../up")


@pytest.mark.parametrize("revision", ["../../up", "/etc/passwd", "..", "a//b", "a\0b"])
def test_a_revision_in_a_recipe_can_t_leave_the_hub_s_cache(hub: Any, revision: str, tmp_path: Path) -> None:
    hub.add("tiny/model")
    with pytest.raises(BadInput, match="no branch, tag or commit"):
        describe("tiny/model", revision)
    with pytest.raises(BadInput, match="no branch, tag or commit"):
        fetch.Fetcher("tiny/model", "0" * 40).link([], revision)
