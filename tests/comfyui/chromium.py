"""Where a Chromium for browser tests is."""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """CHROMIUM_PATH, else a Chromium or Chrome on PATH, else the one that Playwright installed, else None."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    named = os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, NAMES)), None)
    if named:
        return named
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if os.path.isfile(own) else None


def missing_chromium_reason() -> str:
    return "no Chromium; set CHROMIUM_PATH or run `python -m playwright install chromium`"
