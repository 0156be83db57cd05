"""A power cut in the middle: SIGKILL at random moments, then the same download again."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from download_fixtures import MIB, REPO, StartWorker, model_bytes, row, wrong_files
from hub import Hub

KILLS = 10
SIZES = {"first.safetensors": 25 * MIB, "second.safetensors": 45 * MIB, "third.safetensors": 3 * MIB}


def test_after_a_kill_no_final_name_holds_a_wrong_byte_and_the_next_run_completes(
    hub: Hub, start_worker: StartWorker, tmp_path: Path, record_fact: Callable[[str], None]
) -> None:
    served = {name: model_bytes(size, seed=size) for name, size in SIZES.items()}
    rows = [row(name, len(data), hub.add(REPO, f"split_files/vae/{name}", data)) for name, data in served.items()]
    moments = random.Random(10)
    again = 0
    worker = start_worker()
    for kill in range(KILLS):
        models = tmp_path / str(kill)
        hub.behave()
        hub.bytes_per_second = 80 * MIB
        moment = moments.uniform(0, 1) * sum(SIZES.values())
        worker.start(models, *rows)
        while (message := worker.next()) and "end" not in message and message["state"]["done_bytes"] < moment:
            pass
        worker.kill()
        assert wrong_files(models, served) == []
        hub.bytes_per_second = 0
        worker = start_worker()
        end = worker.fetch(models, *rows)
        assert end["finished"], end
        assert wrong_files(models, served) == []
        assert sorted(path.name for path in models.rglob("*.safetensors")) == sorted(served)
        assert not list(models.rglob("*.partial"))
        again += sum(hub.sent[name] - size for name, size in SIZES.items())
    record_fact(
        f"fault SIGKILL at {KILLS} moments          bytes lost 0, wrong files 0, completed {KILLS} of {KILLS}, "
        f"fetched again {again / KILLS / MIB:.0f} MiB each"
    )
