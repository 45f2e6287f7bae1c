"""No token in what is written or printed: by its value, by its shape, and wherever a library would carry it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ftui import redaction
from ftui.errors import Refused
from ftui.files import write_atomic
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.redaction import HIDDEN, Shielded, hide, hide_known, holds_token
from ftui.runs.folder import Run, create
from ftui.runs.follow import history
from ftui.runs.launch import lay_out
from ftui.runs.token_free import require_no_token
from ftui.worker.__main__ import main

LOOSE = "hf_" + "Q7w" * 8
"""A token that is in no environment and no file."""


def held(folder: Path, *tokens: str) -> list[str]:
    """The files below `folder` that hold one of the tokens, but for the hub's own."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("token", "stored_tokens")]
    assert files
    return [str(path) for path in files if any(token.encode() in path.read_bytes() for token in tokens)]


def test_secrets_of_the_environment_and_of_the_hub_s_file_are_hidden_by_value(planted: dict[str, str]) -> None:
    for token in planted.values():
        assert hide(f"before {token} behind") == f"before {HIDDEN} behind"
        assert hide_known(token) == HIDDEN
    # An address may be repeated without its host, or escaped.
    assert "aPlantedWebhook91x" not in hide("POST /hooks/T0PLANTED/B0/aPlantedWebhook91x failed")
    escaped = "https%3A%2F%2Fchat.example%2Fhooks%2FT0PLANTED%2FB0%2FaPlantedWebhook91x"
    assert hide(f"to={escaped}") == f"to={HIDDEN}"


@pytest.mark.parametrize("text", [
    f"token {LOOSE}.", "Authorization: Bearer abc.DEF-123", "https://me:s3cretword@host/x", "https://x/y?token=abc123&z=1",
    "https://cdn/x?X-Amz-Signature=feed01&y=2", "sk-" + "aB3" * 10, "ghp_" + "aB3" * 12, "AKIA" + "ABCD1234" * 2,
    "https://hooks.slack.com/services/T000/B000/abcdef", "https://discord.com/api/webhooks/123/abcdefghijkl",
])
def test_what_is_shaped_like_a_secret_is_hidden_wherever_it_came_from(text: str) -> None:
    assert HIDDEN in hide(text)
    for secret in ("Q7wQ7w", "abc.DEF", "s3cretword", "abc123", "feed01", "aB3aB3", "ABCD1234", "abcdef"):
        assert secret not in hide(text)


@pytest.mark.parametrize("text", [
    "loss 0.25, eval_loss 1.5, tokens 12,345", '{"text": "A key? A token?"}', "curl -H 'Authorization: Bearer $T'",
    "https://example.org/a?page=2", "sk-learn", "hf_hub_download", "the sketch of a risk-averse desk", "api_key_name",
])
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert hide(text) == text
    assert not holds_token(text)


def test_short_and_common_values_and_paths_hide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"A_KEY": "project-17", "B_TOKEN": "short1", "C_TOKEN": "/run/secrets/c", "D_AUTH": ""}.items():
        monkeypatch.setenv(name, value)
    redaction._known.cache_clear()
    text = "/data/project-17/short1 /run/secrets/c"
    assert hide(text) == text
    redaction._known.cache_clear()


def test_a_token_that_is_typed_is_hidden_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from ftui import login

    monkeypatch.setattr(redaction, "_told", set())
    monkeypatch.setattr(login, "_name", lambda token: (_ for _ in ()).throw(ValueError("no")))
    with pytest.raises(ValueError, match="no"):
        login.log_in("a-typed-secret-42")
    assert hide("x a-typed-secret-42 x") == f"x {HIDDEN} x"
    redaction._known.cache_clear()


def test_the_address_of_a_webhook_is_hidden_whatever_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ftui.runs.webhook import address

    monkeypatch.setattr(redaction, "_told", set())
    monkeypatch.setenv("WHERE_TO", "https://chat.example/in/variable-55555")
    kept = tmp_path / "address"
    kept.write_text("https://chat.example/in/file-66666\n")
    kept.chmod(0o600)
    assert address("env:WHERE_TO")
    assert address(f"file:{kept}")
    said = hide("POST /in/variable-55555 and https://chat.example/in/file-66666")
    assert said == f"POST {HIDDEN} and {HIDDEN}"
    redaction._known.cache_clear()


def test_no_event_of_a_run_holds_a_token_that_an_exception_carries(planted: dict[str, str], own_home: Path) -> None:
    run = create("count", "x", command=f"ftui launch --set compute.on_end='use {planted['HF_TOKEN']}'", args={})

    def job(context: Any) -> None:
        context.warn(f"The server said: {planted['WANDB_API_KEY']}", hint=f"Bearer {LOOSE}")
        raise RuntimeError(f"403 for https://user:{planted['token']}@host/{planted['HF_TOKEN']}?token={LOOSE}")

    assert main(run.path, job) == 1
    events = history(run)
    assert HIDDEN in events[-1].data["text"]
    assert HIDDEN in next(event for event in events if event.kind == "warning").data["text"]
    assert HIDDEN in run.info.command
    assert held(own_home, *planted.values(), LOOSE) == []


