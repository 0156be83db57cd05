"""Scenes about the rows on disk. `first session` and `next session` run in two processes with one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from scenes import Facts, free, scene
from studio import difference, layers_read, load_stock, load_tabled, log, make_lora, row_files, sample, with_lora

RUN = {"cfg": 4.0, "steps": 5}
LORA = make_lora(1, "img_mod.1", "txt_mod.1")


def garble_modulation(path: Path) -> None:
    """Overwrite the file's modulation weights where they lie."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        for name, info in header.items():
            if "_mod.1.weight" in name:
                start, end = info["data_offsets"]
                file.seek(8 + length + start)
                file.write(b"\x3c" * (end - start))


def damage(files: list[Path]) -> None:
    """Five ways to be broken: two files under each other's name, a flipped bit, a cut end, a text."""
    one, other, flipped, cut, text = files
    swapped = one.read_bytes(), other.read_bytes()
    one.write_bytes(swapped[1])
    other.write_bytes(swapped[0])
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    cut.write_bytes(cut.read_bytes()[:-1000])
    text.write_text("not a safetensors file")


@scene("first session")
def first_session(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    tabled = load_tabled(models["bf16"], str(folder / "rows"))
    sample(tabled, **RUN)
    yield "first session", {"read": layers_read(tabled), "files": len(row_files(folder / "rows"))}
    tabled = load_tabled(models["bf16"], str(folder / "rows with a lora"))
    sample(with_lora(tabled, LORA), **RUN)
    yield "first session, with a lora", {"read": layers_read(tabled)}


@scene("next session")
def next_session(models: dict[str, str], folder: Path) -> Iterator[tuple[str, Facts]]:
    rows = folder / "rows"
    stock = load_stock(models["bf16"])
    expected, expected_with_lora = sample(stock, **RUN), sample(with_lora(stock, LORA), **RUN)
    del stock
    renamed = folder / "renamed.safetensors"
    shutil.copyfile(models["bf16"], renamed)
    tabled = load_tabled(str(renamed), str(rows))
    tabled_for_lora = load_tabled(str(renamed), str(folder / "rows with a lora"))
    garble_modulation(renamed)
    log.take()
    facts = {"difference": difference(expected, sample(tabled, **RUN)), "read": layers_read(tabled), "log": log.take()}
    yield "modulation weights are not read", facts
    del tabled
    facts = {"difference": difference(expected_with_lora, sample(with_lora(tabled_for_lora, LORA), **RUN))}
    facts |= {"read": layers_read(tabled_for_lora), "effect": difference(expected_with_lora, expected)}
    yield "nor with the same lora", facts
    files = len(row_files(folder / "rows with a lora"))
    error = ""
    try:
        sample(with_lora(tabled_for_lora, LORA, 0.5), **RUN)
    except ValueError as raised:
        error = str(raised)
    more = len(row_files(folder / "rows with a lora")) - files
    yield "another strength would have to read them", {"error": error, "files": more}
    renamed.unlink()  # nor is what lies beyond the end of a file looked at, which would end the process
    shutil.copyfile(models["bf16"], renamed)
    tabled_for_lora = load_tabled(str(renamed), str(folder / "rows with a lora"))
    renamed.write_bytes(b"x")
    try:
        sample(with_lora(tabled_for_lora, LORA, 0.25), **RUN)
    except ValueError as raised:
        error = str(raised)
    yield "cut off after it was loaded", {"error": error}
    del tabled_for_lora
    shutil.copyfile(models["bf16"], renamed)
    garble_modulation(renamed)
    free()
    tabled = load_tabled(str(renamed), str(folder / "other rows"))
    yield "the garbled file itself", {"difference": difference(expected, sample(tabled, **RUN))}
    del tabled
    free()
    damage(row_files(rows)[:5])
    tabled = load_tabled(models["bf16"], str(rows))
    log.take()
    facts = {"difference": difference(expected, sample(tabled, **RUN)), "read": layers_read(tabled)}
    facts["warnings"] = [line for line in log.take() if line.startswith("WARNING")]
    again = load_tabled(models["bf16"], str(rows))
    facts |= {"again": difference(expected, sample(again, **RUN)), "read again": layers_read(again)}
    yield "damaged rows", facts
    del tabled, again
    free()
    blocked = folder / "a file"
    blocked.write_text("")
    tabled = load_tabled(models["bf16"], str(blocked / "rows"))
    log.take()
    results = [sample(tabled, **RUN), sample(tabled, **RUN), sample(tabled, steps=2)]
    warnings = [line for line in log.take() if line.startswith("WARNING")]
    yield "no usable folder", {"difference": difference(expected, results[1]), "warnings": len(warnings)}
    del tabled
    shutil.copyfile(models["distill"], renamed)
    pair = load_stock(str(renamed)), load_tabled(str(renamed), str(rows))
    yield "other weights under the old name", {"difference": difference(*(sample(model, **RUN) for model in pair))}
