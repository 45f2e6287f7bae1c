"""Other objectives than imitation, started from the wizard with keys alone and watched to their end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("journeys")]


def test_tickets_are_sorted_by_a_classifier_on_the_smallest_terminal(
    open_terminal: Callable[..., Any], trained_demo: Path, tmp_path: Path
) -> None:
    lines = [f'"My {kind} is wrong, number {n}.",{kind}' for n in range(40) for kind in ("bill", "login")]
    (tmp_path / "tickets.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    terminal = open_terminal(size=(80, 24))
    terminal.name_data("tickets.csv")
    terminal.wait_for(r"80 rows of texts with labels(.|\n)*labels +2: bill 40, login 40(.|\n)*label bill")
    terminal.keys("C-n")
    terminal.wait_for(r"● Goal(.|\n)*Classification +★")
    terminal.keys("C-n")
    terminal.wait_for(r"● Plan(.|\n)*★")
    terminal.keys("C-n")
    terminal.wait_for(r"● Settings")
    terminal.keys("C-n")
    terminal.wait_for(r"● Review(.|\n)*by classification on")
    terminal.keys("Enter")
    terminal.wait_for(r"finished: Trained(.|\n)*f1", timeout=300)
    terminal.keys("2")
    terminal.wait_for(r"This run answered no prompts")


def test_a_recipe_with_stages_shows_each_and_leads_to_its_curves(
    open_terminal: Callable[..., Any], trained_demo: Path, tmp_path: Path
) -> None:
    def rows(**beside: str) -> str:
        return "".join(json.dumps({"prompt": f"What is {n}?", **beside}) + "\n" for n in range(40))

    (tmp_path / "chat.jsonl").write_text(rows(completion="A number."))
    (tmp_path / "pairs.jsonl").write_text(rows(chosen="A number.", rejected="No idea."))
    terminal = open_terminal("launch", "sft-then-dpo", "-m", "demo", "-d", "chat.jsonl", size=(120, 40))
    terminal.wait_for(r"Started (\S+) in the background", timeout=120)
    terminal = open_terminal("watch", size=(120, 40))
    terminal.wait_for(r"Each stage is a run of its own(.|\n)*sft", timeout=60)
    terminal.wait_for(r"✓ finished +sft(.|\n)*✓ finished +dpo", timeout=300)
    terminal.keys("v")
    terminal.wait_for(r"align-dpo(.|\n)*rewards: margins")
