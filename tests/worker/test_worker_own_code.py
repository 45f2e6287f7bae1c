"""A model's own code runs in the worker alone, only after consent, and only as it was agreed to."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.models import own_code, trusted
from ftui.recipe.document import Recipe
from ftui.runs.document import Event
from ftui.runs.folder import Run, create
from ftui.runs.follow import history

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]


@pytest.fixture
def folder(make_own_code: Callable[[Path], Path], tmp_path: Path) -> Path:
    return make_own_code(tmp_path / "own")


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the model's code writes when it is imported."""
    path = tmp_path / "the-code-ran"
    monkeypatch.setenv("TINY_OWN_CODE_RAN", str(path))
    return path


def agree(folder: Path) -> str:
    code = own_code.look(str(folder))
    assert code is not None
    trusted.trust(code)
    return code.hash


def end_of(run: Run) -> Event:
    """Do the run in a process of its own, as it is done, and return its end."""
    environment = {**os.environ, "TRANSFORMERS_VERBOSITY": "error"}
    log = run.log.open("ab")
    subprocess.run([sys.executable, "-m", "ftui.worker", str(run.path)], stdin=subprocess.DEVNULL, stdout=log,
                   stderr=log, env=environment, timeout=300)
    return history(run)[-1]


def asking(folder: Path, **args: Any) -> Run:
    """A run of the `count` job, the lightest that builds the model's class."""
    return create("count", "c", command="ftui models count", args={"ref": str(folder), "revision": None, **args})


def test_without_consent_nothing_of_it_is_imported(
    folder: Path, mark: Path, resolved: Callable[..., Recipe], own_home: Path
) -> None:
    for run in (
        create("train", "t", command="", recipe=resolved(model__base=str(folder))),
        # The recipe says a hash, and nobody here has agreed to it.
        create("train", "t", command="", recipe=resolved(model__base=str(folder), model__trust_code=hash_of(folder))),
        asking(folder),
    ):
        end = end_of(run)
        assert end.data["status"] == "failed"
        assert "code of its own" in end.data["text"]
        assert "ftui models code" in end.data["hint"]
    assert not mark.exists()
    assert not (own_home / "cache" / "code").exists()


def hash_of(folder: Path) -> str:
    code = own_code.look(str(folder))
    assert code is not None
    return code.hash


def test_with_consent_it_trains_answers_and_is_counted(
    folder: Path, mark: Path, resolved: Callable[..., Recipe]
) -> None:
    recipe = resolved(model__base=str(folder), model__trust_code=agree(folder), train__max_steps=2, adapter=None)
    run = create("train", "t", command="", recipe=recipe)
    assert end_of(run).data["status"] == "finished"
    assert mark.exists()
    assert recipe.model.trust_code is not None
    assert recipe.model.trust_code in run.log.read_text()
    # Saved whole, the model brings its code along.
    saved = json.loads((run.output / "config.json").read_text())
    assert saved["auto_map"]["AutoModelForCausalLM"] == "modeling_tiny_own.TinyOwnForCausalLM"
    assert (run.output / "modeling_tiny_own.py").read_bytes() == (folder / "modeling_tiny_own.py").read_bytes()
    answered = create("generate", "g", command="", parent=run.id, args={
        "run": run.id, "prompts": ["Hello"], "max_new_tokens": 2, "compare": False})
    assert end_of(answered).data["status"] == "finished", answered.log.read_text()
    assert end_of(asking(folder)).data["metrics"]["parameters"] == 59_552


@pytest.fixture
def commit(folder: Path, tmp_path: Path) -> str:
    """The model in the hub's cache as far/own, as huggingface_hub keeps it: its only commit."""
    repository, sha = tmp_path / "hf-home" / "hub" / "models--far--own", "3f2a" * 10
    for part in ("blobs", "refs", f"snapshots/{sha}"):
        (repository / part).mkdir(parents=True)
    (repository / "refs" / "main").write_text(sha)
    for path in folder.iterdir():
        content = path.read_bytes()
        large = path.suffix == ".safetensors"
        blob = hashlib.sha256(content) if large else hashlib.sha1(b"blob %d\0" % len(content) + content)
        (repository / "blobs" / blob.hexdigest()).write_bytes(content)
        (repository / "snapshots" / sha / path.name).symlink_to(f"../../blobs/{blob.hexdigest()}")
    return sha


