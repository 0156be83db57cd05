"""Downloads in a real server, from a hub on loopback: by a run, by the routes, interrupted, and killed."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

from download_server import BASE, DISTILLED, LORA, TEXT_ENCODER, VAE, VALUES, Downloads, plan_only, run_beside
from hub_faults import Fault
from stock_graphs import stock_template, with_loader


def test_a_run_with_nothing_on_disk_fetches_the_plan_and_gives_the_image(
    downloads: Downloads, record_fact: Callable[[str], None]
) -> None:
    graph = with_loader(stock_template(downloads.server.object_info(), "distilled", side=64), **VALUES)
    began = time.monotonic()
    result = downloads.server.run(graph)
    assert result.status == "success", result.error
    assert len(downloads.server.images(result)) == 1
    assert downloads.wrong_files() == []
    states = [data for kind, data in result.messages if kind == "qwen-image-loader.download"]
    assert states[-1]["finished"]
    assert {state["index"] for state in states if state["running"]} >= {1, 2, 3}
    assert [s["done_bytes"] for s in states] == sorted(s["done_bytes"] for s in states)
    assert not [kind for kind, _ in result.messages if kind == "progress_text"], "it would stay on the node for good"
    assert any(kind == "progress_state" for kind, _ in result.messages)
    assert not [path for path, _ in downloads.hub.authorization if path.startswith("storage/")], "token left the hub"
    record_fact(
        f"nothing on disk -> {states[-1]['total_bytes'] / 1e9:.1f} GB -> image: {time.monotonic() - began:.0f} s"
    )


def test_an_interrupt_ends_the_download_and_the_next_run_goes_on_with_it(
    downloads: Downloads, record_fact: Callable[[str], None]
) -> None:
    downloads.place(DISTILLED, TEXT_ENCODER)
    downloads.hub.bytes_per_second = 60e6
    thread, results = run_beside(downloads.server, plan_only())
    before = downloads.until(lambda state: state["running"] and state["done_bytes"] > 40e6)
    began = time.monotonic()
    downloads.server.request("/interrupt", {})
    state = downloads.until(lambda state: not state["running"])
    stopped = time.monotonic() - began
    thread.join(30)
    took = time.monotonic() - began
    assert results[0].status == "interrupted"
    assert state["cancelled"]
    assert state["error"] is None
    downloads.hub.behave()
    assert downloads.server.run(plan_only()).status == "success"
    assert downloads.wrong_files() == []
    size = downloads.served[before["file"]].stat().st_size
    assert downloads.hub.sent[before["file"]] < size, "the part that was there was fetched again"
    record_fact(
        f"interrupt in a running server: download stopped after {stopped:.2f} s, prompt ended after {took:.2f} s"
    )


def test_cancel_answers_at_once_also_while_the_connection_hangs(
    downloads: Downloads, record_fact: Callable[[str], None]
) -> None:
    name = LORA
    downloads.hub.misbehave(name, Fault.STALL, at=15_000_000, times=None)
    assert downloads.post("/download/start", {"files": [name]})[0] == 200
    downloads.until(lambda state: state["running"] and state["done_bytes"] > 10e6)
    began = time.monotonic()
    status, state = downloads.post("/download/cancel", {})
    took = time.monotonic() - began
    assert (status, state["cancelled"], state["running"]) == (200, True, False)
    downloads.hub.behave()
    assert downloads.post("/download/start", {"files": [name]})[0] == 200, "the old thread does not block a new start"
    assert downloads.until(lambda state: not state["running"])["finished"]
    assert downloads.wrong_files() == []
    record_fact(f"cancel of a hanging download in a running server: {took:.3f} s")


def test_two_clicks_and_a_run_are_one_download(downloads: Downloads) -> None:
    downloads.place(BASE, TEXT_ENCODER)
    lightning = {"recipe": "Lightning 8 steps", "lora_file": LORA}
    downloads.hub.bytes_per_second = 100e6
    files = [LORA, VAE]
    assert downloads.post("/download/start", {"files": files})[0] == 200
    assert downloads.post("/download/start", {"files": files[:1]})[0] == 200
    result = downloads.server.run(plan_only(**lightning))
    assert downloads.until(lambda state: not state["running"])["finished"]
    assert downloads.wrong_files() == []
    assert downloads.hub.sent[VAE] == downloads.served[VAE].stat().st_size
    assert result.status == "success", result.error


def test_other_files_have_to_wait(downloads: Downloads) -> None:
    downloads.hub.bytes_per_second = 20e6
    assert downloads.post("/download/start", {"files": [VAE]})[0] == 200
    status, answer = downloads.post("/download/start", {"files": [LORA]})
    assert status == 409
    assert VAE in answer["error"]


def test_without_being_asked_nothing_is_fetched(downloads: Downloads) -> None:
    result = downloads.server.run(plan_only(download_missing=False))
    assert result.status == "error"
    assert "download_missing" in result.error
    asked_for = {file for _, file in downloads.hub.requests}
    assert not asked_for & {DISTILLED, TEXT_ENCODER}, "other files: a cancelled download's last request may come late"


def test_an_error_reaches_the_node_in_words(downloads: Downloads) -> None:
    downloads.hub.misbehave(VAE, Fault.GATED, times=None)
    result = downloads.server.run(plan_only())
    assert result.status == "error"
    assert "hf auth login" in result.error
    assert VAE in result.error
    assert str(downloads.models) not in json.dumps(downloads.get("/download"))


def test_kill_in_the_middle_leaves_no_wrong_file_and_the_next_start_completes(
    downloads: Downloads, record_fact: Callable[[str], None]
) -> None:
    """Three of the ten kills, in the whole server; the others are in test_kills.py, in a process that only fetches."""
    names = [VAE, LORA]
    moments = random.Random(3)
    for _ in range(3):
        downloads.hub.bytes_per_second = 150e6
        assert downloads.post("/download/start", {"files": names})[0] == 200
        total = downloads.until(lambda state: state["total_bytes"] < 1e9 and state["done_bytes"] > 0)["total_bytes"]
        moment = moments.uniform(0.05, 0.95) * total
        downloads.until(lambda state, moment=moment: not state["running"] or state["done_bytes"] >= moment)
        downloads.server.kill()
        assert downloads.wrong_files() == []
        downloads.server.start()
        downloads.hub.behave()
        assert downloads.post("/download/start", {"files": names})[0] == 200
        assert downloads.until(lambda state: not state["running"])["finished"]
        assert downloads.wrong_files() == []
        assert sorted(path.name for path in downloads.models.rglob("*.safetensors")) == sorted(names)
        assert not list(downloads.models.rglob("*.partial"))
        downloads.clear()
    record_fact("SIGKILL of the server at 3 moments: bytes lost 0, wrong files 0, next start completed 3 of 3")
