"""Finds the model files ComfyUI knows (any folder, any subfolder) and identifies them from their headers."""

from __future__ import annotations

import os
from collections import OrderedDict

import folder_paths

from ..planner.catalog_file import FOLDERS
from ..planner.detect import OtherModelError, detect
from ..planner.found_file import FoundFile, Identity
from ..planner.safetensors_header import (
    LENGTH_BYTES,
    BadFileError,
    SafetensorsHeader,
    header_length,
    parse_header,
)

SUFFIX = ".safetensors"
_CACHE_SIZE = 4096
# path -> (size, mtime_ns, what detection said); identification is pure, so an unchanged file keeps its answer.
_known: OrderedDict[str, tuple[int, int, Identity | str, bool]] = OrderedDict()


def find_model_files() -> tuple[FoundFile, ...]:
    """Every .safetensors file in the four folders a Qwen-Image set comes from, identified; unreadable ones say why."""
    return tuple(found for role in FOLDERS for found in _find_role(role))


def read_header(path: str) -> SafetensorsHeader:
    """The header of one file; reads the header's bytes only. Raises BadFileError, ForeignFileError and OSError."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        length = header_length(file.read(LENGTH_BYTES), size)
        return parse_header(file.read(length), size)


def full_path(folder: str, listed_name: str) -> str:
    """The path of a listed file. Raises FileNotFoundError if it is gone, ValueError if it points out of its folder."""
    path = folder_paths.get_full_path(folder, listed_name.replace("/", os.sep))
    if path is None:
        where = f"models/{folder}/{listed_name}"
        raise FileNotFoundError(f"{where} is not there any more. Press R in the editor and run again.")
    if not any(_is_within(path, root) for root in folder_paths.get_folder_paths(folder)):
        raise ValueError(f"'{listed_name}' points outside of models/{folder}.")
    return path


def file_stamp(folder: str, listed_name: str) -> str:
    """Changes when the file's content may have changed: its size in bytes and its modification time in ns."""
    stat = os.stat(full_path(folder, listed_name))
    return f"{stat.st_size}:{stat.st_mtime_ns}"


def _is_within(path: str, root: str) -> bool:
    """True if `path`, as written, lies below `root`; links inside a model folder may lead elsewhere, users do that."""
    path, root = os.path.abspath(path), os.path.abspath(root)
    same_drive = os.path.splitdrive(path)[0] == os.path.splitdrive(root)[0]
    return same_drive and os.path.commonpath([path, root]) == root


def _find_role(role: str) -> list[FoundFile]:
    folder = FOLDERS[role]
    roots = folder_paths.get_folder_paths(folder)
    found: list[FoundFile] = []
    for listed in sorted(folder_paths.get_filename_list(folder)):
        if not listed.endswith(SUFFIX):
            continue
        copies = [p for p in (os.path.join(root, listed) for root in roots) if os.path.isfile(p)]
        name = listed.replace(os.sep, "/")
        for index, path in enumerate(copies):
            if index == 0:
                found.append(_identify(role, folder, name, path))
            elif not os.path.samefile(path, copies[0]):
                problem = "another model folder has a file of the same name, which ComfyUI finds first"
                found.append(FoundFile(folder, name, os.path.getsize(path), problem=problem))
    return found


def _identify(role: str, folder: str, name: str, path: str) -> FoundFile:
    try:
        stat = os.stat(path)
    except OSError as error:
        return FoundFile(folder, name, 0, problem=f"it cannot be read ({error.strerror})", broken=True)
    known = _known.get(path)
    if known is None or known[:2] != (stat.st_size, stat.st_mtime_ns):
        result, broken = _detect(role, name, path, stat.st_size)
        known = (stat.st_size, stat.st_mtime_ns, result, broken)
        _known[path] = known
        if len(_known) > _CACHE_SIZE:
            _known.popitem(last=False)
    result, broken = known[2], known[3]
    if isinstance(result, Identity):
        return FoundFile(folder, name, stat.st_size, identity=result)
    return FoundFile(folder, name, stat.st_size, problem=result, broken=broken)


def _detect(role: str, name: str, path: str, size: int) -> tuple[Identity | str, bool]:
    try:
        return detect(role, name.rsplit("/", 1)[-1], size, read_header(path)), False
    except OtherModelError as error:
        return str(error), False
    except BadFileError as error:
        return str(error), True
    except OSError as error:
        return f"it cannot be read ({error.strerror})", True
