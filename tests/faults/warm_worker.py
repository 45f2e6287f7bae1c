"""A process that loads the libraries once and then forks a real worker for each line that it reads.

`python warm_worker.py MODEL_FOLDER`: puts a demo model with random weights there, says "ready", then answers each
{"run": folder, "log": file, "environment": {...}, "faults": [...]} with the worker's pid.  The worker is `main` of
`ftui.worker`, in a session and a process of its own: what is killed, and how it comes back, is real; what is saved is
the ten seconds in which it would read torch.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import power  # beside this script, which Python puts on the path
from injected import inject

from ftui.models import demo
from ftui.worker.__main__ import AGAIN, main


def warm(folder: Path) -> None:
    """Load what trainings need, and make the model that they train."""
    import importlib

    import bitsandbytes  # noqa: F401
    import torch
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    for name in ("objectives.sft", "adapters", "answers", "canary", "session", "tracking", "output", "publish"):
        importlib.import_module(f"ftui.worker.{name}")
    importlib.import_module("ftui.worker.jobs.train")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    os.environ["FTUI_HOME"] = str(folder)
    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in demo.CONFIG.items() if k != "architectures"}))
    model.save_pretrained(demo.ensure_folder())


def work(order: dict[str, Any]) -> None:
    """Be the worker of a run, to its end; never returns."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, theirs)
    os.chdir("/")
    os.environ.clear()
    os.environ.update(order["environment"])
    os.environ["FTUI_TEST_RUN"] = order["run"]
    if any(fault["what"] == "power" for fault in order["faults"]):
        power.watch(Path(order["run"]))
    for fault in order["faults"]:
        inject(fault)
    while (code := main(order["run"])) == AGAIN:
        # A worker proper would begin the next attempt by exec, and load its libraries anew.
        continue
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    """Fork a worker for each order on stdin, until it is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                work(order)
            finally:
                os._exit(70)
        print(pid, flush=True)


if __name__ == "__main__":
    warm(Path(sys.argv[1]))
    serve()
