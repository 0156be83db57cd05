"""From a request to a LoadPlan for this machine and these files."""

from __future__ import annotations

from ..planner.load_plan import LoadPlan
from ..planner.plan import plan
from ..planner.request import LoadRequest
from .file_stamp import file_stamp
from .measure import measure_hardware
from .model_files import find_model_files, full_path


def plan_for(request: LoadRequest) -> LoadPlan:
    """The plan for a request on the machine and with the files as they are now."""
    return plan(request, measure_hardware(), find_model_files())


def plan_fingerprint(load_plan: LoadPlan) -> str:
    """What ComfyUI's cache compares: the chosen files with their stamps, and the settings; never free memory."""
    parts = [load_plan.release, load_plan.recipe, str(load_plan.modulation_table), load_plan.weight_dtype]
    parts.append(load_plan.error)
    for file in load_plan.files:
        place = f"{file.folder}/{file.listed_name or file.name}"
        parts.append(f"{file.role}={place}@{_stamp(file.folder, file.listed_name) if file.on_disk else 'missing'}")
    return "|".join(parts)


def files_fingerprint() -> str:
    """Every model file that could be chosen, with its stamp."""
    return "|".join(f"{f.folder}/{f.listed_name}@{_stamp(f.folder, f.listed_name)}" for f in find_model_files())


def _stamp(folder: str, listed_name: str) -> str:
    try:
        return str(file_stamp(full_path(folder, listed_name)))
    except OSError:
        return "gone"
