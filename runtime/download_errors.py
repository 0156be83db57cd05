"""The ways a download can fail, told apart. Their messages are made in download_explain and end with the next step."""

from __future__ import annotations


class StoppedError(Exception):
    """Raised inside the download's thread when it was told to stop. Never seen by a user."""


class DownloadError(Exception):
    """A file could not be fetched; the message says which, why, and what to do next. `kind` is a stable word for it.

    `is_transient` says that trying again soon may help, `retry_after` how many seconds the hub asks to wait (or 0).
    """

    kind = "failed"
    is_transient = False
    retry_after = 0.0


class OfflineError(DownloadError, ConnectionError):
    kind = "offline"


class NameLookupError(DownloadError, ConnectionError):
    kind, is_transient = "dns", True


class NoNetworkError(DownloadError, ConnectionError):
    kind, is_transient = "no_network", True


class LoginNeededError(DownloadError, PermissionError):
    kind = "login_needed"


class NotOnHubError(DownloadError, FileNotFoundError):
    kind = "not_found"


class RateLimitedError(DownloadError):
    kind, is_transient = "rate_limited", True

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class HubFailedError(DownloadError):
    kind, is_transient = "hub_failed", True


class NotAHubError(DownloadError):
    """What answered is not a Hugging Face hub: a login page of the network, a proxy, a wrong mirror."""

    kind = "not_a_hub"


class ChangedOnHubError(DownloadError):
    kind = "changed_on_hub"


class WrongSizeError(DownloadError):
    kind, is_transient = "wrong_size", True


class WrongHashError(DownloadError):
    kind = "wrong_hash"


class DamagedFileError(DownloadError):
    kind = "damaged"


class DiskFailedError(DownloadError, OSError):
    kind = "disk_failed"


class DiskFullError(DownloadError, OSError):
    kind = "disk_full"


class NoPermissionError(DownloadError, PermissionError):
    kind = "no_permission"


class NameTakenError(DownloadError, FileExistsError):
    kind = "name_taken"


class HubLibraryError(DownloadError):
    """The installed huggingface_hub lacks what is needed."""

    kind = "hub_library"
