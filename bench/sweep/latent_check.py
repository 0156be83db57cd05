"""Whether the sampler's latents are the same bits with the modulation table on and off, everything resident."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from .cells import COLD, LOADER_OFF, LOADER_ON, UNLIMITED
from .graphs import graph_for, latents_of
from .limited_server import LimitedServer, prepare_base
from .limits import gpu_variables
from .session import RUN_SECONDS, Bench


def check_latents(bench: Bench, recipe: str) -> dict[str, Any]:
    """One server without limits, both graphs. `identical` is None when a graph failed, with the reason in `error`."""
    base = bench.folder / "server"
    prepare_base(base, LOADER_ON, bench.place_models)
    environment = gpu_variables(bench.gpu) if bench.gpu is not None else {}
    hashes: dict[str, str] = {}
    with LimitedServer(bench.host, base, bench.flags, environment) as server:
        object_info = server.object_info()
        for side in (LOADER_ON, LOADER_OFF):
            graph = latents_of(graph_for(object_info, side, recipe, COLD, UNLIMITED, bench.pixels))
            result = server.run(graph, timeout=RUN_SECONDS)
            if result.status != "success":
                return {"recipe": recipe, "identical": None, "error": f"{side}: {result.error}"}
            (saved,) = result.outputs["latent"]["latents"]
            hashes[side] = hash_latent(base / "output" / saved["subfolder"] / saved["filename"])
    return {"recipe": recipe, "identical": len(set(hashes.values())) == 1, "sha256": hashes, "error": ""}


def hash_latent(path: Path) -> str:
    """sha256 of the latent's own bytes in a file of SaveLatent; its metadata holds the graph and differs."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8:start])["latent_tensor"]["data_offsets"]
    return hashlib.sha256(data[start + begin : start + end]).hexdigest()
