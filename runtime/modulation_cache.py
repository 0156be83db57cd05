"""Rows on disk for the next session: one small safetensors file per timestep, named by what the rows depend on.

An empty file per model file says that rows of it are here, for those who want to know before they load it.
A file is written under a temporary name and renamed, so it is whole or absent; a checksum finds later damage. Files
that were not used for longest go when the folder outgrows its limit. Nothing here can fail a run: without a usable
folder the rows are just computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .file_stamp import file_stamp
from .log import log
from .modulation_rows import Rows

LIMIT_BYTES = 512 * 1024**2
FORMAT = "qwen-image-loader modulation rows 1"
STALE_TEMPORARY_SECONDS = 3600
_OWN_FILE = re.compile(r"^[0-9a-f]{32}\.safetensors$")
_TEMPORARY_SUFFIX = ".partial"
_SOURCE_SUFFIX = ".source"
LIMIT_SOURCES = 100


class ModulationCache:
    """The folder `path`, made when first written to. `source_path` is the model file that the rows are of."""

    def __init__(self, path: str, limit_bytes: int = LIMIT_BYTES, *, source_path: str = "") -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        self._source = _source_name(source_path)
        self._complained = False

    def has_rows_of_source(self) -> bool:
        """Whether rows of the model file, as it is now, were written or found here; some may have gone since."""
        return bool(self._source) and os.path.isfile(os.path.join(self.path, self._source))

    def get(self, name: str) -> Rows | None:
        """The rows under `name` (32 hex digits), or None. A damaged or foreign file is deleted."""
        file = self._file(name)
        try:
            with safe_open(file, framework="pt") as opened:
                facts = opened.metadata() or {}
                tensors = {key: opened.get_tensor(key).clone() for key in list(opened.keys())}
            rows = _checked(name, facts, tensors)
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError) as error:
            return self._discard(file, str(error))
        if rows is None:
            return self._discard(file, "its content is not what was written")
        with contextlib.suppress(OSError):
            os.utime(file)
        self._note_source()
        return rows

    def put(self, name: str, rows: Rows) -> None:
        """Write the rows; a folder that cannot be written to is mentioned once."""
        facts = {
            "format": FORMAT,
            "name": name,
            "image_index": ",".join(map(str, rows.image_index)),
            "text_index": ",".join(map(str, rows.text_index)),
        }
        facts["checksum"] = _checksum(facts, rows.image, rows.text)
        temporary = None
        try:
            os.makedirs(self.path, exist_ok=True)
            handle, temporary = tempfile.mkstemp(suffix=_TEMPORARY_SUFFIX, dir=self.path)
            os.close(handle)
            save_file({"image": rows.image, "text": rows.text}, temporary, metadata=facts)
            os.replace(temporary, self._file(name))
            self._note_source()
        except (OSError, SafetensorError) as error:
            if temporary is not None:
                _remove(temporary)
            self._complain(f"Modulation table: {self.path} cannot be written ({error}); the next session starts anew.")

    def trim(self) -> None:
        """Remove the least recently used files above the limit, and leftovers of processes that died while writing."""
        kept = []
        sources = []
        try:
            entries = list(os.scandir(self.path))
        except OSError:
            return
        for entry in entries:
            with contextlib.suppress(OSError):
                stat = entry.stat()
                if _OWN_FILE.match(entry.name):
                    kept.append((stat.st_mtime_ns, stat.st_size, entry.path))
                elif entry.name.endswith(_SOURCE_SUFFIX):
                    sources.append((stat.st_mtime_ns, entry.path))
                elif entry.name.endswith(_TEMPORARY_SUFFIX) and time.time() - stat.st_mtime > STALE_TEMPORARY_SECONDS:
                    _remove(entry.path)
        kept.sort(reverse=True)
        total = 0
        for _, size, path in kept:
            total += size
            if total > self._limit_bytes:
                _remove(path)
        for _, path in sorted(sources, reverse=True)[LIMIT_SOURCES:]:
            _remove(path)

    def _note_source(self) -> None:
        if self._source and not self.has_rows_of_source():
            with contextlib.suppress(OSError), open(os.path.join(self.path, self._source), "w", encoding="utf-8"):
                pass

    def _file(self, name: str) -> str:
        return os.path.join(self.path, f"{name}.safetensors")

    def _discard(self, file: str, why: str) -> None:
        self._complain(f"Modulation table: {file} is damaged ({why}); it is deleted and made again.")
        _remove(file)

    def _complain(self, message: str) -> None:
        if not self._complained:
            self._complained = True
            log.warning(message)


def _remove(path: str) -> None:
    """Delete a file that another process may have deleted, or may hold."""
    with contextlib.suppress(OSError):
        os.remove(path)


def _source_name(path: str) -> str:
    """A file name for the model file `path` as it is now; "" where there is none."""
    try:
        size, changed = file_stamp(path)
    except OSError:
        return ""
    text = f"{os.path.abspath(path)} {size} {changed}"
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest() + _SOURCE_SUFFIX


def _checked(name: str, facts: dict[str, str], tensors: dict[str, torch.Tensor]) -> Rows | None:
    """The rows in a file, or None when it is not the file that was written under this name."""
    if facts.get("format") != FORMAT or facts.get("name") != name or tensors.keys() != {"image", "text"}:
        return None
    if facts.get("checksum") != _checksum(facts, tensors["image"], tensors["text"]):
        return None
    image_index, text_index = (tuple(map(int, facts[key].split(","))) for key in ("image_index", "text_index"))
    return Rows(tensors["image"], tensors["text"], image_index, text_index)


def _checksum(facts: dict[str, str], image: torch.Tensor, text: torch.Tensor) -> str:
    shape = (facts.get("image_index"), facts.get("text_index"), image.dtype, tuple(image.shape), tuple(text.shape))
    digest = hashlib.blake2b(repr(shape).encode(), digest_size=16)
    for tensor in (image, text):
        digest.update(tensor.contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
