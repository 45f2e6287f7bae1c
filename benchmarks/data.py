"""The check-up of a large file of conversations held against the plain library, in one run.

    python benchmarks/data.py [--mib 64] [--data ../shared/data] [--only plain cheap]

Writes a JSON Lines file of that size, real rows repeated with words changed, and gives it in turn to

    plain       datasets.load_dataset("json") and map with a fast tokenizer, one process
    tokenizers  the same tokenizer alone, on the texts of the first 64 MiB in batches
    cheap       ftui data check
    deep        ftui data check --deep --against gsm8k/test.jsonl

each in a process of its own: wall and CPU seconds, and the peak of resident memory.  Then: when the first findings
come, how soon the first rows of a file of 10 GiB are shown, and how soon an interrupt ends the check-up.  The tokenizer
is a byte-level BPE of 32,000 pieces trained on the rows, of the kind and speed that today's models have.
Targets: cheap at most 1.5 and deep at most 4 times plain; 1 GiB; 2 s to the first findings and rows; 1 s to cancel.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MiB = 1 << 20
SPED = 64
"""MiB that the tokenizer alone is given."""
CHEAP, DEEP, MOST_MIB, FIRST_SECONDS, CANCEL_SECONDS = 1.5, 4.0, 1024, 2.0, 1.0
STEPS = ("plain", "tokenizers", "cheap", "deep", "first", "open", "cancel")
FTUI = str(Path(sys.executable).with_name("ftui"))
HERE = Path(__file__).resolve()

Row = list[dict[str, str]]


@dataclass(frozen=True)
class Measured:
    """Seconds and MiB of one process."""

    wall: float
    cpu: float
    peak: float
    said: str


def real_rows(folder: Path) -> list[Row]:
    """Conversations of the datasets beside the checkout, as role and content."""
    rows: list[Row] = []
    for row in json.loads((folder / "llamafactory/alpaca_en_demo.json").read_text()):
        question = "\n".join(filter(None, (row["instruction"], row["input"])))
        rows.append([_turn("user", question), _turn("assistant", row["output"])])
    for line in (folder / "gsm8k/train.jsonl").read_text().splitlines()[:1000]:
        row = json.loads(line)
        rows.append([_turn("user", row["question"]), _turn("assistant", row["answer"])])
    roles = {"human": "user", "gpt": "assistant", "system": "system"}
    for name in ("glaive_toolcall_en_demo", "dpo_en_demo"):
        for row in json.loads((folder / f"llamafactory/{name}.json").read_text()):
            turns = [*row["conversations"], *([row["chosen"]] if "chosen" in row else [])]
            if all(turn["from"] in roles for turn in turns):
                rows.append([_turn(roles[turn["from"]], turn["value"]) for turn in turns])
    for row in json.loads((folder / "llamafactory/kto_en_demo.json").read_text()):
        rows.append([_turn(turn["role"], turn["content"]) for turn in row["messages"]])
    return rows


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def write_rows(path: Path, rows: list[Row], size: int) -> int:
    """Fill the file with rows, of which each time another share of words is changed; their number.

    Of 50 rows one is an exact copy, and ten have hardly a word changed; of the others up to half of the words are
    others' words, so that most are rows of their own, which is what costs memory.
    """
    chooser = random.Random(5)
    words = [word for row in rows for turn in row for word in turn["content"].split(" ")]
    number = written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            row = chooser.choice(rows)
            kind = chooser.random()
            share = 0.0 if kind < 0.02 else chooser.uniform(0, 0.01) if kind < 0.22 else chooser.uniform(0.02, 0.5)
            changed = [{**turn, "content": _changed(turn["content"], share, words, chooser)} for turn in row]
            written += file.write(json.dumps({"messages": changed}) + "\n")
            number += 1
    return number


def _changed(text: str, share: float, words: list[str], chooser: random.Random) -> str:
    own = text.split(" ")
    count = max(1, round(share * len(own))) if share else 0
    for place, word in zip(chooser.choices(range(len(own)), k=count), chooser.choices(words, k=count), strict=True):
        own[place] = word
    return " ".join(own)


def write_model(folder: Path, rows: list[Row]) -> None:
    """A model's folder without weights: a shape that ftui can read, and the tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=32_000, special_tokens=["<|im_start|>", "<|im_end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    backend.train_from_iterator((turn["content"] for row in rows for turn in row), trainer)
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": backend.get_vocab_size(),
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 4, "max_position_embeddings": 4096, "tie_word_embeddings": True,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"})
    )


def plain(path: str, model: str) -> None:
    """What a training script does before its first step."""
    import datasets
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = datasets.load_dataset("json", data_files=path, split="train")

    def tokenize(batch: dict[str, Any]) -> Any:
        return tokenizer(["\n".join(turn["content"] for turn in turns) for turns in batch["messages"]])

    tokens = rows.map(tokenize, batched=True, remove_columns=rows.column_names)
    print(f"{len(tokens):,} rows")


