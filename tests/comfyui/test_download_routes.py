"""The pack's routes in a real server with --enable-cors-header: who may call them, and that nonsense does no harm."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from download_server import TOKEN, VAE, Downloads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://["},
)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("route", ["/download/start", "/download/cancel"])
def test_another_sites_page_can_do_nothing(downloads: Downloads, headers: dict[str, str], route: str) -> None:
    status, _ = downloads.post(route, {"files": [VAE]}, headers)
    assert status == 403
    assert not downloads.hub.requests
    assert not downloads.get("/download")["running"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_is_not_json(downloads: Downloads, kind: str) -> None:
    body = json.dumps({"files": [VAE]}).encode()
    assert downloads.post("/download/start", body, {"Content-Type": kind})[0] == 400
    assert not downloads.hub.requests


def test_the_editors_own_page_may_start_and_cancel(downloads: Downloads) -> None:
    page = {"Origin": downloads.server.url, "Sec-Fetch-Site": "same-origin"}
    plain = {"Origin": downloads.server.url}
    behind_a_proxy = {"Origin": "https://comfy.example", "Sec-Fetch-Site": "same-origin"}
    for own in (page, plain, behind_a_proxy):
        assert downloads.post("/download/start", {"files": [VAE]}, own)[0] == 200
        assert downloads.post("/download/cancel", {}, own)[0] == 200


def test_the_plan_route_says_what_is_missing_and_nothing_secret(downloads: Downloads) -> None:
    answer = downloads.get("/plan?recipe=distilled&precision=fp8_e4m3fn&vram_limit_gib=8")
    assert answer["plan"]["missing_bytes"] > 0
    assert "Qwen-Image" in answer["text"]
    assert {space["folder"] for space in answer["disk"]} >= {"vae", "diffusion_models"}
    assert not answer["download"]["running"]
    text = json.dumps(answer)
    assert str(downloads.server.base) not in text
    assert str(Path.home()) not in text
    assert TOKEN not in text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("model=Qwen-Video", "Qwen-Image-2512"),
        ("recipe=fast", "Lightning 8 steps"),
        ("vram_limit_gib=much", "number"),
        ("vram_limit_gib=nan", "number"),
        ("text_encoder_device=tpu", "cpu"),
        ("url=http://evil.example/x", "no input"),
    ],
)
def test_a_bad_input_is_answered_in_words(downloads: Downloads, query: str, says: str) -> None:
    status, body = downloads.server.request(f"/qwen-image-loader/plan?{query}")
    assert status == 400
    assert says in json.loads(body)["error"]


def test_a_recipe_that_the_release_lacks_is_a_plan_that_says_so(downloads: Downloads) -> None:
    plan = downloads.server.get_json("/qwen-image-loader/plan?model=Qwen-Image-Layered&recipe=distilled")["plan"]
    assert "has no recipe 'distilled'" in plan["error"]
    assert plan["error_changes"] == [["recipe", "auto"]]


NASTY = ("../../etc/passwd", "..\\..\\x", "/etc/passwd", "C:\\x", "http://evil.example", f"{VAE}/..", "a\0b", "\ud800")
texts = st.one_of(st.text(max_size=40), st.sampled_from(NASTY))
names = st.sampled_from(
    ["model", "recipe", "precision", "vram_limit_gib", "diffusion_model_file", "vae_file", "download_missing", "x"]
)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
bodies = st.one_of(
    st.binary(max_size=200),
    values.map(lambda value: json.dumps(value).encode()),
    values.map(lambda value: json.dumps({"files": value}).encode()),
    st.just(b"[" * 60_000),
    st.just(b"{" + b" " * 70_000 + b"}"),
)


def everything_in(folder: Path) -> set[str]:
    """Every file and folder of the server, its log, its bytecode and its own state aside."""
    own = {"user", "hf", "temp", "__pycache__"}
    found = [path for path in folder.rglob("*") if not own & set(path.relative_to(folder).parts)]
    return {str(path) for path in found if path.suffix != ".log"}


@pytest.fixture
def untouched(downloads: Downloads) -> Any:
    """Nothing appears on disk and nothing is fetched while the test runs."""
    before = everything_in(downloads.server.base)
    yield downloads
    assert everything_in(downloads.server.base) == before
    assert {file for _, file in downloads.hub.requests} <= {VAE}, "a cancelled download's last request may come late"


no_health_check = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@no_health_check
@given(query=st.lists(st.tuples(st.one_of(names, texts), texts), max_size=5))
def test_no_query_of_the_plan_is_an_error_of_the_server(untouched: Downloads, query: list[tuple[str, str]]) -> None:
    text = urllib.parse.urlencode(query, errors="surrogatepass")
    status, body = untouched.server.request(f"/qwen-image-loader/plan?{text}")
    assert status in (200, 400), body


@no_health_check
@given(route=st.sampled_from(["start", "cancel"]), body=bodies)
def test_no_body_is_an_error_of_the_server(untouched: Downloads, route: str, body: bytes) -> None:
    status, answer = untouched.post(f"/download/{route}", body, {"Content-Type": "application/json"})
    assert status in ((200, 400) if route == "cancel" else (400,)), answer


@no_health_check
@given(method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]), rest=texts)
def test_no_address_below_the_prefix_is_an_error_of_the_server(untouched: Downloads, method: str, rest: str) -> None:
    path = urllib.parse.quote(rest, errors="surrogatepass", safe="/")
    status, _ = untouched.server.request(f"/qwen-image-loader/{path}", method=method)
    assert status < 500
