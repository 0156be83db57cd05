"""Turns single measures off by a file, for before and after in the benchmark: nothing a user needs."""

from __future__ import annotations

from .own_folder import own_folder

FILE = "without.txt"  # one name a line


def is_on(measure: str) -> bool:
    """Whether `measure` is not named in the file; without the file everything is on."""
    try:
        with open(own_folder(FILE), encoding="utf-8") as file:
            return measure not in file.read().split()
    except FileNotFoundError:
        return True
