"""A machine as data: what its driver answered and what else was found, so that a probe can be played again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ftui.documents import Document
from ftui.errors import BadInput
from ftui.hardware.document import Cpu, Disk, Gpu, Hardware, Ram, TorchBuild
from ftui.hardware.driver import Driver, DriverError, DriverHangs


class Machine(Document):
    """Everything about a machine that its NVIDIA driver doesn't tell."""

    host: str
    system: str
    cpu: Cpu
    ram: Ram
    disks: tuple[Disk, ...] = ()
    other_disks: tuple[Disk, ...] = ()
    torch: TorchBuild = TorchBuild()
    environment: dict[str, str] = {}
    """The variables that choose devices, those that are set."""
    nvidia_cards: int = 0
    """NVIDIA display controllers on the PCI bus, whether a driver serves them or not."""
    other_gpus: tuple[Gpu, ...] = ()
    """AMD and Apple GPUs."""
    problems: tuple[str, ...] = ()


class Box(Document):
    """One machine.  `answers` maps "question gpu slice" to the driver's answer, {"error": CODE} or {"hangs": true}.

    A question without an answer is "NotSupported", as it is on a real card.
    """

    kind: Literal["box"] = "box"
    version: Literal[1] = 1
    note: str = ""
    answers: dict[str, Any]
    machine: Machine


class Recorded:
    """The driver of a `Box`."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def ask(self, question: str, *where: int) -> Any:
        """The recorded answer."""
        key = " ".join([question, *map(str, where)])
        answer = self.answers.get(key, self.answers.get("*", {"error": "NotSupported"}))
        if isinstance(answer, dict) and "error" in answer:
            raise DriverError(answer["error"], answer.get("text", ""))
        if isinstance(answer, dict) and "hangs" in answer:
            raise DriverHangs(key)
        return answer

    def close(self) -> None:
        """Nothing is held."""


class Recording:
    """Passes questions on to `driver` and keeps its answers."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.answers: dict[str, Any] = {}

    def ask(self, question: str, *where: int) -> Any:
        """The answer of the driver, kept."""
        key = " ".join([question, *map(str, where)])
        try:
            answer = self.driver.ask(question, *where)
        except DriverHangs:
            self.answers[key] = {"hangs": True}
            raise
        except DriverError as error:
            self.answers[key] = {"error": error.code, "text": str(error)}
            raise
        self.answers[key] = [{**one, "user": None} for one in answer] if question.endswith("processes") else answer
        return answer

    def close(self) -> None:
        """Close the driver."""
        self.driver.close()


MOST_BYTES = 16 << 20
_MAKE = "Make one with `ftui probe --record FILE`."


def load(path: Path | str) -> Hardware:
    """The hardware in a file: a box (`ftui probe --record`), or what `ftui probe --json` printed.

    BadInput where it is neither.
    """
    from ftui.hardware.probing import replay

    try:
        path = Path(path).expanduser()
        if path.exists() and not path.is_file() and not path.is_dir():
            raise BadInput(f"{path} is no regular file (a pipe or device).", _MAKE)
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as error:
        # ValueError: a name with a NUL in it; RuntimeError: the home of a user that there isn't.
        raise BadInput(f"{path} can't be read: {getattr(error, 'strerror', None) or error}.", _MAKE) from None
    if len(content) > MOST_BYTES:
        raise BadInput(f"{path} is larger than any recorded machine (16 MiB).", _MAKE)
    try:
        if b'"answers"' in content:
            return replay(Box.from_json(content))
        return Hardware.from_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(
            f"{path} is no recorded machine: {where + ': ' if where else ''}{first['msg'].lower()}.", _MAKE
        ) from None
