"""The files a role can use: on disk, or in the catalog to be fetched; refused with a reason where they cannot run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .catalog import catalog_rows, find_catalog_file
from .catalog_file import FOLDERS, CatalogFile
from .found_file import FoundFile, Identity
from .hardware import KIND_MPS, Hardware
from .load_plan import ROLE_DIFFUSION_MODEL, ROLE_TEXT_ENCODER, Refusal
from .memory import WRITING_HEAD_BYTES, Weights
from .request import LoadRequest
from .weight_format import FLOAT8, MIXED_WITH_FLOAT8, NATIVE_ON_RTX_50, NEEDED_QUANT_FORMAT


class FileChoiceError(ValueError):
    """The user's choice of a file cannot be carried out; the message names the file, the reason and the next step."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One usable file for a role. `found` is None for a file that has to be fetched."""

    identity: Identity
    name: str
    size_bytes: int
    found: FoundFile | None
    row: CatalogFile | None

    @property
    def on_disk(self) -> bool:
        """True if nothing has to be fetched for it."""
        return self.found is not None

    @property
    def listed_name(self) -> str:
        """How ComfyUI lists it, or will."""
        return self.found.listed_name if self.found else self.name

    @property
    def is_known(self) -> bool:
        """True for a file of the catalog, whatever it is called here."""
        return bool(self.identity.catalog_name)

    @property
    def missing_bytes(self) -> int:
        """Bytes to fetch."""
        return 0 if self.found else self.size_bytes

    @property
    def place(self) -> tuple[int, str]:
        """How deep in subfolders it is, and how ComfyUI lists it: an order between equal files."""
        return self.listed_name.count("/"), self.listed_name if self.found else ""

    @property
    def weights(self) -> Weights:
        """The bytes of its tensors that ComfyUI loads."""
        return Weights(self.identity.weight_bytes, self.identity.modulation_bytes, self.identity.block_bytes)


def choices_for(role: str, files: Iterable[FoundFile]) -> list[Choice]:
    """Every usable file on disk for a role, then every catalog file of that role that is not on disk."""
    folder = FOLDERS[role]
    found = [_choice_of(f, f.identity) for f in files if f.folder == folder and f.identity is not None]
    known = {c.identity.catalog_name for c in found}
    return found + [choice_of_row(row) for row in catalog_rows(role) if row.name not in known]


def choice_of_row(row: CatalogFile) -> Choice:
    """A catalog file as something to fetch."""
    weights = _weights_of_row(row)
    identity = Identity(
        row.role,
        row.weight_format,
        "the catalog",
        release=row.release,
        recipe=row.recipe,
        trained_on=row.trained_on,
        version=row.version,
        vae_kind=row.vae_kind,
        catalog_name=row.name,
        weight_bytes=weights.weight_bytes,
        modulation_bytes=weights.modulation_bytes,
        block_bytes=weights.block_bytes,
        says_release=True,
        has_comfy_quant=row.role == ROLE_DIFFUSION_MODEL and row.weight_format == "fp8_scaled",
    )
    return Choice(identity, row.name, row.size_bytes, None, row)


def _weights_of_row(row: CatalogFile) -> Weights:
    """What ComfyUI will load of a file that is not here, by its size."""
    if row.role == ROLE_DIFFUSION_MODEL:
        return Weights.of_catalog_size(row.size_bytes)
    return Weights(row.size_bytes - (WRITING_HEAD_BYTES if row.role == ROLE_TEXT_ENCODER else 0))


def _choice_of(found: FoundFile, identity: Identity) -> Choice:
    return Choice(identity, found.name, found.size_bytes, found, find_catalog_file(identity.catalog_name))