def tokenizers_alone(path: str, model: str) -> None:
    """Its own speed, on texts that stand in memory; the seconds that it says are those of encoding alone."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(f"{model}/tokenizer.json")
    seconds, tokens, read = 0.0, 0, 0
    for texts in _texts(path, 1000):
        if (read := read + sum(map(len, texts))) > SPED * MiB:
            break
        begun = time.perf_counter()
        tokens += sum(len(encoding.ids) for encoding in backend.encode_batch_fast(texts, add_special_tokens=False))
        seconds += time.perf_counter() - begun
    print(f"{tokens:,} tokens in {seconds:.1f} s: {tokens / seconds:,.0f} each second")


def _texts(path: str, count: int) -> Iterator[list[str]]:
    texts = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            texts.append("\n".join(turn["content"] for turn in json.loads(line)["messages"]))
            if len(texts) == count:
                yield texts
                texts = []
    yield texts


def first_findings(path: str, model: str) -> None:
    """Seconds from the first import on until findings are there to be shown, and how many there are."""
    begun = time.perf_counter()
    from ftui.data import check
    from ftui.data.document import Finding
    from ftui.models import describe

    def show(rows: int, findings: Sequence[Finding]) -> None:
        names = ", ".join(finding.name for finding in findings)
        spent = f"{time.perf_counter() - begun:.2f} s ({time.process_time():.2f} of CPU)"
        print(f"{spent}, in {rows:,} rows: {names}", flush=True)
        os._exit(0)

    check(path, describe(model), deep=True, on_found=show)
    raise SystemExit("no findings came before the end")


PARTS = {"plain": plain, "tokenizers": tokenizers_alone, "first": first_findings}


def measure(command: list[str], folder: Path) -> Measured:
    """Run a command to its end; its caches and temporary files stay within `folder`."""
    begun = time.monotonic()
    with (folder / "output").open("w+b") as output:
        child = subprocess.Popen(command, stdout=output, env=_environment(folder))
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode()
    if child.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ended with {child.returncode}")
    return Measured(time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said)


def _environment(folder: Path) -> dict[str, str]:
    (folder / "tmp").mkdir(exist_ok=True)
    return os.environ | {
        "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "FTUI_HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def cancel(command: list[str], folder: Path, after: float) -> tuple[float, int]:
    """Seconds from an interrupt to the process's end, and how many files it leaves."""
    # A process that was started in the background would hand on that it ignores interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment(folder))
    time.sleep(after)
    assert child.poll() is None, "the check-up ended before it was cancelled"
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    child.wait()
    return time.monotonic() - begun, sum(path.is_file() for path in (folder / "tmp").rglob("*"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--only", nargs="*", choices=STEPS)
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        part, path, model = asked.part
        PARTS[part](path, model)
        return
    with tempfile.TemporaryDirectory() as made:
        _all(Path(made), asked.data, asked.mib, set(asked.only or ()))


def _all(folder: Path, data: Path, mib: int, only: set[str]) -> None:
    path, model = folder / "data.jsonl", folder / "model"
    rows = real_rows(data)
    write_model(model, rows)
    number = write_rows(path, rows, mib * MiB)
    print(f"{mib} MiB, {number:,} conversations made of {len(rows):,} real ones; {os.cpu_count()} cores", flush=True)
    print(f"{'':<12}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'of plain':>14}", flush=True)

    def wanted(name: str) -> bool:
        return not only or name in only

    def part(name: str) -> list[str]:
        return [sys.executable, str(HERE), "--part", name, str(path), str(model)]

    cheap = [FTUI, "data", "check", str(path), "--model", str(model), "--json"]
    deep = [*cheap, "--deep", "--against", str(data / "gsm8k/test.jsonl")]
    measured: dict[str, Measured] = {}
    for name, command in (
        ("plain", part("plain")), ("tokenizers", part("tokenizers")), ("cheap", cheap), ("deep", deep)
    ):  # fmt: skip
        if wanted(name):
            one = measured[name] = measure(command, folder)
            ratio = _ratio(one, measured["plain"]) if "plain" in measured and name != "tokenizers" else ""
            numbers = f"{one.wall:9.1f}{one.cpu:9.1f}{one.peak:10.0f}{ratio:>14}"
            print(f"{name:<12}{numbers}  {_summary(one.said)}", flush=True)
    missed = list(_missed(measured))
    if wanted("first"):
        said = measure(part("first"), folder).said
        print(f"first findings after {said.strip()}", flush=True)
        missed += ["first findings"] if float(said.split()[0]) > FIRST_SECONDS else []
    if wanted("open"):
        shown = _open_large(folder, path)
        print(f"first row of a file of 10 GiB after {shown.wall:.2f} s ({shown.cpu:.2f} of CPU)", flush=True)
        missed += ["first rows"] if shown.wall > FIRST_SECONDS else []
    if wanted("cancel"):
        seconds, left = cancel(deep, folder, after=5.0)
        print(f"cancelled after {seconds:.2f} s; {left} files left behind", flush=True)
        missed += ["cancel"] if seconds > CANCEL_SECONDS or left else []
    print(f"missed: {', '.join(missed) or 'none'}")
    sys.exit(1 if missed else 0)


def _ratio(one: Measured, plain: Measured) -> str:
    """How many times as long, by the clock and by CPU."""
    return f"{one.wall / plain.wall:.2f} ({one.cpu / plain.cpu:.2f})"


def _summary(said: str) -> str:
    """What a part printed; of a check-up, the findings' names and counts."""
    if not said.startswith("{"):
        return said.strip()
    found = json.loads(said)
    return ", ".join(f"{finding['name']} {finding['count']:,}" for finding in found["findings"])


def _missed(measured: dict[str, Measured]) -> Iterator[str]:
    for name, times in (("cheap", CHEAP), ("deep", DEEP)):
        if name in measured:
            if "plain" in measured and measured[name].wall > times * measured["plain"].wall:
                yield f"{name}: more than {times} times plain"
            if measured[name].peak > MOST_MIB:
                yield f"{name}: more than {MOST_MIB} MiB"


def _open_large(folder: Path, path: Path) -> Measured:
    """What it takes until `ftui data show --row 1` has shown a row of a file of 10 GiB, real at its beginning."""
    large = folder / "large.jsonl"
    with path.open("rb") as rows, large.open("wb") as file:
        file.write(rows.read(4 * MiB))
        # What follows is a hole, which takes no room on most file systems.
        file.truncate(10 << 30)
    return measure([FTUI, "data", "show", str(large), "--row", "1", "--json"], folder)


if __name__ == "__main__":
    main()
