"""Turns a failed request or write into a DownloadError that says which file, why, and what to do next.

huggingface_hub 0.x raises `requests` errors, 1.x `httpx` ones, 2.x `httpx2` ones; the common ground is
`HfHubHTTPError` with its base classes, `OfflineModeIsEnabled` and `OSError`, and nothing else is relied on here.
"""

from __future__ import annotations

import errno
import os
import socket
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import urlsplit

from ..planner.catalog_file import CatalogFile
from .download_errors import (
    DiskFailedError,
    DiskFullError,
    DownloadError,
    HubFailedError,
    LoginNeededError,
    NameLookupError,
    NoNetworkError,
    NoPermissionError,
    NotAHubError,
    NotOnHubError,
    OfflineError,
    RateLimitedError,
    WrongSizeError,
)

DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PERMISSION_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS)
DISK_ERRORS = (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO)
_NAME_LOOKUP_WORDS = ("name or service not known", "getaddrinfo", "name resolution", "nodename nor servname")


def network_errors() -> tuple[type[BaseException], ...]:
    """What the hub library may raise for a transfer that failed, in every version from 0.34 to 2.x.

    RecursionError: 0.x follows redirects that lead in circles by calling itself.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, RecursionError, *HfHubHTTPError.__bases__)


def explain(error: BaseException, row: CatalogFile) -> DownloadError:
    """The error of a failed request or write, in words."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return OfflineError(
            f"{row.name} cannot be fetched: offline mode is on (HF_HUB_OFFLINE is set). Start ComfyUI without it, "
            f"or {by_hand(row)}"
        )
    response = getattr(error, "response", None)
    if response is not None:
        return _explain_status(int(response.status_code), response.headers, row)
    number = getattr(error, "errno", None)
    if number in DISK_FULL_ERRORS:
        return DiskFullError(
            f"The disk of models/{row.folder} became full while {row.name} was written. What has arrived is kept: "
            "free some space and start the download again, it goes on from there."
        )
    if number in PERMISSION_ERRORS:
        return NoPermissionError(f"{row.name} cannot be written to models/{row.folder}: {cannot_write(row)}")
    if number in DISK_ERRORS:
        return DiskFailedError(
            f"The disk of models/{row.folder} failed while {row.name} was written ({os.strerror(number)}). Look at "
            "that disk or share, or name another folder with is_default in extra_model_paths.yaml."
        )
    return _explain_connection(error, row)


def by_hand(row: CatalogFile) -> str:
    """The way that always works, as the end of a sentence."""
    return f"fetch it by hand from {row.url} and put it into models/{row.folder}/."


def wrong_size(row: CatalogFile) -> WrongSizeError:
    return WrongSizeError(
        f"{hub_host()} sent another number of bytes for {row.name} than it had announced, also after several tries. "
        f"Try again later, or {by_hand(row)}"
    )


def cannot_write(row: CatalogFile) -> str:
    return (
        f"ComfyUI may not write there. Give the user that runs ComfyUI the right to write into models/{row.folder}, "
        "or name another folder with is_default in extra_model_paths.yaml."
    )


def _explain_status(status: int, headers: object, row: CatalogFile) -> DownloadError:
    host = hub_host()
    if status in (401, 403):
        return LoginNeededError(
            f"{host} refuses to hand out {row.name} ({status}): the repository asks for a login, or the saved token is "
            f"not valid. Open {row.page_url}, accept its terms, log in with 'hf auth login' and try again."
        )
    if status in (404, 410):
        return NotOnHubError(
            f"{host} has no {row.path} in {row.repo} ({status}). It may have been moved or renamed: update Load "
            f"Qwen-Image, or look for it at {row.page_url} and put it into models/{row.folder}/."
        )
    if status == 429:
        wait = _retry_after(headers)
        when = f"in {wait:.0f} seconds" if wait else "in some minutes"
        return RateLimitedError(
            f"{host} limits how often it may be asked (429) and stopped at {row.name}. Try again {when}; "
            "logging in with 'hf auth login' raises the limit.",
            wait,
        )
    if status >= 500 or status == 408:
        return HubFailedError(
            f"{host} failed at {row.name} ({status}), also after several tries. What has arrived is kept: try again "
            f"later, or {by_hand(row)}"
        )
    return NotAHubError(f"{host} gave an unexpected answer for {row.name} ({status}). Try again, or {by_hand(row)}")


def _explain_connection(error: BaseException, row: CatalogFile) -> DownloadError:
    host, chain = hub_host(), _chain(error)
    words = " ".join(f"{type(e).__name__} {e}" for e in chain).lower()
    if any(isinstance(e, socket.gaierror) for e in chain) or any(w in words for w in _NAME_LOOKUP_WORDS):
        return NameLookupError(
            f"The address of {host} was not found, so {row.name} cannot be fetched. Check the network connection and "
            f"the DNS server; a mirror can be named in HF_ENDPOINT. Or {by_hand(row)}"
        )
    if "consistency check failed" in words:  # the library's own check of the length
        return wrong_size(row)
    if "redirect" in words or isinstance(error, RecursionError):
        return NotAHubError(f"{host} sends {row.name} round in circles (redirects). Try again, or {by_hand(row)}")
    if "certificate" in words or "ssl" in words:
        return NoNetworkError(
            f"No safe connection to {host} for {row.name} (certificate or TLS error): a proxy or virus scanner in "
            f"between, or a wrong clock. Correct that and try again, or {by_hand(row)}"
        )
    return NoNetworkError(
        f"The connection to {host} failed or broke at {row.name}, also after several tries. What has arrived is kept: "
        f"check the network and try again, or {by_hand(row)}"
    )


def hub_host() -> str:
    """The hub's host name, or the mirror's that HF_ENDPOINT names; never its path or credentials."""
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).hostname or "the hub"


def _chain(error: BaseException) -> list[BaseException]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is not None and not any(current is other for other in seen):
            seen.append(current)
            inner = [arg for arg in current.args if isinstance(arg, BaseException)]
            waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *inner]
            waiting = [e for e in waiting if e is None or isinstance(e, BaseException)]
    return seen


def _retry_after(headers: object) -> float:
    """Seconds of a Retry-After header (a number or a date), else 0."""
    value = headers.get("Retry-After") if hasattr(headers, "get") else None
    if not value:
        return 0.0
    if str(value).strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (TypeError, ValueError):
        return 0.0
