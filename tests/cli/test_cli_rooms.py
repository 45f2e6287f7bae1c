"""`ftui probe`, `recipe`, `presets` and `login` as their user types them."""

from __future__ import annotations

import http.server
import io
import json
import sys
import threading
from pathlib import Path

import pytest

BOXES = Path(__file__).parents[1] / "hardware" / "boxes"


@pytest.mark.parametrize("path", sorted(BOXES.glob("*.json")), ids=lambda path: path.stem)
def test_every_box_fits_one_screen(ftui, path: Path) -> None:
    code, out, err = ftui("probe", "--hardware", str(path))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines if "pip install" not in line)


def test_this_machine_is_probed_as_json_and_recorded(ftui, tmp_path) -> None:
    code, out, _ = ftui("probe", "--json", "--record", str(tmp_path / "box.json"))
    assert code == 0
    found = json.loads(out)
    assert found["cpu"]["cores"] > 0
    code, out, _ = ftui("probe", "--json", "--hardware", str(tmp_path / "box.json"))
    assert code == 0
    assert json.loads(out)["cpu"] == found["cpu"]


def test_a_command_to_install_stands_whole_on_its_line(ftui) -> None:
    _, out, _ = ftui("probe", "--hardware", str(BOXES / "old-driver.json"))
    assert "    pip install --force-reinstall 'torch>=2.8' --index-url https://download.pytorch.org/whl/cu126\n" in out


def test_a_file_that_is_no_machine_is_refused(ftui, tmp_path) -> None:
    code, out, err = ftui("probe", "--hardware", str(tmp_path / "no.json"), "--json")
    assert code == 2
    assert "can't be read" in json.loads(out)["error"]["what"]
    assert "Traceback" not in err
    assert ftui("probe", "--hardware", "a", "--record", "b")[0] == 2


def test_a_recorded_machine_with_escapes_in_its_names_is_shown_safely(ftui, tmp_path) -> None:
    text = (BOXES / "t4.json").read_text().replace("Tesla T4", "Tesla \\u001b[31mT4")
    (tmp_path / "x.json").write_text(text)
    _, out, _ = ftui("probe", "--hardware", str(tmp_path / "x.json"))
    assert "\x1b" not in out


def test_the_schema_is_one_json_document(ftui) -> None:
    code, out, _ = ftui("recipe", "schema")
    assert code == 0
    assert "properties" in json.loads(out)


def test_a_recipe_is_checked(ftui, tmp_path) -> None:
    assert ftui("recipe", "check", "tickets")[0] == 0
    code, out, _ = ftui("recipe", "check", "tickets", "--json")
    assert json.loads(out)["missing"] == ["data.sources"]
    bad = tmp_path / "bad.yaml"
    bad.write_text("train:\n  learning_rate: .nan\n  epoch: 3\n")
    code, _, err = ftui("recipe", "check", str(bad))
    assert code == 2
    assert "train.learning_rate (line 2): NaN" in err
    assert "train.epoch (line 3)" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "nothing.yaml"), "no recipe at"),
        (("check", "."), "is a folder"),
        (("show", "ticket"), "Did you mean tickets"),
        (("show", "tickets", "--set", "train.lr=1"), "that is train.learning_rate here"),
        (("show", "tickets", "--set", "train.epochs"), "sets nothing"),
        (("show", "tickets", "--set", "train.epochs=nan"), "NaN"),
        (("diff", "tickets"), "AFTER"),
    ],
)
def test_what_is_wrong_with_a_recipe_command_is_one_sentence(ftui, words, said: str) -> None:
    code, out, err = ftui("recipe", *words)
    assert code == 2
    assert said.lower() in err.lower()
    assert "Traceback" not in err
    assert out == ""