def test_a_hub_s_model_runs_by_its_commit_and_not_when_the_cache_was_changed(
    commit: str, folder: Path, mark: Path, resolved: Callable[..., Recipe], tmp_path: Path
) -> None:
    assert trusted.agree("far/own", None, commit) is not None
    recipe = resolved(
        model__base="far/own", model__revision=commit, model__trust_code=commit, train__max_steps=1)
    run = create("train", "t", command="", recipe=recipe)
    assert end_of(run).data["status"] == "finished", run.log.read_text()
    assert mark.exists()
    card = (run.output / "README.md").read_text()
    assert f'revision="{commit}", trust_remote_code=True' in card
    mark.unlink()
    changed = tmp_path / "hf-home" / "hub" / "models--far--own" / "snapshots" / commit / "modeling_tiny_own.py"
    changed.resolve().write_text("from .configuration_tiny_own import TinyOwnConfig\n")
    again = create("train", "t", command="", recipe=recipe)
    assert "was changed here" in end_of(again).data["text"]
    assert not mark.exists()


def test_code_that_was_changed_since_is_refused_before_it_is_imported(
    folder: Path, mark: Path, resolved: Callable[..., Recipe]
) -> None:
    run = create("train", "t", command="", recipe=resolved(model__base=str(folder), model__trust_code=agree(folder)))
    (folder / "configuration_tiny_own.py").write_text((folder / "configuration_tiny_own.py").read_text() + "\nx = 1\n")
    end = end_of(run)
    assert "not the one that was agreed to" in end.data["text"]
    assert not mark.exists()


def test_what_stands_in_the_private_copy_is_replaced_by_what_was_agreed_to(folder: Path, own_home: Path) -> None:
    from ftui.worker.own_code import keep

    code = own_code.look(str(folder))
    assert code is not None
    copy = keep(code)
    assert copy.stat().st_mode & 0o777 == 0o700
    (copy / "modeling_tiny_own.py").write_text("import os\n")
    (copy / "more.py").write_text("import os\n")
    assert keep(code) == copy
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == dict(code.files)


def test_a_tokenizer_s_code_never_runs(
    folder: Path, mark: Path, tmp_path: Path, resolved: Callable[..., Recipe]
) -> None:
    (folder / "tokenization_tiny.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'tokenizer-ran')!r}).write_text('ran')\n"
        "from transformers import PreTrainedTokenizerFast as TinyTokenizer\n"
    )
    for name in ("config.json", "tokenizer_config.json"):
        config = json.loads((folder / name).read_text())
        named = {**config.get("auto_map", {}), "AutoTokenizer": [None, "tokenization_tiny.TinyTokenizer"]}
        (folder / name).write_text(json.dumps({**config, "auto_map": named}))
    recipe = resolved(model__base=str(folder), model__trust_code=agree(folder), train__max_steps=1)
    run = create("train", "t", command="", recipe=recipe)
    end = end_of(run)
    assert end.data["status"] == "finished", end.data
    assert mark.exists()
    assert not (tmp_path / "tokenizer-ran").exists()


def test_a_teacher_s_code_never_runs(
    folder: Path, mark: Path, trained_demo: Path, resolved: Callable[..., Recipe]
) -> None:
    agree(folder)
    run = create("train", "t", command="", recipe=resolved(
        objective__kind="distill", objective__teacher=str(folder), model__base="demo"))
    end = end_of(run)
    assert end.data["status"] == "failed"
    assert "teacher" in end.data["text"].lower()
    assert not mark.exists()
