"""Finds the model files ComfyUI knows (any folder, any subfolder) and identifies them from their headers."""

from __future__ import annotations

import os

import folder_paths

from ..planner.catalog_file import FOLDERS
from ..planner.found_file import FoundFile
from .identify_file import SUFFIX, identify_file


def find_model_files() -> tuple[FoundFile, ...]:
    """Every .safetensors file in the four folders a Qwen-Image set comes from, identified; unreadable ones say why."""
    return tuple(found for role in FOLDERS for found in _find_role(role))


def full_path(folder: str, listed_name: str) -> str:
    """The path of a listed file. Raises FileNotFoundError if it is gone, ValueError if it points out of its folder."""
    path = folder_paths.get_full_path(folder, listed_name.replace("/", os.sep))
    if path is None:
        where = f"models/{folder}/{listed_name}"
        raise FileNotFoundError(f"{where} is not there any more. Press R in the editor and run again.")
    if not any(_is_within(path, root) for root in folder_paths.get_folder_paths(folder)):
        raise ValueError(f"'{listed_name}' points outside of models/{folder}.")
    return path


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
                found.append(identify_file(role, folder, name, path))
            elif not os.path.samefile(path, copies[0]):
                problem = "another model folder has a file of the same name, which ComfyUI finds first"
                found.append(FoundFile(folder, name, os.path.getsize(path), problem=problem))
    return found