def test_what_is_shown_can_be_read_again(ftui, tmp_path) -> None:
    _, out, _ = ftui("recipe", "show", "tickets", "--set", "adapter.rank=4")
    (tmp_path / "mine.yaml").write_text(out)
    _, out, _ = ftui("recipe", "diff", "tickets", str(tmp_path / "mine.yaml"), "--json")
    assert json.loads(out) == [{"path": "adapter.rank", "before": 8, "after": 4}]
    assert "adapter.rank" in ftui("recipe", "diff", "tickets", str(tmp_path / "mine.yaml"))[1]
    assert "same" in ftui("recipe", "diff", "tickets", "tickets")[1]
    _, out, _ = ftui("recipe", "show", "tickets", "--whole", "--json")
    assert json.loads(out)["train"]["seed"] == 17


def test_presets_are_listed_with_whether_they_fit(ftui) -> None:
    code, out, _ = ftui("presets", "--hardware", str(BOXES / "rtx3090.json"), "--json")
    assert code == 0
    fits = {entry["name"]: entry["fit"] for entry in json.loads(out)}
    assert fits["chat-qlora-24gb"] == "fits"
    assert len(fits) >= 8
    assert "unknown" not in fits.values()
    _, out, _ = ftui("presets", "list", "--hardware", str(BOXES / "none.json"), "--json")
    slow = {entry["name"]: entry["fit"] for entry in json.loads(out)}
    assert slow["chat-qlora-8gb"] in ("slow", "no")
    assert slow["cpu-demo"] == "fits"
    _, out, _ = ftui("presets", "--hardware", str(BOXES / "t4.json"))
    assert all(len(line.rstrip()) <= 80 for line in out.splitlines())


def test_a_preset_is_shown(ftui) -> None:
    code, out, _ = ftui("presets", "show", "tickets", "--hardware", str(BOXES / "t4.json"))
    assert code == 0
    assert "ftui launch tickets --data tickets.csv" in out
    assert "kind: classify" in out
    _, out, _ = ftui("presets", "show", "tickets", "--json", "--hardware", str(BOXES / "t4.json"))
    assert json.loads(out)["recipe"]["goal"]["task"] == "classify"
    assert ftui("presets", "show", "tocket")[0] == 2


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers who-am-I for one token."""

    def do_GET(self) -> None:
        good = self.headers.get("Authorization") == "Bearer hf_good"
        body = json.dumps({"name": "alice", "type": "user"} if good else {"error": "Invalid"}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub of our own, and a place of its own for the token."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    import huggingface_hub.constants as constants

    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", endpoint, raising=False)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", endpoint)
    for name in ("HF_TOKEN_PATH", "HF_STORED_TOKENS_PATH"):
        monkeypatch.setattr(constants, name, str(tmp_path / name.lower()))
    yield tmp_path
    server.shutdown()
    server.server_close()


def give(monkeypatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_a_good_token_is_kept_by_the_hubs_library_and_never_shown(ftui, hub, monkeypatch) -> None:
    give(monkeypatch, "hf_good\n")
    code, out, err = ftui("login")
    assert (code, out) == (0, "Logged in as alice.\n")
    assert "hf_good" not in out + err
    assert (hub / "hf_token_path").read_text() == "hf_good"
    assert ftui("login", "--who")[1] == "Logged in as alice.\n"
    assert json.loads(ftui("login", "--who", "--json")[1]) == {"name": "alice"}


@pytest.mark.parametrize(
    ("token", "said"),
    [("hf_bad\n", "refuses this token"), ("\n", "No token"), ("hf a\n", "no token"), ("", "No token")],
)
def test_a_bad_token_is_one_sentence_that_does_not_hold_it(ftui, hub, monkeypatch, token: str, said: str) -> None:
    give(monkeypatch, token)
    code, out, err = ftui("login")
    assert code == 2
    assert said in err
    assert not token.strip() or token.strip() not in out + err
    assert not (hub / "hf_token_path").exists()


def test_a_hub_that_cannot_be_reached_is_one_sentence(ftui, hub, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", "http://127.0.0.1:9", raising=False)
    give(monkeypatch, "hf_good\n")
    code, out, err = ftui("login")
    assert code == 2
    assert "hf_good" not in out + err


def test_offline_is_said(ftui, hub, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    give(monkeypatch, "hf_good\n")
    code, _, err = ftui("login")
    assert code == 2
    assert "HF_HUB_OFFLINE" in err