def get_chosen(role: str, request: LoadRequest, files: Iterable[FoundFile]) -> Choice | None:
    """The file the user named for a role; None for "auto".

    Raises FileChoiceError: a name with path parts, an ambiguous name, a file that is broken or another model, or one
    that is neither on disk nor in the catalog.
    """
    if not request.names_file(role):
        return None
    wanted = request.file_for(role).replace("\\", "/")
    folder = FOLDERS[role]
    if wanted.startswith("/") or ":" in wanted or ".." in wanted.split("/"):
        raise FileChoiceError(
            f"'{wanted}' is a path. Give a file name as ComfyUI lists it, for example 'qwen/model.safetensors', "
            f"for a file inside models/{folder}."
        )
    here = [f for f in files if f.folder == folder]
    matches = [f for f in here if f.listed_name == wanted][:1]
    matches = matches or list({f.listed_name: f for f in reversed(here) if f.name == wanted}.values())
    if len(matches) > 1:
        names = ", ".join(sorted(f.listed_name for f in matches))
        raise FileChoiceError(f"There are several files named '{wanted}': {names}. Give the name with its subfolder.")
    if matches:
        match = matches[0]
        if match.identity is None:
            cure = "Name another file, or set the input back to 'auto'."
            if match.broken:
                cure = "Put a good copy there, name another file, or set the input back to 'auto'."
            raise FileChoiceError(f"{match.listed_name} in models/{folder} cannot be used: {match.problem}. {cure}")
        return _choice_of(match, match.identity)
    row = find_catalog_file(wanted)
    if row is not None and row.role == role:
        renamed = [_choice_of(f, f.identity) for f in here if f.identity and f.identity.catalog_name == wanted]
        return min(renamed, key=lambda choice: choice.place, default=choice_of_row(row))
    if wanted.lower().endswith(".gguf"):
        raise FileChoiceError(
            f"'{wanted}' is a GGUF file, which this node does not load; use the ComfyUI-GGUF pack, or set the input "
            "back to 'auto'."
        )
    raise FileChoiceError(
        f"There is no file '{wanted}' in models/{folder}, and it is not one this node can fetch. "
        f"Put it there and press R in the editor, or set the input back to 'auto'."
    )


def find_format_refusal(choice: Choice, hardware: Hardware, *, explicit: bool) -> str:
    """Why this machine or this ComfyUI cannot run the file's weight format; "" if it can.

    `explicit`: the user asked for this file or format, so what runs slowly (emulated nvfp4 or mxfp8) is not refused.
    """
    weight_format, quant_formats = choice.identity.weight_format, hardware.quant_formats
    if weight_format in FLOAT8 and not hardware.supports_fp8_storage:
        where = "Apple GPUs have" if hardware.kind == KIND_MPS else f"{hardware.device_name} has"
        return f"{where} no fp8 numbers (ComfyUI issue 9263)"
    if weight_format in MIXED_WITH_FLOAT8 and hardware.kind == KIND_MPS:
        return f"{weight_format} files hold fp8 numbers, which Apple GPUs do not have (ComfyUI issue 9263)"
    if choice.identity.has_comfy_quant and weight_format == "fp8_scaled" and "float8_e4m3fn" not in quant_formats:
        # It would drop the scales (ComfyUI issue 11502).
        return f"ComfyUI {hardware.host_version} does not know the quantization marks in it; update ComfyUI"
    needed = NEEDED_QUANT_FORMAT.get(weight_format)
    if needed and needed not in quant_formats:
        return f"ComfyUI {hardware.host_version} cannot load {weight_format} files; update ComfyUI"
    if weight_format in NATIVE_ON_RTX_50 and not explicit and (hardware.compute_capability or (0, 0)) < (10, 0):
        return f"{weight_format} is native on RTX 50 cards only"
    return ""


def broken_files(files: Iterable[FoundFile]) -> list[Refusal]:
    """The damaged or foreign files that look as if they were meant for Qwen-Image, with what is wrong with them."""
    files = tuple(files)
    good = {(f.listed_name, f.size_bytes) for f in files if f.identity}
    return [
        Refusal(f"models/{f.folder}/{f.listed_name}", f.problem)
        for f in files
        if f.problem
        and (f.broken or f.belongs_to or find_catalog_file(f.name))
        and "qwen" in f.listed_name.lower()
        and (f.listed_name, f.size_bytes) not in good  # one folder for all kinds of model
    ]
