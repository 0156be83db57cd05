"""The fault table: what the hub and the network can do to a download, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from download_fixtures import MIB, REPO, StartWorker, Worker, model_bytes, row, wrong_files
from hub import Hub
from hub_faults import Fault
from hub_versions import OLDER_VERSIONS, ensure_version

ARRIVES = ""
SIZE = 24 * MIB
MIDDLE = 12 * MIB
ALWAYS = None
IMPATIENT = [0.02, 0.1, 1, 1, 5.0]
HOUR = 3600


@dataclass(frozen=True)
class Case:
    """A fault, the kind of error it must end in (or ARRIVES), and a word that the error's message must have."""

    fault: Fault
    ends: str = ARRIVES
    at: int = 0
    times: int | None = 1
    says: str = ""

    def __str__(self) -> str:
        often = "always" if self.times is ALWAYS else f"{self.times}x"
        return f"{self.fault.name.lower()}-{self.at}-{often}"


CASES = (
    Case(Fault.CUT, at=MIDDLE),
    Case(Fault.CUT, at=0),
    Case(Fault.CUT, "no_network", at=MIDDLE, times=ALWAYS, says="kept"),
    Case(Fault.STALL, at=MIDDLE),
    Case(Fault.DRIP, at=12 * MIB),
    Case(Fault.SHORT, at=MIDDLE),
    Case(Fault.SHORT, "wrong_size", at=MIDDLE, times=ALWAYS, says="announced"),
    Case(Fault.LONG),
    Case(Fault.LONG, "wrong_size", times=ALWAYS, says="announced"),
    Case(Fault.WRONG_BYTES, "wrong_hash", at=MIDDLE, times=ALWAYS, says="removed"),
    Case(Fault.HTML, "wrong_hash", times=ALWAYS, says="removed"),
    Case(Fault.RATE_LIMIT, at=1),
    Case(Fault.RATE_LIMIT, "rate_limited", at=HOUR, times=ALWAYS, says="3600 seconds"),
    Case(Fault.SERVER_ERROR, times=2),
    Case(Fault.SERVER_ERROR, "hub_failed", times=ALWAYS, says="later"),
    Case(Fault.UNAVAILABLE, times=2),
    Case(Fault.UNAVAILABLE, "hub_failed", times=ALWAYS, says="later"),
    Case(Fault.GATED, "login_needed", times=ALWAYS, says="hf auth login"),
    Case(Fault.LOGIN, "login_needed", times=ALWAYS, says="hf auth login"),
    Case(Fault.MISSING, "not_found", times=ALWAYS, says="moved or renamed"),
    Case(Fault.VANISH, "not_found", times=ALWAYS, says="moved or renamed"),
    Case(Fault.REDIRECT_LOOP, "not_a_hub", times=ALWAYS, says="circles"),
    Case(Fault.LOGIN_PAGE, "not_a_hub", times=ALWAYS, says="login page"),
    Case(Fault.NO_SIZE, "not_a_hub", times=ALWAYS, says="HF_ENDPOINT"),
    Case(Fault.OTHER_FILE, "changed_on_hub", times=ALWAYS, says="Nothing was fetched"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_ends_in_the_file_or_in_words_and_never_in_a_wrong_file(
    case: Case, hub: Hub, worker: Worker, models: Path, record_fact: Callable[[str], None]
) -> None:
    record_fact(f"fault {case!s:28} {check(case, hub, worker, models)}")


def check(case: Case, hub: Hub, worker: Worker, models: Path) -> str:
    """One fault, then the same download once more with a hub that serves well; returns the outcome in words."""
    name = f"{case}.safetensors"
    data = model_bytes(SIZE)
    sha256 = hub.add(REPO, f"split_files/vae/{name}", data)
    hub.misbehave(name, case.fault, case.at, case.times)
    worker.start(models, row(name, SIZE, sha256), patience=IMPATIENT if case.fault is Fault.CUT and case.ends else None)
    end = worker.end()
    wrong = wrong_files(models, {name: data})
    if case.ends:
        assert end["error_type"], end
        assert end["error"]["kind"] == case.ends, end
        assert case.says in end["error"]["message"]
        assert name in end["error"]["message"]
        assert str(models) not in end["error"]["message"]
        assert not (models / "vae" / name).exists()
    else:
        assert end["finished"], end
        assert end["done_bytes"] == end["total_bytes"] == SIZE
    hub.behave()
    again = worker.fetch(models, row(name, SIZE, sha256))
    assert again["finished"], again
    wrong += wrong_files(models, {name: data})
    assert wrong == []
    outcome = f"refused as '{case.ends}', then fetched" if case.ends else "survived"
    return f"{outcome:38} bytes lost 0, wrong files {len(wrong)}"


@pytest.mark.parametrize("fault", [Fault.IGNORE_RANGE, Fault.REFUSE_RANGE])
def test_a_server_that_cannot_resume_sends_all_of_it_again(
    fault: Fault, hub: Hub, worker: Worker, models: Path, record_fact: Callable[[str], None]
) -> None:
    check_without_resume(fault, hub, worker, models)
    record_fact(f"fault {fault.name.lower():28} {'survived':38} bytes lost 0, wrong files 0")


def check_without_resume(fault: Fault, hub: Hub, worker: Worker, models: Path) -> None:
    name = f"{fault.name}.safetensors"
    data = model_bytes(SIZE)
    sha256 = hub.add(REPO, f"split_files/vae/{name}", data)
    hub.misbehave(name, Fault.STALL, MIDDLE, ALWAYS)
    worker.start(models, row(name, SIZE, sha256))
    worker.until(lambda state: state["done_bytes"] >= 10 * MIB)
    worker.order({"cancel": True})
    assert worker.end()["cancelled"]
    hub.behave()
    hub.misbehave(name, fault, times=ALWAYS)
    end = worker.fetch(models, row(name, SIZE, sha256))
    assert end["finished"], end
    assert wrong_files(models, {name: data}) == []


# Not redirects in circles: from 1.0 to 1.17 the library follows them without end (2.x stops after 20).
OLDER_CASES = tuple(
    case
    for case in CASES
    if (case.fault, case.times)
    in {
        (Fault.CUT, 1),
        (Fault.STALL, 1),
        (Fault.SHORT, 1),
        (Fault.LONG, 1),
        (Fault.WRONG_BYTES, ALWAYS),
        (Fault.SERVER_ERROR, 2),
        (Fault.GATED, ALWAYS),
        (Fault.MISSING, ALWAYS),
        (Fault.LOGIN_PAGE, ALWAYS),
    }
)


@pytest.mark.parametrize("version", OLDER_VERSIONS)
def test_older_libraries_take_the_same_faults(
    version: str, hub: Hub, start_worker: StartWorker, models: Path, record_fact: Callable[[str], None]
) -> None:
    place, problem = ensure_version(version)
    if place is None:
        pytest.skip(f"no huggingface_hub {version}: {problem}")
    worker = start_worker(PYTHONPATH=str(place))
    for case in OLDER_CASES:
        check(case, hub, worker, models / str(case))
    for fault in (Fault.IGNORE_RANGE, Fault.REFUSE_RANGE):
        check_without_resume(fault, hub, worker, models / fault.name)
    assert worker_version(worker, hub, models) == version
    record_fact(f"huggingface_hub {version}: {len(OLDER_CASES) + 2} faults, bytes lost 0, wrong files 0")


def worker_version(worker: Worker, hub: Hub, models: Path) -> str:
    data = model_bytes(MIB)
    sha256 = hub.add(REPO, "split_files/vae/version.safetensors", data)
    library: str = worker.fetch(models, row("version.safetensors", MIB, sha256))["library"]
    return library
