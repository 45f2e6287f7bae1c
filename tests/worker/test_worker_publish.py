"""The upload of a result: what is handed to the hub, and that a failure costs a warning and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.worker.publish import publish

ASKED = assign(Recipe(), {"tracking.hub": "team/chat", "name": "chat"})


class Context:
    info = SimpleNamespace(id="2026-chat-1")

    def __init__(self) -> None:
        self.warnings: list[tuple[str, str | None]] = []

    def progress(self, *_: Any, **__: Any) -> None: ...

    def warn(self, text: str, hint: str | None = None, **_: Any) -> None:
        self.warnings.append((text, hint))


class Api:
    calls: list[tuple[str, dict[str, Any]]] = []
    error: Exception | None = None

    def create_repo(self, repo_id: str, **given: Any) -> str:
        self.calls.append((repo_id, given))
        return f"https://hub/{repo_id}"

    def upload_folder(self, **given: Any) -> None:
        if self.error:
            raise self.error
        self.calls.append(("upload", given))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[Api]:
    Api.calls, Api.error = [], None
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    return Api


def test_the_result_goes_into_a_private_repository_unless_asked_otherwise(hub: type[Api], tmp_path: Path) -> None:
    context: Any = Context()
    assert publish(tmp_path, ASKED, context) == "https://hub/team/chat"
    assert hub.calls[0] == ("team/chat", {"private": True, "exist_ok": True})
    assert hub.calls[1][1]["folder_path"] == tmp_path
    assert "2026-chat-1" in hub.calls[1][1]["commit_message"]
    publish(tmp_path, assign(ASKED, {"tracking.hub_private": False}), context)
    assert hub.calls[2][1]["private"] is False
    assert not context.warnings


def test_nothing_is_asked_of_the_hub_without_a_repository(hub: type[Api], tmp_path: Path) -> None:
    assert publish(tmp_path, Recipe(), Context()) is None  # type: ignore[arg-type]
    assert hub.calls == []


@pytest.mark.parametrize(("status", "said"), [(401, "ftui login"), (403, "may not write"), (500, "it broke")])
def test_a_failure_is_a_warning_that_says_how_to_do_it_by_hand(
    hub: type[Api], tmp_path: Path, status: int, said: str
) -> None:
    hub.error = RuntimeError("it broke\nwith a long page of HTML")
    hub.error.response = SimpleNamespace(status_code=status)  # type: ignore[attr-defined]
    context: Any = Context()
    assert publish(tmp_path, ASKED, context) is None
    ((text, hint),) = context.warnings
    assert said in text
    assert "HTML" not in text
    assert f"hf upload team/chat {tmp_path}" in str(hint)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.xdist_group("worker")
def test_a_run_uploads_what_it_saved_and_says_where(hub: type[Api], train: Any, random_demo: Path) -> None:
    ran = train(train__max_steps=1, data__validation=0, tracking__hub="team/chat")
    assert ran.end["status"] == "finished", ran.end
    assert "Uploaded to https://hub/team/chat" in ran.end["text"]
    assert hub.calls[1][1]["folder_path"] == ran.run.output
