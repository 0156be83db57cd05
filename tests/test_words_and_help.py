"""The panel's and the node's words in every language say the same things, and the node help's pictures exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from comfyui_host import REPOSITORY

LOCALES = REPOSITORY / "locales"
LANGUAGES = ("de", "es", "fr", "ja", "ko", "zh")
HELP = REPOSITORY / "js" / "docs"
NODE = "QIL_LoadQwenImage"


def read(language: str, name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((LOCALES / language / name).read_text(encoding="utf-8"))
    return values


def test_these_languages_are_shipped() -> None:
    assert {folder.name for folder in LOCALES.iterdir()} == {"en", *LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_panel_is_translated_with_the_same_values(language: str) -> None:
    english, words = (read(name, "main.json")["qwenImageLoader"] for name in ("en", language))
    assert list(words) == list(english)
    values = {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in words.items()}
    assert values == {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in english.items()}


def test_the_panel_uses_every_word_and_has_a_word_for_every_use() -> None:
    words = set(read("en", "main.json")["qwenImageLoader"])
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "js").rglob("*.js"))
    quoted = set(re.findall(r'"(\w+)"', scripts))
    assert words - quoted <= {"diffusion_model", "text_encoder", "encode", "decode"}, "words that nothing shows"
    used = set(re.findall(r'\bt\(\s*"(\w+)"', scripts))
    assert used <= words


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_input_and_output_of_the_node_is_translated(language: str) -> None:
    golden = json.loads((REPOSITORY / "tests" / "golden" / "object_info.json").read_text(encoding="utf-8"))
    schema = golden.get(NODE, golden)
    inputs = [*schema["input"].get("required", {}), *schema["input"].get("optional", {})]
    words = read(language, "nodeDefs.json")[NODE]
    assert list(words["inputs"]) == inputs
    assert list(words["outputs"]) == [str(index) for index in range(len(schema["output"]))]
    texts = [text for part in ("inputs", "outputs") for entry in words[part].values() for text in entry.values()]
    assert all([words["display_name"], words["description"], *texts])


@pytest.mark.parametrize("text", [f"{NODE}.md", f"{NODE}/zh.md"])
def test_the_help_shows_pictures_that_are_there(text: str) -> None:
    """The editor reads picture names from js/docs, wherever the page is."""
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (HELP / text).read_text(encoding="utf-8"))
    assert len(pictures) == 3
    assert [name for name in pictures if not Path(HELP / name).is_file()] == []
