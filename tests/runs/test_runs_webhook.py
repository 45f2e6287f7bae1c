"""The webhook: a message at the end however it came, and while a run needs somebody; its address stays a secret."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ftui.errors import BadInput, Refused
from ftui.recipe import assign
from ftui.recipe.check import BadRecipe
from ftui.recipe.document import Recipe
from ftui.runs import control, heartbeat, queue, webhook
from ftui.runs.folder import Run, create
from ftui.runs.follow import history
from ftui.runs.notice import Attention, about, at_end
from ftui.runs.on_end import execute
from ftui.runs.status import status
from ftui.runs.writer import RunWriter

SECRET = "T0PS3CRET"


class Receiver(ThreadingHTTPServer):
    """A webhook on loopback: `got` holds what was posted, `answers` the codes given first; a redirect goes to `/x`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[int] = []
        self.delay = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{SECRET}"

    def wait(self, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        """The messages once there are `count`, and what came within half a second more."""
        until = time.monotonic() + seconds
        while len(self.got) < count and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)
        return [message for _, message in self.got]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, body))
        time.sleep(self.server.delay)
        code = self.server.answers.pop(0) if self.server.answers else 204
        self.send_response(code)
        if 300 <= code < 400:
            self.send_header("Location", "/x")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def told(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Makes a run that counts, and whose address stands in the environment."""
    monkeypatch.setenv("TEST_HOOK", receiver.url)

    def make(setting: str = "env:TEST_HOOK", **args: Any) -> Run:
        recipe = assign(Recipe(), {"model.base": "demo", "compute.webhook": setting})
        return create("train", "x", recipe=recipe, args={"steps": 500, "seconds": 0.01} | args, command="")

    return make


def running(run: Run) -> None:
    """Wait for its first steps."""
    until = time.monotonic() + 20
    while not status(run).step and time.monotonic() < until:
        time.sleep(0.02)
    assert status(run).step


def killed(run: Run) -> None:
    beat = heartbeat.read(run.heartbeat)
    assert beat is not None
    os.kill(beat.worker.pid, signal.SIGKILL)


def written(run: Run) -> str:
    """Everything in the run's folder."""
    return "\n".join(file.read_text(errors="replace") for file in run.path.rglob("*") if file.is_file())


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize(
    ("end", "state"),
    [(lambda run: None, "finished"), (control.stop, "stopped"), (killed, "crashed")],
    ids=["by itself", "stopped", "killed"],
)
def test_one_message_comes_however_the_run_ended(
    end: Callable[[Run], object], state: str, receiver: Receiver, told: Callable[..., Run]
) -> None:
    run = told(steps=200 if state == "finished" else 5000)
    control.start(run)
    running(run)
    end(run)
    (message,) = receiver.wait(1)
    assert (message["event"], message["state"], message["run"], message["name"]) == ("end", state, run.id, "x")
    assert message["sentence"] == status(run).text
    assert message["text"] == message["content"]
    assert state in message["text"]
    assert message["step"] > 0
    assert message["seconds"] > 0
    assert SECRET not in written(run)
    assert [event.kind for event in history(run)].count("warning") == 0


@pytest.mark.usefixtures("counting")
def test_two_attempts_are_told_of_once_each(receiver: Receiver, told: Callable[..., Run]) -> None:
    run = told(steps=5000)
    control.start(run)
    running(run)
    control.stop(run)
    while not status(run).over:
        time.sleep(0.02)
    # The first one's guard still waits a second: it must say how its own attempt ended, not how this one does.
    control.resume(run)
    running(run)
    killed(run)
    assert sorted(message["state"] for message in receiver.wait(2)) == ["crashed", "stopped"]


@pytest.mark.usefixtures("counting")
def test_a_run_that_is_taken_out_of_the_queue_is_told_of(receiver: Receiver, told: Callable[..., Run]) -> None:
    first, second = told(steps=5000), told(steps=50)
    for run in (first, second):
        queue.enter(run)
        control.start(run)
    running(first)
    control.stop(second)
    (message,) = receiver.wait(1)
    assert (message["run"], message["state"], message["step"]) == (second.id, "stopped", None)
    control.stop(first)
    assert len(receiver.wait(2)) == 2


def test_a_webhook_that_is_gone_is_a_warning_and_the_state_stays(receiver: Receiver, told: Callable[..., Run]) -> None:
    run = told()
    with RunWriter(run.path) as writer:
        writer.emit("end", status="finished", text="Done.", hint=None, metrics={}, output=None)
    receiver.answers = [404]
    execute(run, status(run))
    assert history(run)[-1].kind == "warning"
    assert "127.0.0.1 answered 404" in history(run)[-1].data["text"]
    assert status(run).state == "finished"
    assert SECRET not in written(run)
    assert len(receiver.got) == 1, "what is gone is not tried again"


def test_a_server_that_stumbles_is_tried_three_times(receiver: Receiver) -> None:
    receiver.answers = [503, 429, 200]
    webhook.send(receiver.url, {"text": "x"}, waits=(0.01, 0.01))
    assert len(receiver.got) == 3
    receiver.answers = [500] * 3
    with pytest.raises(Refused, match="answered 500"):
        webhook.send(receiver.url, {"text": "x"}, waits=(0.01, 0.01))
    assert len(receiver.got) == 6


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    for code in (301, 302, 303, 307, 308):
        receiver.answers = [code]
        with pytest.raises(Refused, match="redirect"):
            webhook.send(receiver.url, {"text": "x"}, waits=(0.01,))
    assert [path for path, _ in receiver.got] == [f"/{SECRET}"] * 5


def test_one_that_never_answers_is_given_up(receiver: Receiver) -> None:
    receiver.delay = 1.0
    with pytest.raises(Refused, match="did not answer within") as refused:
        webhook.send(receiver.url, {"text": "x"}, waits=(), timeout=0.05)
    assert SECRET not in str(refused.value)


def test_nobody_there_is_one_sentence_without_the_address() -> None:
    for url in (f"http://127.0.0.1:1/{SECRET}", f"https://no-such-host.invalid/{SECRET}",
                f"https://{'a' * 70}.invalid/{SECRET}"):
        with pytest.raises(Refused) as refused:
            webhook.send(url, {"text": "x"}, waits=())
        assert SECRET not in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "value", [
        f"https://hooks.slack.com/services/{SECRET}", f"http://example.com/{SECRET}", f"ftp://127.0.0.1/{SECRET}",
        f"https://user:{SECRET}@127.0.0.1/", SECRET, "env:", "env:a b", "file:", f"http://[{SECRET}/",
    ],
)
def test_a_recipe_takes_no_address_and_does_not_repeat_it(value: str) -> None:
    with pytest.raises(BadRecipe) as bad:
        assign(Recipe(), {"compute.webhook": value})
    assert "compute.webhook" in str(bad.value)
    assert SECRET not in str(bad.value)


