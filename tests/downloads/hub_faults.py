"""The ways in which the loopback hub can be told to fail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """A way to fail. `at` is a byte position, `times` how often it happens before all is well (None: always)."""

    CUT = "connection cut at a byte"
    STALL = "nothing more after a byte"
    DRIP = "bytes come slowly (at = bytes a second)"
    SHORT = "body shorter than announced"
    LONG = "body longer than announced"
    WRONG_BYTES = "one byte differs"
    IGNORE_RANGE = "range ignored, whole file sent"
    REFUSE_RANGE = "range refused (416)"
    LATE = "the hub's answer comes late (at = seconds)"
    RATE_LIMIT = "429 with Retry-After"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503 of the storage host"
    GATED = "403 gated"
    LOGIN = "401"
    MISSING = "404 no such file"
    VANISH = "404 of the storage host"
    REDIRECT_LOOP = "redirects in circles"
    LOGIN_PAGE = "a network's login page answers"
    NO_SIZE = "no size in the answer"
    OTHER_FILE = "another file under the same name"
    HTML = "a web page instead of the file"


@dataclass
class PlannedFault:
    """`at` is a byte position, a speed or seconds, `times` how often (None: always)."""

    fault: Fault
    at: int
    times: int | None
