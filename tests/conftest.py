"""Which tests need what, why some are skipped, and the block at the end that counts both."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable

import pytest
from chromium import find_chromium, missing_chromium_reason
from comfyui_host import why_no_comfyui
from load_pack import load_pack

pytest_plugins = ["comfyui_fixtures", "browser_fixtures", "download_fixtures", "download_server"]

load_pack()  # so that every test may import from qwen_image_loader.planner and .runtime

KINDS = {"browser": "browser", "comfy": "ComfyUI", "node": "Node.js"}  # marker -> word, the most demanding first
SERVER_FIXTURES = {"comfyui_host", "comfy_server", "start_server", "object_info"}
BROWSER_FIXTURES = {"page", "chromium"}
_facts: list[str] = []
_counts: Counter[tuple[str, str, str]] = Counter()  # (kind, outcome, reason of a skip) -> tests


def kind_of(item: pytest.Item) -> str:
    """unit, ComfyUI, browser or Node.js."""
    return next((word for marker, word in KINDS.items() if item.get_closest_marker(marker)), "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures they use, skip what cannot run here, and run tests with a server last."""
    no_comfyui, no_chromium = why_no_comfyui(), "" if find_chromium() else missing_chromium_reason()
    no_node = "" if shutil.which("node") else "no Node.js on PATH"
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if used & BROWSER_FIXTURES:
            item.add_marker("browser")
        if used & SERVER_FIXTURES:
            item.add_marker("comfy")
        reasons = {"comfy": no_comfyui, "browser": no_comfyui or no_chromium, "node": no_node}
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
        item.user_properties.append(("kind", kind_of(item)))
    order = ["unit", "Node.js", "ComfyUI", "browser"]
    items.sort(key=lambda item: order.index(kind_of(item)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count each test once: by its call, or by its setup when that skipped or failed."""
    if report.when == "call" or (report.when == "setup" and not report.passed):
        _facts.extend(str(fact) for name, fact in report.user_properties if name == "fact")
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, (tuple, list)) else ""
        _counts[(dict(report.user_properties).get("kind", "unit"), report.outcome, reason)] += 1


@pytest.fixture
def record_fact(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """record_fact("...") prints a measured fact in the block at the end; it asserts nothing."""
    return lambda fact: request.node.user_properties.append(("fact", fact))


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last thing on the screen: how many tests of each kind ran, and how many were skipped for want of what."""
    if not _counts or hasattr(config, "workerinput"):  # pytest-xdist's workers report to the process that prints
        return
    print("\nMeasured" if _facts else "")
    for fact in _facts:
        print(f"  {fact}")
    print("What ran")
    for kind in ("unit", "Node.js", "ComfyUI", "browser"):
        rows = {key[1:]: number for key, number in _counts.items() if key[0] == kind}
        ran = sum(number for (outcome, _), number in rows.items() if outcome != "skipped")
        failed = sum(number for (outcome, _), number in rows.items() if outcome == "failed")
        verdict = f", {failed} FAILED" if failed else ", all passed" if ran else ""
        print(f"  {kind + ' tests:':15} {ran} ran{verdict}")
        for (outcome, reason), number in rows.items():
            if outcome == "skipped":
                print(f"  {'':15} {number} skipped: {reason}")