@pytest.mark.parametrize("value", ["env:HOOK", "file:~/hook", "http://127.0.0.1:9/x", "http://[::1]:9/x",
                                   "https://localhost/x"])
def test_a_recipe_names_where_the_address_is_or_this_machine(value: str) -> None:
    assert assign(Recipe(), {"compute.webhook": value}).compute.webhook == value


def test_the_address_is_read_from_a_closed_file_only(tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text(f"https://example.com/{SECRET}\n")
    file.chmod(0o644)
    with pytest.raises(BadInput, match="others may read it") as bad:
        webhook.address(f"file:{file}")
    assert bad.value.hint == f"chmod 600 {file}"
    file.chmod(0o600)
    assert webhook.address(f"file:{file}") == f"https://example.com/{SECRET}"
    with pytest.raises(BadInput, match="can't be read"):
        webhook.address(f"file:{tmp_path}/none")
    with pytest.raises(BadInput, match=r"can't be read|regular"):
        webhook.address(f"file:{tmp_path}")


def test_what_the_variable_holds_is_looked_at_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="not set here"):
        webhook.address("env:TEST_HOOK")
    for wrong in (f"http://example.com/{SECRET}", SECRET, f"https://a:{SECRET}@example.com/"):
        monkeypatch.setenv("TEST_HOOK", wrong)
        with pytest.raises(BadInput, match="TEST_HOOK") as bad:
            webhook.address("env:TEST_HOOK")
        assert SECRET not in str(bad.value)


