"""A run: its folder, its events, its process.  Everything about it is read from files, by anyone, at any time."""

from __future__ import annotations
