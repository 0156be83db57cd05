"""One file's bytes from the hub, by huggingface_hub alone: what the hub says about it, then its bytes into a Sink.

The library's `http_get` is used for the bytes: in every version from 0.34 to 2.x it writes to a file of the caller's
and can go on in the middle. `hf_hub_download` cannot resume since 1.18, and a Xet transfer, which it prefers where
hf_xet is installed, cannot be stopped. Tokens, HF_ENDPOINT, proxies and time-outs are the library's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..planner.catalog_file import CatalogFile
from .download_control import Control
from .download_errors import ChangedOnHubError, DownloadError, HubLibraryError, NotAHubError
from .download_explain import by_hand, explain, hub_host, network_errors, wrong_size
from .download_reuse import SHA256_NAME
from .download_sink import Overflow, Sink

LIBRARY_NAME = "qwen-image-loader"
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the hub says about a file. `sha256` is "" where the hub gives no content hash and the catalog has none.

    `content_id` changes with the content (the hub's etag).
    """

    size_bytes: int
    sha256: str
    content_id: str
    commit: str


def ask_hub(row: CatalogFile, control: Control) -> RemoteFile:
    """Size, hash and commit of a file; no byte of it moves.

    Raises DownloadError: ChangedOnHubError when that is not the file the catalog knows, NotAHubError when something
    else than a hub answers, and whatever `explain` makes of a failed request.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    def ask() -> Any:
        return get_hf_file_metadata(hf_hub_url(row.repo, row.path, revision=row.revision), library_name=LIBRARY_NAME)

    found = _patiently(row, control, ask, lambda: 0)
    etag = found.etag or ""
    if not etag or not found.size or not found.commit_hash:
        raise NotAHubError(
            f"{hub_host()} does not answer as a Hugging Face hub does, so {row.name} was not fetched: a login page of "
            f"the network, a proxy, or a wrong mirror in HF_ENDPOINT. Correct that and try again, or {by_hand(row)}"
        )
    hub_sha256 = etag if SHA256_NAME.fullmatch(etag) else ""
    wrong_hash = bool(row.sha256 and hub_sha256) and row.sha256 != hub_sha256
    if wrong_hash or (row.size_is_exact and row.size_bytes != found.size):
        raise ChangedOnHubError(
            f"The hub now has another file under the name {row.name} ({found.size:,} bytes) than the one this version "
            f"of Load Qwen-Image knows ({row.size_bytes:,} bytes). Nothing was fetched. Update Load Qwen-Image, or "
            f"look at {row.page_url} and, if you trust it, {by_hand(row)}"
        )
    return RemoteFile(found.size, hub_sha256 or row.sha256, etag, found.commit_hash)


def transfer(row: CatalogFile, remote: RemoteFile, sink: Sink, control: Control) -> None:
    """Fill `sink` from where it stands to the end of the file. Raises DownloadError and StoppedError."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    http_get = _http_get()
    url = hf_hub_url(row.repo, row.path, revision=remote.commit)
    from_start = False

    def receive() -> None:
        if from_start:
            sink.seek(0)
            sink.truncate()
        # Headers anew for each attempt, and the hub's own address: its signed links to storage expire.
        headers = build_hf_headers(library_name=LIBRARY_NAME)
        http_get(url, sink, resume_size=sink.tell(), headers=headers)
        if sink.tell() < remote.size_bytes:
            sink.read_what_is_there()  # hf_transfer, which 0.x can be told to use, writes past the sink
        if sink.tell() != remote.size_bytes:
            raise wrong_size(row)

    def receive_or_start_over() -> None:
        nonlocal from_start
        try:
            receive()
        except (Overflow, *network_errors()) as error:
            if not _refuses_to_resume(error):
                raise
            if from_start:
                raise wrong_size(row) from error
            from_start = True
            receive_or_start_over()

    if sink.tell() < remote.size_bytes:
        _patiently(row, control, receive_or_start_over, sink.tell)


def _refuses_to_resume(error: BaseException) -> bool:
    """A server that sends the whole file again after the part that is there, or refuses the range (416)."""
    return isinstance(error, Overflow) or getattr(getattr(error, "response", None), "status_code", 0) == 416


def _patiently(row: CatalogFile, control: Control, action: Callable[[], Result], position: Callable[[], int]) -> Result:
    """`action`, again after failures that pass by themselves; ever longer waits while `position` does not grow."""
    patience, failures, reached = control.patience, 0, position()
    while True:
        control.check()
        try:
            return action()
        except (DownloadError, *network_errors()) as error:
            control.check()
            failure, cause = (error, None) if isinstance(error, DownloadError) else (explain(error, row), error)
            if position() > reached:
                failures, reached = 0, position()
            failures += 1
            wait = max(patience.wait_before(failures), failure.retry_after)
            is_hopeless = failures > patience.tries(has_bytes=reached > 0) or wait > patience.longest_wait_seconds
            if not failure.is_transient or is_hopeless:
                raise failure from cause
            control.note(f"waiting {wait:.0f} s to try again ({failure.kind.replace('_', ' ')})")
            control.wait(wait)


def _http_get() -> Callable[..., None]:
    """The library's function, with its own progress bar off (its parameters differ between versions)."""
    import huggingface_hub

    try:
        from huggingface_hub.file_download import http_get
    except ImportError as error:
        raise HubLibraryError(
            f"huggingface_hub {huggingface_hub.__version__} is not known to Load Qwen-Image. Update Load Qwen-Image, "
            "or install a huggingface_hub from 0.34 to 2.x."
        ) from error
    parameters = inspect.signature(http_get).parameters
    if "tqdm_class" in parameters:
        return lambda *args, **kwargs: http_get(*args, tqdm_class=SilentBar, **kwargs)
    if "_tqdm_bar" in parameters:
        return lambda *args, **kwargs: http_get(*args, _tqdm_bar=SilentBar(), **kwargs)
    return http_get


class SilentBar:
    """Stands where the library expects a tqdm class or bar. The Sink counts, so this does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Takes what any version passes."""

    def __enter__(self) -> SilentBar:
        return self

    def __exit__(self, *args: object) -> None:
        """Nothing to close."""

    def update(self, n: float | None = 1) -> None:
        """Not shown."""

    def close(self) -> None:
        """Nothing to close."""
