"""The project's commands: `nox -s demo` runs the main job, `nox -s tests` every check; each does its own set-up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "demo"))

from comfyui_host import GIT_URL, Host, default_workspace, find_host, missing_host_reason  # noqa: E402

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True

HOST_VERSION = "0.33.0"  # the ComfyUI that is installed where none is found
TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")
TWO_AT_A_TIME = ("-n", "2", "--dist", "loadfile")  # test files; each of the two has a server and a browser of its own
LINTERS = ("ruff==0.17.6", "mypy==2.4.1")


@nox.session
def tests(session: nox.Session) -> None:
    """Lint, types, then all tests; ends with what ran and what was skipped. Further words go to pytest."""
    need_python(session)
    check_style(session)
    host = get_host(session, "tests/requirements.txt")
    if host:
        get_chromium(session)
    words = session.posargs or [*TWO_AT_A_TIME, "tests"]
    one_thread = {"OMP_NUM_THREADS": "1"}  # two servers that each use every core wait for one another
    session.run("python", "-m", "pytest", "-c", "tests/pytest.ini", *words, env={**host_env(host), **one_thread})


@nox.session
def demo(session: nox.Session) -> None:
    """Run the template with Load Qwen-Image in a real ComfyUI, into demo-output/; `-- --open` opens the editor."""
    need_python(session)
    host = get_host(session, "demo/requirements.txt")
    session.run("python", "demo/run_demo.py", *session.posargs, env=host_env(host))


@nox.session
def lint(session: nox.Session) -> None:
    """ruff over everything, mypy (strict) over planner/."""
    check_style(session)


@nox.session
def bench(session: nox.Session) -> None:
    """Plan over 200 full-size files, timed. `-- FILE ARGUMENTS` runs another benchmark of bench/ with its arguments."""
    need_python(session)
    name, *arguments = session.posargs or ["bench_plan.py"]
    host = get_host(session, "bench/requirements.txt")
    session.run("python", f"bench/{name}", *arguments, env=host_env(host))


def need_python(session: nox.Session) -> None:
    """ComfyUI's own requirements do not install on less than Python 3.10."""
    if sys.version_info < (3, 10):  # noqa: UP036 - nox itself still runs on 3.9
        session.error(f"Python 3.10 or newer is needed, this is {sys.version.split()[0]}")


def check_style(session: nox.Session) -> None:
    session.install(*LINTERS)
    session.run("ruff", "check", ".")
    session.run("mypy")


def get_host(session: nox.Session, requirements: str) -> Host | None:
    """A ComfyUI, found or installed, whose requirements are in the session's Python; None with a line that says why."""
    session.install("-r", requirements)
    host = find_host()
    if host is None and "COMFYUI_PATH" not in os.environ:
        host = install_host(session)
    if host is None:
        session.warn(missing_host_reason())
        return None
    session.log(f"ComfyUI {host.version} at {host.path}")
    session.install(*TORCH, "-r", str(host.path / "requirements.txt"), "-r", requirements)
    return host


def install_host(session: nox.Session) -> Host | None:
    """Let comfy-cli install ComfyUI into its default workspace, where its git host can be reached."""
    try:
        probe = subprocess.run(["git", "ls-remote", GIT_URL, "HEAD"], capture_output=True, text=True, timeout=30)
        trouble = probe.stderr.strip().splitlines()[-1:] if probe.returncode else []
    except (OSError, subprocess.TimeoutExpired) as error:
        trouble = [str(error)]
    if trouble:
        session.warn(f"no ComfyUI can be installed here: {trouble[0]}")
        return None
    place = str(default_workspace())
    skipped = ("--skip-manager", "--skip-torch-or-directml", "--skip-requirement")  # get_host installs them
    session.run(
        "comfy", "--skip-prompt", "--workspace", place, "install", "--cpu", "--version", HOST_VERSION, *skipped,
        success_codes=[0, 1],
    )  # fmt: skip
    return find_host()


def get_chromium(session: nox.Session) -> None:
    """Where no Chromium is on PATH, let Playwright try to fetch one; without it browser tests are skipped."""
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))):
        session.run("python", "-m", "playwright", "install", "chromium", success_codes=range(256))


def host_env(host: Host | None) -> dict[str, str]:
    return {"COMFYUI_PATH": str(host.path)} if host else {}
