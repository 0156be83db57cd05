"""How the panel looks and reads: no accessibility violation, and screenshots that change only when somebody means it.

A kept picture is written anew where none is; look at it before you commit it. Fonts differ between machines, so the
comparison is of small, blurred pictures and allows for a little.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from editor import Editor
from PIL import Image, ImageChops, ImageFilter, ImageStat
from plan_answers import RUNNING, TEMPLATE, answer
from playwright.sync_api import Route, expect

KEPT = Path(__file__).parent / "screenshots"
MEAN_DIFFERENCE = 6.0  # of 255, over the blurred picture

CASES: dict[str, dict[str, Any]] = {
    "8 GB card, template files": answer("4060Ti-8"),
    "24 GB card, template files": answer("4090-24"),
    "8 GB card, bf16 chosen": answer("4060Ti-8", precision="bf16"),
    "8 GB card, bad pair": answer("4060Ti-8", recipe="Lightning 8 steps", diffusion_model_file=TEMPLATE[0]),
    "8 GB card, text encoder on the CPU": answer("4060Ti-8", text_encoder_device="cpu"),
    "8 GB card, files missing": answer("4060Ti-8", ()),
    "8 GB card, download running": answer("4060Ti-8", (), RUNNING),
    "file named that is not there": answer("4060Ti-8", diffusion_model_file="gone.safetensors"),
    "no card": answer("cpu-64"),
}
PALETTES = ["dark", "light", "solarized"]
ALL_PALETTES = [*PALETTES, "arc", "nord", "github"]
ShowPlan = Callable[[dict[str, Any]], None]


@pytest.fixture
def show_plan(editor: Editor) -> Iterator[ShowPlan]:
    """show_plan(answer) puts a node on the graph whose panel draws that answer of the plan route."""
    shown: dict[str, Any] = {}

    def reply(route: Route) -> None:
        route.fulfill(status=200, content_type="application/json", body=json.dumps(shown))

    def show(made: dict[str, Any]) -> None:
        shown.update(made)
        node = editor.add_node()
        editor.wait_for_room()
        editor.node(node, "node => node.setSize([380, 970])")
        editor.wait_for_frames()
        editor.page.mouse.move(1300, 900)

    with editor.plans_answered_by(reply):
        yield show


@pytest.mark.parametrize("case", CASES)
def test_it_looks_as_it_did(editor: Editor, show_plan: ShowPlan, case: str) -> None:
    show_plan(CASES[case])
    compare(editor.panel().screenshot(animations="disabled"), f"{editor.renderer} - {case}")


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("case", ["8 GB card, bad pair", "8 GB card, files missing", "8 GB card, download running"])
def test_everybody_can_read_it(editor: Editor, show_plan: ShowPlan, case: str, palette: str) -> None:
    editor.setting("Comfy.ColorPalette", palette)
    try:
        show_plan(CASES[case])
        for row in editor.panel().locator(".qil-row").all():
            row.click()
            expect(row).to_have_attribute("aria-expanded", "true")
        found = Axe().run(editor.page, context=".qil-plan").response["violations"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []
    finally:
        editor.setting("Comfy.ColorPalette", "dark")


# The words of the panel whose contrast with what is behind them is less than 4.5 : 1, the wanted one for small print.
# axe gives up on colours that are mixed from others, so it is counted here.
PALE = """panel => {
    const brush = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })
    const rgb = color => {
        brush.clearRect(0, 0, 1, 1)
        brush.fillStyle = color
        brush.fillRect(0, 0, 1, 1)
        return [...brush.getImageData(0, 0, 1, 1).data]
    }
    const light = color => rgb(color).slice(0, 3).map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0)
    const behind = element => rgb(getComputedStyle(element).backgroundColor)[3] === 255
        ? getComputedStyle(element).backgroundColor : behind(element.parentElement)
    const found = []
    for (const element of panel.querySelectorAll("*")) {
        const words = [...element.childNodes].filter(node => node.nodeType === 3 && node.data.trim())
        if (!words.length || !element.checkVisibility()) continue
        const pair = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a)
        const contrast = (pair[0] + 0.05) / (pair[1] + 0.05)
        if (contrast < 4.5) found.push(`${contrast.toFixed(2)} ${element.className}: ${words[0].data}`)
    }
    return found
}"""


@pytest.mark.parametrize("palette", ALL_PALETTES)
def test_all_words_stand_out_from_what_is_behind_them(editor: Editor, show_plan: ShowPlan, palette: str) -> None:
    editor.setting("Comfy.ColorPalette", palette)
    try:
        for case in CASES.values():
            show_plan(case)
            for row in editor.panel().locator(".qil-row").all():
                row.click()
            assert editor.panel().locator(".qil-panel").evaluate(PALE) == []
            editor.clear()
    finally:
        editor.setting("Comfy.ColorPalette", "dark")


def compare(picture: bytes, name: str) -> None:
    """Fail when a picture differs from the kept one by more than fonts can explain."""
    new = Image.open(io.BytesIO(picture)).convert("RGB")
    kept = KEPT / f"{name}.png"
    if not kept.is_file():
        KEPT.mkdir(exist_ok=True)
        new.quantize(128).save(kept, optimize=True)
        return
    old = Image.open(kept).convert("RGB")
    assert old.size == new.size, f"{kept.name}: {old.size} before, {new.size} now"
    blur = ImageFilter.GaussianBlur(3)
    difference = ImageStat.Stat(ImageChops.difference(old.filter(blur), new.filter(blur))).mean
    assert max(difference) < MEAN_DIFFERENCE, f"{kept.name} looks different; delete it to keep the new look"
