"""The hostile and the clumsy user: whatever is typed, one sentence with a remedy, exit code 2, nothing lost."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

BOXES = Path(__file__).parents[1] / "hardware" / "boxes"
ROW = '{"prompt": "What is it?", "completion": "A row."}\n'
LONG = "x" * 5000

# --- data files

DATA: dict[str, tuple[bytes, str]] = {
    "empty.jsonl": (b"", "is empty"),
    "blank.jsonl": (b" \n\n", "is empty"),
    "no-rows.json": (b"[]", "has no rows"),
    "no-columns.json": (b"{}", "has no columns"),
    "header.csv": (b"prompt,completion\n", "has no rows"),
    "ragged.csv": (b"prompt,completion\na\nb,c,d\n", "fields where the header has 2"),
    "utf16.jsonl": (ROW.encode("utf-16"), "iconv -f UTF-16 "),
    "utf16-without-mark.csv": (("prompt,completion\na,b\n" * 9).encode("utf-16-le"), "iconv -f UTF-16LE"),
    "latin1.jsonl": (ROW.replace("it", "ü").encode("latin-1") * 4, "is not UTF-8"),
    "latin1.csv": ("prompt,completion\né,ü\n".encode("latin-1"), "is not UTF-8"),
    "latin1.txt": ("Überall Äpfel und Öl\n".encode("latin-1") * 4, "is not UTF-8"),
    "nul.jsonl": (ROW.replace("it", "\0").encode() * 4, "binary"),
    "nul.csv": (b"prompt,completion\na\0,b\n", "binary"),
    "noise.jsonl": (bytes(range(256)) * 8, "binary"),
    "program.json": (b"\x7fELF" + bytes(100), "is a program"),
    "excel.csv": (b"PK\x03\x04" + bytes(100), "Excel"),
    "pickle.jsonl": (b"\x80\x04\x95" + bytes(100), "pickle"),
    "one-line.json": (b'{"prompt": "' + b"x" * 1_000_000 + b'"', "the file ends in the middle"),
    "deep.json": (b"[" * 10_000, "nested too deeply"),
    "deep-row.json": (b'[{"prompt": ' + b"[" * 10_000 + b"]" * 10_000 + b"}]", "nested too deeply"),
    "deep.jsonl": (b'{"a":' * 10_000 + b"\n", "nested too deeply"),
    "numbers.jsonl": (b"1\n2\n", "a number where"),
    "nulls.jsonl": (b"null\nnull\n", "null where"),
    "huge-number.jsonl": (b'{"prompt": ' + b"9" * 5000 + b', "completion": "x"}\n', "limit"),
    "nan.jsonl": (b'{"prompt": NaN, "completion": Infinity}\n' * 2, "is NaN"),
    "half-character.jsonl": (b'{"prompt": "\\ud800", "completion": "x"}\n', "half a Unicode character"),
    "columns.jsonl": (b'{"foo": 1, "bar": 2}\n' * 3, "--map"),
    "cut.jsonl.gz": (gzip.compress(ROW.encode() * 500)[:30], "broken gzip"),
    "fake.parquet": (b"hello", "named as a Parquet file"),
    "cut.parquet": (b"PAR1" + bytes(range(1, 90)), "broken Parquet"),
    "no-suffix": (b"hello world\n", "of no kind that is known"),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("command", ["data show", "data check", "launch cpu-demo --data", "plan -m demo --data"])
def test_a_bad_data_file(refusal, quick, tmp_path: Path, command: str, name: str) -> None:
    content, said = DATA[name]
    (tmp_path / name).write_bytes(content)
    message = refusal(*command.split(), str(tmp_path / name))
    assert name in message
    assert said in message
    assert (tmp_path / name).read_bytes() == content


def empty_parquet(path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    column = pyarrow.array([], pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"prompt": column, "completion": column}), path)


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda path: None, "no file"),
    "folder": (Path.mkdir, "in the folder"),
    "loop": (lambda path: path.symlink_to(path), "isn't there"),
    "dangling": (lambda path: path.symlink_to(path.with_name("gone")), "isn't there"),
    "fifo": (os.mkfifo, "pipe or device"),
    "zero.parquet": (empty_parquet, "no rows"),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("command", ["data show", "data check", "launch cpu-demo --data", "plan -m demo --data"])
def test_what_is_no_data_file_at_all(refusal, quick, tmp_path: Path, monkeypatch, command: str, name: str) -> None:
    make, said = PLACES[name]
    (tmp_path / "d").mkdir()
    make(tmp_path / "d" / name)
    assert said in refusal(*command.split(), str(tmp_path / "d" / name))
    # Written from beside it, it looks like a hub dataset's name.
    monkeypatch.chdir(tmp_path)
    if name != "nothing":
        assert said in refusal(*command.split(), f"d/{name}")


@pytest.mark.parametrize(
    "path", ["/dev/null", "/dev/zero", "", " ", "a\0b", LONG, "\x1b[31mred.jsonl", "~nobody-here/x"]
)
def test_a_path_that_is_none(refusal, path: str) -> None:
    refusal("data", "show", path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(refusal, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(ROW)
    (tmp_path / "x.jsonl").chmod(0)
    assert "chmod" in refusal("data", "show", str(tmp_path / "x.jsonl"))


def test_a_gzipped_file_by_another_name_is_simply_read(ftui, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(gzip.compress(ROW.encode() * 3))
    code, out, _ = ftui("data", "show", str(tmp_path / "x.json"), "--json")
    assert code == 0
    assert json.loads(out)["rows"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "alpaka"), "alpaca"),
        (("--map", "prompt"), "no PART=COLUMN"),
        (("--map", "prompt=nope", "--map", "completion=completion"), "nope"),
        (("--map", "\udcff"), "no PART=COLUMN"),
        (("--row", "0"), "--row"),
        (("--row", "99"), "99"),
        (("--template", "nope", "-m", "demo"), "no chat template 'nope'"),
        (("--loss-on", "everything"), "loss-on"),
        (("--model", "nope"), "nope"),
        (("--max-length", "x"), "--max-length"),
    ],
)
def test_a_bad_option_of_data_show(refusal, quick, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "x.jsonl").write_text(ROW * 3)
    assert said in refusal("data", "show", str(tmp_path / "x.jsonl"), *words)


# --- recipes

RECIPES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"hello", "holds no sections"),
    "list": (b"- 1\n", "holds no sections"),
    "tabs": (b"train:\n\tepochs: 3\n", "line 2"),
    "twice": (b"train:\n  epochs: 3\n  epochs: 4\n", "epochs is set twice"),
    "section-twice": (b"train: {epochs: 3}\ntrain: {epochs: 4}\n", "train is set twice"),
    "two-documents": (b"name: a\n---\nname: b\n", "one document"),
    "bomb": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\n"
        b"d: &d [*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d]\n",
        "unfolds into more values",
    ),
    "endless": (b"a: &a [*a]\n", "nested too deeply"),
    "deep": (b"a: " + b"[" * 500, "nested too deeply"),
    "huge": (b"# a comment\n" * 100_000, "larger than any recipe"),
    "python": (b'name: !!python/object/apply:os.system ["true"]\n', "tag"),
    "tag": (b"name: !secret x\n", "tag !secret"),
    "anchor": (b"train: *nothing\n", "undefined alias"),
    "nul": (b"name: a\0b\n", "binary"),
    "utf16": ("name: x\n".encode("utf-16"), "UTF-16"),
    "latin1": ("name: é\n".encode("latin-1"), "line 1: the text is not UTF-8"),
    "escape": (b"name: \x1b[31m\n", "characters that YAML does not allow"),
    "open-quote": (b'name: "x\n', "not YAML"),
    "list-key": (b"? [a, b]\n: 1\n", "key must be a word"),
    "unknown-section": (b"trian: {epochs: 3}\n", "the nearest is train"),
    "unknown-key": (b"train: {epoch: 3}\n", "train.epochs"),
    "other-tool": (b"train: {lr: 1e-4}\n", "that is train.learning_rate here"),
    "nan": (b"train: {learning_rate: .nan}\n", "NaN is not a number to work with"),
    "infinity": (b"train: {learning_rate: .inf}\n", "infinity"),
    "huge-number": (b"train: {seed: " + b"9" * 5000 + b"}\n", "is not a number"),
    "version": (b"version: 99\n", "version: 1"),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("command", ["recipe check", "recipe show", "launch", "plan --recipe"])
def test_a_bad_recipe_file(refusal, tmp_path: Path, command: str, name: str) -> None:
    content, said = RECIPES[name]
    path = tmp_path / f"{name}.yaml"
    path.write_bytes(content)
    message = refusal(*command.split(), str(path))
    assert path.name in message
    assert said in message


@pytest.mark.parametrize("command", ["recipe check", "launch", "plan --recipe"])
def test_what_is_no_recipe_file_at_all(refusal, tmp_path: Path, command: str) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    for path, said in (
        (str(tmp_path), "is a folder"), (str(tmp_path / "fifo.yaml"), "pipe or device"),
        (str(tmp_path / "loop.yaml"), "loop.yaml"), (str(tmp_path / "no.yaml"), "no.yaml"), ("tickts", "tickets"),
        ("nothing-like-it", "cpu-demo"), ("", ""), ("a\0b.yaml", "a\\x00b"),
        (LONG, "..."), ("/dev/null", "pipe or device"),
    ):
        assert said in refusal(*command.split(), path)


# --- settings

SETTINGS = {
    "train.learning_rate=nan": "NaN", "train.learning_rate=inf": "infinity", "train.learning_rate=-1": "above 0",
    "train.learning_rate=0": "above 0", "train.learning_rate=fast": "'fast'", "train.learning_rate=": "can't be empty",
    "train.lerning_rate=1e-4": "train.learning_rate", "learning_rate=1": "that is train.learning_rate here",
    "train=1": "is a section", "train.learning_rate": "sets nothing", "=1": "sets nothing", "a.b.c.d=1": "no key",
    "train.epochs=1e999": "infinity", "train.max_steps=0": "at least 1", "train.max_steps=1.5": "not whole",
    "adapter.rank=0": "from 1 to", "adapter.rank=100000": "from 1 to", "adapter.kind=lorra": "the nearest is lora",
    "objective.kind=dpoo": "none of", "model.quantization=nf5": "the nearest is nf4", "train.seed=-1": "from 0",
    "data.max_length=0": "from 8", "data.sources=[]": "--data FILE", "data.sources.0.format=alpaka": "alpaca",
    "data.sources.7.path=x": "data.sources", "compute.max_hours=nan": "NaN", "compute.max_hours=-1": "above 0",
    "evaluate.prompts=[": "not YAML", "train.schedule=linaer": "the nearest is linear",
    "train.micro_batch=7": "multiple",
    "train.optimizer=adamm": "adamw", "__class__=1": "no key", "train.__dict__=1": "no key",
    "train.epochs=!!python/name:os.system": "not a number", "data.validation=-1": "data.validation",
    "data.template=nope": "no chat template", "data.template=/dev/zero": "a device",
    "data.validation=nothing.jsonl": "nothing.jsonl", "data.validation=3": "only 3",
    "adapter.targets=[q_prj]": "q_proj", "adapter.targets=foo": "all-linear", "model.base=": "--model",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_bad_setting_is_refused_before_anything_starts(refusal, quick, own_home, tmp_path, setting: str) -> None:
    (tmp_path / "x.jsonl").write_text(ROW + ROW.replace("A row", "Two") + ROW.replace("A row", "Three"))
    message = refusal("launch", "cpu-demo", "--data", str(tmp_path / "x.jsonl"), "--set", setting)
    assert SETTINGS[setting] in message
    assert not (own_home / "runs").exists()


def test_a_pair_that_cannot_be_is_refused_with_what_to_change(refusal, tmp_path: Path) -> None:
    pair = ("--set", "adapter.kind=none", "--set", "model.quantization=nf4")
    assert "quantization: none" in refusal("launch", "cpu-demo", *pair)
    assert "quantization: none" in refusal("plan", "-m", "demo", *pair)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("launch",), "--model"), (("launch", "cpu-demo", "--max-hours", "nan"), "NaN"),
        (("launch", "cpu-demo", "--max-hours", "x"), "--max-hours"), (("launch", "cpu-demo", "--nam", "x"), "--name"),
        (("launch", "cpu-demo", "again"), "again"), (("launch", "full-small"), "--data"),
        (("launch", "cpu-demo", "--data"), "--data"), (("plan",), "--model"),
        (("plan", "-m", "demo", "--goal", "chatt"), "chat"),
        (("plan", "tickets", "--recipe", "tickets"), "one of them"),
    ],
)
def test_a_clumsy_line(refusal, quick, words: tuple[str, ...], said: str) -> None:
    # `--data` at the end takes what follows for its file.
    assert said in refusal(*words, as_json=words[-1] != "--data")


# --- models

@pytest.mark.parametrize("command", ["models show", "models download", "models count", "plan -m", "launch cpu-demo -m"])
def test_a_bad_model(refusal, quick, own_home: Path, tmp_path: Path, command: str) -> None:
    empty, weights, broken, adapter = (tmp_path / name for name in ("empty", "w.safetensors", "broken", "adapter"))
    for folder in (empty, broken, adapter):
        folder.mkdir()
    weights.write_bytes(b"\0" * 64)
    (broken / "config.json").write_bytes(b"{\xff")
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')
    os.mkfifo(tmp_path / "fifo")
    for ref, said in (
        ("nope", "nope"), ("/nowhere", "no folder or file"), ("Qwen/Qwen3-0.6", "Qwen/Qwen3-0.6B"),
        (str(empty), "empty"),
        (str(weights), "weight file"), (str(broken), "config"), (str(adapter), "some/base"), ("a\0b", "a\\x00b"),
        (str(tmp_path / "fifo"), "regular file"), ("../../etc", "etc"), (LONG, "xxx"), ("\x1b[31mx", "x1b"),
    ):
        assert said in refusal(*command.split(), ref)
    assert not (own_home / "runs").exists()


@pytest.mark.parametrize(
    "config",
    [
        "", "[]", "{}", '{"model_type": "llama"}', '{"model_type": "llama", "hidden_size": "big"}', "[" * 5000, '"x"',
        "NaN",
        '{"model_type": "llama", "hidden_size": -1}', '{"model_type": "llama", "num_hidden_layers": 1e99}',
    ],
)
def test_a_config_that_describes_no_model(ftui, tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    code, out, err = ftui("models", "show", str(tmp_path), "--json")
    # transformers has defaults for what a Llama's config leaves out.
    assert code == 2 or json.loads(out)["parameters"] > 0
    assert "Traceback" not in err
    assert "defect" not in err


@pytest.mark.parametrize("layers", [0, 5])
@pytest.mark.parametrize("command", ["models show demo", "data check demo -m demo", "launch cpu-demo", "plan -m demo"])
def test_a_demo_model_that_is_damaged_says_what_to_remove(refusal, quick, command: str, layers: int) -> None:
    from ftui.models import demo

    tensors = {f"model.layers.{number}.mlp.up_proj.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
               for number in range(layers)}  # fmt: skip
    header = json.dumps(tensors).encode()
    (demo.folder() / demo.WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header * bool(layers))
    assert f"rm -r {demo.folder()}" in refusal(*command.split())


# --- boxes

BOX = (BOXES / "t4.json").read_text()
BAD_BOXES = {
    "empty": "", "list": "[]", "cut": BOX[:500], "no-machine": '{"answers": {}}', "answers": '{"answers": 5}',
    "nan": '{"answers": NaN}', "deep": "[" * 100_000, "other": '{"gpus": 1}', "utf16": BOX.encode("utf-16"),
    "noise": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("name", BAD_BOXES)
@pytest.mark.parametrize("command", ["plan -m demo", "probe", "presets", "presets show tickets"])
def test_a_bad_box(refusal, tmp_path: Path, command: str, name: str) -> None:
    content = BAD_BOXES[name]
    path = tmp_path / f"{name}.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refusal(*command.split(), "--hardware", str(path))
    assert path.name in message
    assert "ftui probe --record" in message


def test_what_is_no_box_at_all(refusal, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path), str(tmp_path / "fifo"), str(tmp_path / "no.json"), "/dev/zero", "a\0b", LONG):
        refusal("plan", "-m", "demo", "--hardware", path)


def test_every_answer_of_a_driver_may_be_nonsense(ftui, tmp_path: Path, quick) -> None:
    box = json.loads(BOX)
    path = tmp_path / "box.json"
    for key in box["answers"]:
        for nonsense in ("x", -1, None, [], {}, 1e300, True):
            path.write_text(json.dumps({**box, "answers": {**box["answers"], key: nonsense}}))
            code, out, err = ftui("probe", "--hardware", str(path), "--json")
            assert code in (0, 2), (key, nonsense, err)
            assert json.loads(out)


def test_a_machine_is_not_recorded_where_it_cannot_be(refusal, tmp_path: Path) -> None:
    assert "is a folder" in refusal("probe", "--record", str(tmp_path))
    assert "no folder" in refusal("probe", "--record", str(tmp_path / "no" / "box.json"))
    assert not (tmp_path / "no").exists()


# --- the line itself

@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lanch",), "launch"), (("foo",), "foo"), (("--foo",), "--foo"), (("runs", "lits"), "list"),
        (("",), "command"),
        (("probe", "extra"), "extra"), (("\x1b[31m",), "x1b"), (("try",), "RUN"), (("presets", "x"), "x"),
        (("presets", "show", "ticket"), "tickets"), (("models", "list", "--for", "x"), "chat"),
        (("models", "search", ""), "search"), (("models", "search", "x", "--limit", "-1"), "--limit"),
        (("recipe", "diff", "tickets"), "AFTER"), (("data", "show"), "paths"),
    ],
)
def test_a_line_that_is_no_command_names_the_nearest(refusal, words: tuple[str, ...], said: str) -> None:
    assert said in refusal(*words)


@pytest.mark.parametrize("noun", ["data", "models", "recipe"])
def test_a_noun_alone_prints_its_commands(ftui, noun: str) -> None:
    code, out, err = ftui(noun)
    assert code == 2
    assert "Usage" in out
    assert "Traceback" not in err
