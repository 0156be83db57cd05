"""Where a fetched file goes, and whether it can go there: the folder, the right to write, the room, the name."""

from __future__ import annotations

import errno
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from ..planner.catalog_file import OLD_FOLDERS, CatalogFile
from ..planner.memory import gib
from .download_errors import DiskFullError, NoPermissionError
from .download_explain import cannot_write
from .download_staging import STAGING, partial_path, staging_of

SPARE_BYTES = 64 * 1024 * 1024
FindRoots = Callable[[str], list[str]]


def comfy_roots(folder: str) -> list[str]:
    """ComfyUI's folders for one kind of model, the best one for a new file first.

    That is the user's default (`is_default` in extra_model_paths.yaml puts it in front of ComfyUI's own), else the
    one named as the kind itself (ComfyUI lists the outdated models/unet before models/diffusion_models), then the
    others; the folders below ComfyUI's output come last.
    """
    import folder_paths

    listed = folder_paths.get_folder_paths(folder)
    output = os.path.abspath(folder_paths.get_output_directory())
    names = (folder, OLD_FOLDERS.get(folder, ""))
    own = [os.path.abspath(os.path.join(folder_paths.models_dir, name)) for name in names]
    has_default = bool(listed) and os.path.abspath(listed[0]) not in own

    def rank(item: tuple[int, str]) -> tuple[bool, bool, bool, int]:
        index, path = item
        chosen = has_default and index == 0
        return (not chosen, _is_below(path, output), os.path.basename(os.path.normpath(path)) != folder, index)

    return [path for _, path in sorted(enumerate(listed), key=rank)]


def target_folder(row: CatalogFile, needed_bytes: int, roots: list[str]) -> Path:
    """The first of `roots` that can be written and has room for `needed_bytes`; makes it where it does not exist.

    Raises NoPermissionError or DiskFullError, about the first of `roots`, when none is good.
    """
    first_error: NoPermissionError | DiskFullError | None = None
    for root in map(Path, roots):
        try:
            _check_writable(root, row)
            check_room(root, needed_bytes, row)
            return root
        except (NoPermissionError, DiskFullError) as error:
            first_error = first_error or error
    raise first_error or NoPermissionError(f"ComfyUI knows no folder for {row.name} (models/{row.folder}).")


def existing_folder(path: Path) -> Path:
    """`path` or the nearest folder above it that exists.

    Raises FileNotFoundError where not even the volume does: an unplugged drive, a share that is not connected.
    """
    for folder in (path, *path.parents):
        if folder.exists():
            return folder
    raise FileNotFoundError(errno.ENOENT, "this drive is not there", str(path))


def free_bytes(path: Path) -> int:
    """Free space of the volume of `path`, which need not exist yet. Raises FileNotFoundError as `existing_folder`."""
    return shutil.disk_usage(existing_folder(path)).free


def is_writable(root: Path, row: CatalogFile) -> bool:
    """True if `row` can be written to `root`, which is made where it does not exist."""
    try:
        _check_writable(root, row)
    except NoPermissionError:
        return False
    return True


def can_link(source: Path, root: Path, row: CatalogFile) -> bool:
    """True if `row` in `root` can be a hard link to `source`: found out by making one in the staging folder.

    One volume is not enough: some have no links, and a user may have no right to link to another user's file.
    """
    try:
        is_near = os.stat(source).st_dev == os.stat(existing_folder(root)).st_dev
    except OSError:
        return False
    if not is_near or not is_writable(root, row):
        return False
    probe = partial_path(root, row, f"link {uuid4().hex}")
    try:
        os.link(os.path.realpath(source), probe)
    except OSError:
        return False
    with suppress(OSError):  # a virus scanner may hold it; clean_staging removes it later
        probe.unlink()
    return True


def has_room(target: Path, needed_bytes: int) -> bool:
    """True if `needed_bytes` fit on the volume of `target`."""
    return needed_bytes <= 0 or free_bytes(target) >= needed_bytes + SPARE_BYTES


def check_room(target: Path, needed_bytes: int, row: CatalogFile, kept: int = 0) -> None:
    """Raises DiskFullError when `needed_bytes` for `row`, beside the `kept` ones, do not fit on `target`'s volume."""
    _refuse_if_full(target, needed_bytes, f"{row.name} needs", row.folder, kept)


def check_room_for_all(needed: Mapping[Path, int], kept: Mapping[Path, int], rows: list[CatalogFile]) -> None:
    """Raises DiskFullError when the files together (target folder -> bytes) do not fit on some volume.

    `kept` (target folder -> bytes) is what earlier attempts left of them.
    """
    on_volume: defaultdict[int, int] = defaultdict(int)
    for target, size in needed.items():
        on_volume[os.stat(target).st_dev] += size
    for target in needed:
        names = ", ".join(row.name for row in rows)
        wanted = on_volume[os.stat(target).st_dev]
        _refuse_if_full(target, wanted, f"The missing files ({names}) need", target.name, kept[target])


def _refuse_if_full(target: Path, needed: int, who_needs: str, folder: str, kept: int) -> None:
    if has_room(target, needed):
        return
    free = free_bytes(target)
    more, begin_anew = "", ""
    if kept:  # the next attempt goes on with it in this folder, whichever is the default
        more, begin_anew = " more", f"delete {STAGING} in it ({gib(kept)} of an earlier download) and "
    raise DiskFullError(
        f"{who_needs} {gib(needed)}{more} on the disk of models/{folder}, which has {gib(free)} free. Nothing was "
        f"fetched. Free {gib(needed + SPARE_BYTES - free)} there, or {begin_anew}name a folder on a larger disk with "
        "is_default in extra_model_paths.yaml."
    )


def _check_writable(root: Path, row: CatalogFile) -> None:
    """Makes the staging folder and a file in it: the only test that is right on every system."""
    probe = staging_of(root) / f"probe-{os.getpid()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise NoPermissionError(f"{row.name} cannot be written to models/{row.folder}: {cannot_write(row)}") from error


def _is_below(path: str, root: str) -> bool:
    path = os.path.abspath(path)
    same_drive = os.path.splitdrive(path)[0] == os.path.splitdrive(root)[0]
    return same_drive and os.path.commonpath([path, root]) == root
