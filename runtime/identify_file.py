"""Says what one model file is, from its header; remembers the answer until the file changes."""

from __future__ import annotations

import os
from collections import OrderedDict

from ..planner.detect import detect
from ..planner.detect_other import MisplacedFileError, OtherModelError
from ..planner.found_file import FoundFile
from ..planner.safetensors_header import (
    LENGTH_BYTES,
    BadFileError,
    SafetensorsHeader,
    header_length,
    parse_header,
)
from .file_stamp import file_stamp

SUFFIX = ".safetensors"
_CACHE_SIZE = 4096
# (role, path, listed name) -> (stamp, what detection said); identification is pure: an unchanged file keeps its answer.
_known: OrderedDict[tuple[str, str, str], tuple[tuple[int, int], FoundFile]] = OrderedDict()


def read_header(path: str) -> SafetensorsHeader:
    """The header of one file; reads the header's bytes only. Raises BadFileError, ForeignFileError and OSError."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        length = header_length(file.read(LENGTH_BYTES), size)
        return parse_header(file.read(length), size)


def identify_file(role: str, folder: str, name: str, path: str) -> FoundFile:
    """The file at `path`, which `folder` lists as `name`; never raises for what is in it."""
    try:
        stamp = size, _ = file_stamp(path)
    except OSError as error:
        return FoundFile(folder, name, 0, problem=f"it cannot be read ({error.strerror})", broken=True)
    known = _known.get((role, path, name))
    if known is None or known[0] != stamp:
        known = (stamp, _detect(role, folder, name, path, size))
        _known[role, path, name] = known
        if len(_known) > _CACHE_SIZE:
            _known.popitem(last=False)
    return known[1]


def _detect(role: str, folder: str, name: str, path: str, size: int) -> FoundFile:
    try:
        return FoundFile(folder, name, size, identity=detect(role, name, size, read_header(path)))
    except MisplacedFileError as error:
        return FoundFile(folder, name, size, problem=str(error), belongs_to=error.role)
    except OtherModelError as error:
        return FoundFile(folder, name, size, problem=str(error))
    except BadFileError as error:
        return FoundFile(folder, name, size, problem=str(error), broken=True)
    except OSError as error:
        return FoundFile(folder, name, size, problem=f"it cannot be read ({error.strerror})", broken=True)
