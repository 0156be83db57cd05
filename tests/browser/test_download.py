"""Fetching from the panel: nothing unasked, live progress, a way to stop, errors with a next step. The hub is local."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from editor import Editor
from hub import Fault, Hub
from plan_answers import answer
from playwright.sync_api import Locator, Route, expect
from qwen_image_loader.runtime.download_state import DownloadState

NAME = "qwen_image_layered_vae.safetensors"  # the smallest file of the catalog whose bytes are not fixed there
REPO = "Comfy-Org/Qwen-Image-Layered_ComfyUI"
BYTES_PER_SECOND = 40_000_000


@pytest.fixture
def missing(editor: Editor, hub: Hub, models: Path) -> Iterator[Locator]:
    """The panel of a node that asks for a file which only the hub has, at a speed that lets people see it arrive."""
    hub.behave()
    hub.add(REPO, f"split_files/vae/{NAME}", next((models / "vae").glob("qwen_image_vae*")))
    hub.bytes_per_second = BYTES_PER_SECOND
    node = editor.add_node()
    editor.set_widget(node, "vae_file", NAME)
    panel = editor.panel()
    expect(panel.locator(".qil-fetch")).to_contain_text("1 file missing")
    yield panel
    editor.app(
        "app => app.api.fetchApi('/qwen-image-loader/download/cancel', "
        "{ method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' })"
    )
    (models / "vae" / NAME).unlink(missing_ok=True)


def test_nothing_is_fetched_until_the_button_is_pressed(missing: Locator, hub: Hub) -> None:
    assert not hub.requests


def test_a_download_shows_its_progress_and_ends_in_a_plan_without_missing_files(missing: Locator, models: Path) -> None:
    missing.locator("[data-key=download]").click()
    bar = missing.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]"))
    expect(missing.locator(".qil-fetch")).to_contain_text(NAME)
    expect(missing.locator(".qil-pace")).to_contain_text("MiB/s")
    expect(missing.locator(".qil-fetch")).to_have_count(0, timeout=30_000)
    expect(missing.locator("[data-key=file-vae] .qil-onDisk")).to_be_visible()
    assert (models / "vae" / NAME).is_file()


def test_an_error_is_shown_where_its_file_is_missing_alone(editor: Editor, missing: Locator, hub: Hub) -> None:
    hub.misbehave(NAME, Fault.MISSING, times=None)
    (first,) = editor.nodes()
    other = editor.add_node(500, 0)
    editor.set_widget(other, "lora_file", "Qwen-Image-Lightning-8steps-V2.0.safetensors")
    expect(editor.panel(other).locator("[data-key=download]")).to_have_text("Download")
    editor.panel(first).locator("[data-key=download]").click()
    expect(editor.panel(first).locator("[role=alert]")).to_contain_text(NAME)
    expect(editor.panel(first).locator("[data-key=download]")).to_have_text("Try again")
    expect(editor.panel(other).locator("[role=alert]")).to_have_count(0)
    expect(editor.panel(other).locator("[data-key=download]")).to_have_text("Download")


def test_cancel_stops_it_and_leaves_nothing_half_written(missing: Locator, models: Path) -> None:
    missing.locator("[data-key=download]").click()
    expect(missing.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]"))
    missing.locator("[data-key=cancel]").click()
    expect(missing.locator(".qil-fetch")).to_contain_text("cancelled. What has arrived is kept; “Download” goes on")
    expect(missing.locator("[data-key=download]")).to_be_enabled()
    assert not (models / "vae" / NAME).exists()


def test_an_error_says_why_and_can_be_tried_again(missing: Locator, hub: Hub) -> None:
    hub.misbehave(NAME, Fault.MISSING, times=None)
    missing.locator("[data-key=download]").click()
    expect(missing.get_by_role("alert")).to_contain_text(NAME, timeout=30_000)
    hub.behave()
    missing.locator("[data-key=download]").click()
    expect(missing.locator(".qil-fetch")).to_have_count(0, timeout=30_000)


def test_removing_the_node_meanwhile_harms_nothing(missing: Locator, editor: Editor, models: Path) -> None:
    missing.locator("[data-key=download]").click()
    expect(missing.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]"))
    (node,) = editor.nodes()
    editor.node(node, "node => node.graph.remove(node)")
    expect(editor.page.locator(".qil-plan")).to_have_count(0)
    second = editor.add_node()
    editor.set_widget(second, "vae_file", NAME)
    expect(editor.panel().locator("[data-key=cancel]")).to_be_visible()


def test_a_download_that_is_cancelled_before_its_first_byte_claims_none(editor: Editor) -> None:
    made = answer("4060Ti-8", ())
    names = tuple(file["catalog_name"] for file in made["plan"]["files"])
    for done, is_kept in ((0, False), (1, True)):
        state = DownloadState(cancelled=True, done_bytes=done, files=names).to_json()
        with editor.plans_answered_by(partial(Route.fulfill, json={**made, "download": state})):
            editor.add_node()
            expect(editor.panel().get_by_text("The download was cancelled.")).to_have_count(1)
            expect(editor.panel().get_by_text("is kept")).to_have_count(int(is_kept))
        editor.clear()


def test_every_panel_shows_the_same_download(missing: Locator, editor: Editor) -> None:
    second = editor.add_node(450, 0)
    editor.set_widget(second, "vae_file", NAME)
    missing = editor.panel(editor.nodes()[0])
    missing.locator("[data-key=download]").click()
    expect(editor.panel(second).get_by_role("progressbar")).to_be_visible()
    editor.panel(second).locator("[data-key=cancel]").click()
    expect(missing.locator(".qil-fetch")).to_contain_text("cancelled")
