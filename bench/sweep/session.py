"""Sessions: a server under a cell's limits, one graph, its runs one after the other, a Row for each."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import websocket
from comfyui_client import RunResult, ServerFailed
from comfyui_host import Host
from workflow_graphs import Graph

from .card import Card
from .cells import COLD, GIB, RELOAD, RESTART, STOCK, Cell
from .first_images import FirstImages
from .graphs import SIDE_PIXELS, graph_for
from .limited_server import LimitedServer, prepare_base
from .limits import ControlGroup, gpu_variables, make_cold, write_site_hook
from .meters import Meters
from .node_times import node_seconds
from .results import OK, Row

DIED = "died"
TIMEOUT = "timeout"
NOT_RUN = "not run"
# tqdm closes a bar with the mean over all steps: "100%|####| 8/8 [00:12<00:00,  1.55s/it]".
STEP_BAR = re.compile(r"(\d+)/(\d+) \[[0-9:]+<[^,\]]*,\s*([0-9.]+)(s/it|it/s)")
VAE_RETRY = "Ran out of memory when regular VAE decoding"  # ComfyUI's own log line, comfy/sd.py
RUN_SECONDS = 3000.0
UNLOAD_SECONDS, UNLOAD_TRIES = 2.0, 5


@dataclass
class Bench:
    """What all sessions share. `gpu` is None on the CPU.

    cold_files: what a cold run reads from the disk; none: it finds in memory what is there.
    disk_rate: bytes a second of a plain read of a model file, where there are cold files.
    """

    host: Host
    folder: Path
    place_models: Callable[[Path], None]
    gpu: int | None
    flags: tuple[str, ...] = ()
    pixels: int = SIDE_PIXELS
    cold_files: Sequence[Path] = ()
    disk_rate: float | None = None
    images: FirstImages = field(default_factory=FirstImages)


@dataclass(frozen=True)
class Session:
    """Which graph under which limits, and which runs."""

    cell: Cell
    recipe: str
    side: str
    repeat: int
    kinds: Sequence[str]
    warm: int = 1

    def runs(self, first: str = COLD) -> list[tuple[str, int]]:
        """(kind, number): the cold run, or what takes its place, then each warm kind `warm` times.

        Numbers go on from session to session.
        """
        cold = [(first, self.repeat)] if COLD in self.kinds else []
        numbers = range(self.repeat * self.warm, (self.repeat + 1) * self.warm)
        return cold + [(kind, n) for kind in self.kinds if kind not in (COLD, RESTART) for n in numbers]

    def picture(self, run: tuple[str, int]) -> tuple[str, str, str, int]:
        """What decides on a run's image beside the graph: a restart and a reload repeat the cold run's seed."""
        kind, number = run
        return self.cell.name, self.recipe, COLD if kind in (RESTART, RELOAD) else kind, number

    def row(self, run: tuple[str, int], **values: Any) -> Row:
        limits = {"cell": self.cell.name, "vram_gib": self.cell.vram_gib, "ram_gib": self.cell.ram_gib}
        kind, number = run
        return Row(**limits, recipe=self.recipe, side=self.side, kind=kind, repeat=number, **values)


Visit = tuple[Session, Sequence[tuple[str, int]]]  # a session and its runs, (kind, number)


def run_sessions(bench: Bench, sessions: Sequence[Session]) -> Iterator[Row]:
    """The rows of sessions with one graph and one RAM limit, one after the other in one server, as they are measured.

    Raises LimitError where a cell's limits cannot be set.
    """
    base = bench.folder / "server"
    prepare_base(base, sessions[0].side, bench.place_models)
    visits = [(session, session.runs(RELOAD if index else COLD)) for index, session in enumerate(sessions)]
    with Card(bench.gpu) as card:
        card.limit(sessions[0].cell.vram_gib)
        yield from _serve(bench, visits, base, card)
        # The second start finds what the first left on disk; stock leaves nothing.
        last = sessions[-1]
        if RESTART in last.kinds and last.side != STOCK:
            if len(sessions) > 1:  # the limit in force allows for what the server that has ended held
                card.limit(last.cell.vram_gib)
            yield from _serve(bench, [(last, [(RESTART, last.repeat)])], base, card)


def _serve(bench: Bench, visits: Sequence[Visit], base: Path, card: Card) -> Iterator[Row]:
    """One server start. Before the first run of each visit nothing is loaded and no model file is in memory."""
    ram_gib = visits[0][0].cell.ram_gib
    with contextlib.ExitStack() as stack:
        environment = gpu_variables(bench.gpu) if bench.gpu is not None else {}
        group = None
        if ram_gib is not None:
            limit = int(ram_gib * GIB)
            group = stack.enter_context(ControlGroup(limit))
            environment |= write_site_hook(base / "site", limit, group.path)
        server = LimitedServer(bench.host, base, bench.flags, environment, group)
        began = time.monotonic()
        try:
            stack.enter_context(server)
        except ServerFailed as error:
            for session, runs in visits:
                yield from (session.row(run, status=DIED, error=str(error)[-600:]) for run in runs)
            return
        start_seconds: float | None = time.monotonic() - began
        object_info = server.object_info()
        lost = ""
        for index, (session, runs) in enumerate(visits):
            if index and not lost:
                card.release()
                lost = unload(server, card)
                if not lost:
                    card.limit(session.cell.vram_gib)
            make_cold(bench.cold_files)
            for run in runs:
                if lost:
                    yield session.row(run, status=NOT_RUN, error=f"after '{lost}'")
                    continue
                kind, number = run
                cell, recipe = session.cell, session.recipe
                graph = graph_for(object_info, session.side, recipe, kind, cell, bench.pixels, number)
                with Meters(server.pid, group, card.meter) as meters:
                    row = _measure(bench, session, server, meters, run, graph, start_seconds)
                yield row
                start_seconds = None
                lost = row.error if row.status in (DIED, TIMEOUT) else ""


def unload(server: LimitedServer, card: Card) -> str:
    """Have the server give up all models and results; returns why it could not be told to.

    ComfyUI 0.33.0 wakes its worker once for each request, and the worker misses that while it collects garbage after
    a run: it then keeps everything until it is asked again.
    """
    for _ in range(UNLOAD_TRIES):
        try:
            status, answer = server.request("/free", {"unload_models": True, "free_memory": True})
        except OSError as error:
            return f"the server does not answer: {error}"
        if status != 200:
            return f"POST /free: {status} {answer[:200]!r}"
        time.sleep(UNLOAD_SECONDS)
        if card.is_unloaded():
            break
    return ""


def _measure(
    bench: Bench,
    session: Session,
    server: LimitedServer,
    meters: Meters,
    run: tuple[str, int],
    graph: Graph,
    start_seconds: float | None,
) -> Row:
    log_before = len(server.log_text())
    meters.begin()
    began = time.monotonic()
    status, error, result = _run(server, graph)
    seconds = time.monotonic() - began
    usage = meters.end()
    log = server.log_text()[log_before:]
    steps, step_seconds = read_step_bar(log)
    image, difference = "", None
    if result is not None and status == OK:
        image, difference = bench.images.compare(session.picture(run), session.side, server.images(result))
    plan = find_plan(result)
    return session.row(
        run,
        status=status,
        error=error[-600:],
        seconds=seconds,
        seconds_per_step=step_seconds,
        steps=steps,
        node_seconds=node_seconds(result, graph) if result else {},
        server_start_seconds=start_seconds,
        vae_retries=log.count(VAE_RETRY),
        predicted_peak_vram_bytes=predicted_peak_bytes(plan) if plan else None,
        modulation_table=plan["modulation_table"] if plan else None,
        image=image,
        difference=difference,
        **asdict(usage),
    )


def _run(server: LimitedServer, graph: Graph) -> tuple[str, str, RunResult | None]:
    """(status, error, result). A server that dies or never ends is a finding, not the end of the benchmark."""
    assert server.process is not None
    try:
        result = server.run(graph, timeout=RUN_SECONDS)
    except (ServerFailed, OSError, websocket.WebSocketException) as error:
        try:
            code = server.process.wait(10)
        except subprocess.TimeoutExpired:
            return TIMEOUT, str(error), None
        return DIED, f"the server ended with code {code}: {server.log_text()[-300:]}", None
    return result.status, result.error, result


def find_plan(result: RunResult | None) -> dict[str, Any] | None:
    """The LoadPlan that the node sent while it ran; None for stock and where the node's result was cached."""
    messages = result.messages if result else ()
    for kind, data in messages:
        if kind.startswith("qwen-image-loader.") and "stages" in data.get("plan", {}):
            plan: dict[str, Any] = data["plan"]
            return plan
    return None


def predicted_peak_bytes(plan: dict[str, Any]) -> int | None:
    """The highest stage on the GPU; None where no stage uses one."""
    return max((stage["peak_vram_bytes"] for stage in plan["stages"] if stage["device"] == "gpu"), default=None)


def read_step_bar(log: str) -> tuple[int | None, float | None]:
    """(steps, mean seconds a step) of the last finished sampler in a piece of the server's log."""
    finished = [bar for bar in STEP_BAR.findall(log) if bar[0] == bar[1]]
    if not finished:
        return None, None
    steps, _, number, unit = finished[-1]
    rate = float(number)
    return int(steps), (rate if unit == "s/it" else 1 / rate) if rate else None
