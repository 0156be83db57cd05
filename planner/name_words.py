"""What the words in a file's name and folders say of its release and recipe, where no catalog row describes it."""

from __future__ import annotations

import re

from .releases import (
    QWEN_IMAGE,
    QWEN_IMAGE_2512,
    QWEN_IMAGE_EDIT,
    QWEN_IMAGE_EDIT_2509,
    QWEN_IMAGE_EDIT_2511,
    QWEN_IMAGE_LAYERED,
)
from .request import RECIPE_BASE, RECIPE_DISTILLED, RECIPE_LIGHTNING_4, RECIPE_LIGHTNING_8


def words_of(name: str) -> str:
    """The words in lower case, each between blanks; "QwenEdit" is two."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.removesuffix(".safetensors")).lower()
    parted = re.sub(r"qwen(image)?(?=edit|image|layered)", lambda part: f"qwen {part[1] or ''} ", parted)
    return " " + " ".join(re.findall(r"[a-z0-9]+", parted)) + " "


def _has_number(name: str, number: str) -> bool:
    return re.search(rf"(?<!\d){number}(?!\d)", name) is not None


def release_in_name(listed: str) -> str:
    """The release that the file's own name or else its folders speak of, "" where none is."""
    folders, _, name = listed.rpartition("/")
    return _release_in_words(name) or _release_in_words(folders)


def _release_in_words(name: str) -> str:
    words = words_of(name)
    if _has_number(name, "2511"):
        return QWEN_IMAGE_EDIT_2511
    if _has_number(name, "2509"):
        return QWEN_IMAGE_EDIT_2509
    if _has_number(name, "2512"):
        return QWEN_IMAGE_2512
    if " edit " in words:
        return QWEN_IMAGE_EDIT
    if " layered " in words:
        return QWEN_IMAGE_LAYERED
    return QWEN_IMAGE if " qwen image " in words else ""


def has_steps(name: str, number: int) -> bool:
    """Whether a name in lower case speaks of that many steps: "4steps", "4-step", not "24steps"."""
    return re.search(rf"(?<!\d){number}[-_ ]?steps?", name) is not None


def recipe_in_name(name: str) -> str:
    """What a model or LoRA of this name was made to do; base where nothing says."""
    lower = name.lower()
    if has_steps(lower, 4) or " rapid " in words_of(name):
        return RECIPE_LIGHTNING_4
    if has_steps(lower, 8):
        return RECIPE_LIGHTNING_8
    if "lightning" in lower:
        return RECIPE_LIGHTNING_4
    return RECIPE_DISTILLED if re.search(r"(?<!un)(?<!de)(?<!de[-_ ])distill", lower) else RECIPE_BASE
