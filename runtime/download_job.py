"""The one download of this process: started by a node or by a route, joined by whoever wants the same files.

The job has a thread of its own, so it outlives a prompt and a browser tab. Nothing here waits for that thread: a
connection that hangs cannot delay a Cancel, because stopping takes the files and locks away from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..planner.catalog_file import CatalogFile
from .download import fetch_files
from .download_control import Control, Patience
from .download_errors import DownloadError, StoppedError
from .download_state import DownloadState, Progress
from .download_target import FindRoots
from .log import log

LOG_SECONDS = 60.0
ANNOUNCE_SECONDS = 0.25


class BusyError(DownloadError):
    """Other files are being fetched now."""

    kind = "busy"


class Job:
    """One download of some files. Its state may be read, and `cancel` called, from any thread."""

    def __init__(self, rows: Sequence[CatalogFile], find_roots: FindRoots, patience: Patience | None = None) -> None:
        self.names = frozenset(row.name for row in rows)
        self.error: BaseException | None = None
        self._progress = Progress()
        self._progress.plan_for(row.name for row in rows)
        self._control = Control(self._progress, patience)
        self._end = threading.Event()
        self._end_state: DownloadState | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self._run, args=(tuple(rows), find_roots), name="qwen-image-loader-download", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return not self._end.is_set()

    @property
    def is_cancelled(self) -> bool:
        return self._end_state is not None and self._end_state.cancelled

    def state(self) -> DownloadState:
        with self._lock:
            return self._end_state or self._progress.state()

    def wait(self, seconds: float) -> bool:
        """True as soon as the job ended, False after `seconds`."""
        return self._end.wait(seconds)

    def cancel(self) -> None:
        """End the job now. What has arrived is kept for the next one."""
        if self.is_running:
            self._control.stop()
            self._finish(cancelled=True)

    def _run(self, rows: tuple[CatalogFile, ...], find_roots: FindRoots) -> None:
        try:
            fetch_files(rows, find_roots, self._control)
        except StoppedError:
            self._finish(cancelled=True)
        except DownloadError as error:
            self._finish(error=error)
        except BaseException as error:
            self._finish(error=error)
            raise  # a fault of this program: shown with its traceback in the log
        else:
            self._finish()

    def _finish(self, error: BaseException | None = None, cancelled: bool = False) -> None:
        with self._lock:
            if self._end_state is not None:
                return
            last = self._progress.state()
            self.error = error
            self._end_state = replace(
                last,
                running=False,
                bytes_per_second=0.0,
                seconds_left=None,
                note="",
                done_bytes=last.total_bytes if not error and not cancelled else last.done_bytes,
                error=_error_json(error),
                finished=error is None and not cancelled,
                cancelled=cancelled,
            )
        self._end.set()


class Downloader:
    """Holds the job. `announce(state)` is called about four times a second while one runs, and once at its end."""

    def __init__(self, find_roots: FindRoots, announce: Callable[[DownloadState], None]) -> None:
        self._find_roots = find_roots
        self._announce = announce
        self._job: Job | None = None
        self._lock = threading.Lock()

    def state(self) -> DownloadState:
        """Of the running job, else of the last one, else an empty one."""
        job = self._job
        return job.state() if job else DownloadState()

    def start_or_join(self, rows: Sequence[CatalogFile]) -> tuple[Job, bool]:
        """The job that fetches `rows`, and whether it was started now. Raises BusyError while it fetches others."""
        with self._lock:
            job = self._job
            if job and job.is_running:
                if {row.name for row in rows} <= job.names:
                    return job, False
                raise BusyError(
                    f"Other files are being fetched now ({', '.join(sorted(job.names))}). Wait until they are there, "
                    "or cancel that download, then start this one."
                )
            self._job = job = Job(rows, self._find_roots)
            job.start()
            threading.Thread(target=self._watch, args=(job,), name="qwen-image-loader-progress", daemon=True).start()
            return job, True

    def cancel(self) -> DownloadState:
        """Cancel the running job, if there is one."""
        job = self._job
        if job:
            job.cancel()
        return self.state()

    def _watch(self, job: Job) -> None:
        ticks = 0
        while not job.wait(ANNOUNCE_SECONDS):
            state = job.state()
            self._announce(state)
            ticks += 1
            if ticks % int(LOG_SECONDS / ANNOUNCE_SECONDS) == 0:
                log.info("Downloading: %s", state.text())
        state = job.state()
        if state.cancelled:
            log.info("Download cancelled; what has arrived is kept, the next download goes on with it.")
        elif state.error:
            log.error("Download failed: %s", state.error["message"])
        self._announce(state)


def _error_json(error: BaseException | None) -> dict[str, str] | None:
    if error is None:
        return None
    if isinstance(error, DownloadError):
        return {"kind": error.kind, "message": str(error)}
    message = f"The download failed because of a fault in Load Qwen-Image ({type(error).__name__}); the log has more."
    return {"kind": "fault", "message": message}