def test_a_message_calls_nobody_whatever_the_error_quotes(run: Run) -> None:
    with RunWriter(run.path) as writer:
        writer.emit("end", status="failed", text="ValueError: @everyone <!here> \x1b[31m" + "x" * 5000, hint=None,
                    metrics={"train_loss": 1.5}, output=None)
    message = at_end(run, status(run)).message(about(run))
    assert "@everyone" not in message["text"]
    assert "<!here" not in message["text"]
    assert "\x1b" not in message["text"]
    assert len(message["content"]) < 2000
    assert message["loss"] == 1.5
    assert message["allowed_mentions"] == {"parse": []}


def test_the_best_evaluation_is_told_beside_the_last_loss(run: Run) -> None:
    with RunWriter(run.path) as writer:
        writer.emit("metric", 10, loss=2.0)
        writer.emit("evaluation", 10, eval_loss=1.5, best=True)
        writer.emit("metric", 20, loss=1.0)
        writer.emit("evaluation", 20, eval_loss=1.7, best=False)
        writer.emit("end", status="finished", text="Done.", hint=None, metrics={}, output=None)
    message = at_end(run, status(run)).message(about(run))
    assert (message["loss"], message["best"], message["best_by"], message["step"]) == (1.0, 1.5, "loss", 20)


def test_a_pause_and_a_grave_diagnosis_are_told_once(run: Run) -> None:
    with RunWriter(run.path) as writer:
        writer.emit("diagnosis", 1, name="dead", text="Before.", severity="grave")
        attention = Attention(run)
        assert attention.poll() == []
        writer.emit("status", state="paused", text="The disk is full.")
        writer.emit("status", state="running", text="Saving.")
        writer.emit("status", state="paused", text="The disk is full.")
        writer.emit("diagnosis", 2, name="diverging", text="It diverges.", hint="Stop.", severity="grave")
        writer.emit("diagnosis", 3, name="diverging", text="It diverges.", hint="Stop.", severity="grave")
        writer.emit("diagnosis", 3, name="plateau", text="It stands still.", severity="note")
    found = attention.poll()
    assert [(each.event, each.state, each.sentence) for each in found] == [
        ("attention", "paused", "The disk is full."), ("attention", "running", "It diverges."),
    ]


def test_the_message_is_tried_from_the_command_line(
    receiver: Receiver, told: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    from ftui.cli.main import main

    run = told()
    with pytest.raises(SystemExit) as left:
        main(["runs", "notify", run.id])
    assert left.value.code == 0
    (message,) = receiver.wait(1)
    assert message["event"] == "test"
    assert SECRET not in capsys.readouterr().out
    receiver.answers = [500]
    with pytest.raises(SystemExit) as left:
        main(["runs", "notify", run.id])
    assert left.value.code == 2
    assert SECRET not in capsys.readouterr().err


def test_it_is_tried_before_there_is_any_run(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ftui.cli.main import main

    monkeypatch.setenv("TEST_HOOK", receiver.url)
    with pytest.raises(SystemExit) as left:
        main(["runs", "notify", "--webhook", "env:TEST_HOOK"])
    assert left.value.code == 0
    assert "has taken the message" in capsys.readouterr().out
    (message,) = receiver.wait(1)
    assert message["text"].startswith("(test) ftui")


def test_a_launch_is_refused_where_the_address_cant_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    from ftui.cli.main import main

    with pytest.raises(SystemExit) as left:
        main(["launch", "cpu-demo", "--set", "compute.webhook=env:TEST_HOOK", "--dry-run", "--json"])
    assert left.value.code == 2
    assert "TEST_HOOK, which is not set" in str(json.loads(capsys.readouterr().out)["obstacles"])