WORKER = """
import sys
from ftui.worker.jobs import download
def run(context):
    import logging, warnings
    print("printed", {token!r})
    warnings.warn("warned " + {token!r}, UserWarning)
    logging.basicConfig()
    logging.getLogger("lib").error("logged %s", {token!r})
    raise RuntimeError("raised " + {token!r})
download.run = run
import runpy
sys.argv = ["ftui.worker", {folder!r}]
runpy.run_module("ftui.worker", run_name="__main__")
"""


def test_worker_log_holds_no_token_that_a_library_prints(planted: dict[str, str], own_home: Path) -> None:
    run = create("download", "x", command="", args={"ref": "demo"})
    with run.log.open("wb") as log:
        code = WORKER.format(token=planted["HF_TOKEN"], folder=str(run.path))
        subprocess.run([sys.executable, "-c", code], stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=120)
    text = run.log.read_text()
    for word in ("printed", "warned", "logged", "raised"):
        assert f"{word} {HIDDEN}" in text
    assert held(own_home, *planted.values()) == []


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_neither_an_error_nor_a_traceback_of_the_command_line_holds_a_token(
    planted: dict[str, str], debug: list[str]
) -> None:
    code = (
        "import sys, ftui.hardware as h\n"
        "def probe(): raise RuntimeError('at https://x/?token=' + sys.argv[1])\n"
        "h.probe = probe\n"
        f"from ftui.cli.main import main; main(['probe', *{debug!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code, LOOSE], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert HIDDEN in done.stderr
    assert ("Traceback" in done.stderr) == bool(debug)
    assert LOOSE not in done.stdout + done.stderr


async def broken_app(token: str, typed: str) -> None:
    """Run the app until something in it breaks down."""
    from ftui.screens.app import FtuiApp

    def break_down(secret: str) -> None:
        raise RuntimeError(f"refused: {token}")

    app = FtuiApp()
    async with app.run_test() as pilot:
        app.call_later(break_down, typed)
        await pilot.pause()


async def test_the_app_s_crash_report_holds_no_token_and_no_values(
    planted: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError):
        await broken_app(planted["HF_TOKEN"], "typed-into-a-field-77")
    report = capsys.readouterr().err
    assert "break_down" in report
    assert f"refused: {HIDDEN}" in report.replace("\n", "")
    assert planted["HF_TOKEN"] not in report.replace("\n", "")
    assert "typed-into-a-field-77" not in report


@pytest.mark.parametrize("token", ["HF_TOKEN", "loose"])
def test_a_recipe_with_a_token_in_it_is_refused_without_repeating_it(planted: dict[str, str], token: str) -> None:
    value = planted.get(token, LOOSE)
    recipe = assign(Recipe(), {"model.base": "demo", "compute.on_end": f"x {value}"})
    with pytest.raises(Refused, match=r"compute\.on_end holds a token") as caught:
        lay_out(recipe)
    assert value not in str(caught.value)
    with pytest.raises(Refused, match="A remark in the recipe"):
        require_no_token(Recipe(), f"# {value}\nmodel: {{}}\n")
    require_no_token(assign(recipe, {"compute.on_end": "curl -H \"Authorization: Bearer $HF_TOKEN\" https://x"}))


def test_a_text_kept_in_the_home_holds_no_known_secret_and_a_file_elsewhere_is_left_alone(
    planted: dict[str, str], own_home: Path, tmp_path: Path
) -> None:
    text = json.dumps({"draft": planted["WANDB_API_KEY"]})
    write_atomic(own_home / "state" / "wizard.json", text)
    assert json.loads((own_home / "state" / "wizard.json").read_text()) == {"draft": HIDDEN}
    elsewhere = tmp_path / "given.txt"
    write_atomic(elsewhere, text)
    assert elsewhere.read_text() == text
    elsewhere.unlink()


def test_a_shielded_stream_is_the_stream_but_for_its_secrets(planted: dict[str, str]) -> None:
    inner = io.StringIO()
    stream = Shielded(inner)
    assert stream.write(planted["HF_TOKEN"]) == len(planted["HF_TOKEN"])
    stream.writelines(["a\n", planted["token"]])
    print("b", planted["WANDB_API_KEY"], file=stream)
    assert inner.getvalue() == f"{HIDDEN}a\n{HIDDEN}b {HIDDEN}\n"
    assert stream.isatty() is False


def test_a_worker_s_arguments_are_its_folder_alone(planted: dict[str, str]) -> None:
    from ftui.runs import control

    seen: list[list[str]] = []
    run = create("count", "x", command="", args={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "_detached", lambda command, *_, **__: seen.append(command) or os.getpid())
        control.start(Run(run.path))
    assert all(token not in word for command in seen for word in command for token in planted.values())
    assert seen[0][-1] == str(run.path)
