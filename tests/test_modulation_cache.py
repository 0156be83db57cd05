"""The folder of rows on its own: bounded, whole under concurrent writers, careful with files of others."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "qil_modulation_cache_test"
NAME = "0123456789abcdef" * 2


def load(module: str):
    """A module of the pack, found as ComfyUI finds the pack; nothing but the module is run."""
    if PACKAGE not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            PACKAGE, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{PACKAGE}.runtime.{module}")


def rows_of(seed: int, width: int = 256):
    """Rows of 3 blocks for a batch of 4 in which rows repeat, as with cfg and zero rows."""
    random = torch.Generator().manual_seed(seed)
    image = torch.randn(3, 2, width, generator=random).to(torch.bfloat16)
    text = torch.randn(3, 1, width, generator=random).to(torch.bfloat16)
    return load("modulation_rows").Rows(image, text, (0, 0, 1, 1), (0, 0))


def same(one, other) -> bool:
    return (
        torch.equal(one.image, other.image)
        and torch.equal(one.text, other.text)
        and (one.image_index == other.image_index and one.text_index == other.text_index)
    )


def warnings(caplog) -> list[str]:
    """What the pack has said in this test; other libraries may speak up at any moment."""
    return [record.getMessage() for record in caplog.records if record.name == load("log").log.name]


def test_rows_come_back_as_they_were(tmp_path):
    cache = load("modulation_cache").ModulationCache(str(tmp_path / "made" / "when needed"))
    assert cache.get(NAME) is None
    cache.put(NAME, rows_of(1))
    assert same(cache.get(NAME), rows_of(1))


DAMAGES = {
    "a flipped bit": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "a flipped bit in the index": lambda data: data.replace(b"0,0,1,1", b"0,0,1,0"),
    "a cut end": lambda data: data[:-100],
    "nothing left": lambda data: b"",
    "a text": lambda data: b"not a safetensors file",
    "another version": lambda data: data.replace(b"modulation rows 1", b"modulation rows 9"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_deleted_with_one_warning(tmp_path, caplog, damage):
    cache = load("modulation_cache").ModulationCache(str(tmp_path))
    names = [NAME, NAME[::-1]]
    for name in names:
        cache.put(name, rows_of(1))
        file = tmp_path / f"{name}.safetensors"
        data = file.read_bytes()
        assert damage(data) != data
        file.write_bytes(damage(data))
    assert [cache.get(name) for name in names] == [None, None]
    assert list(tmp_path.iterdir()) == []
    (warning,) = warnings(caplog)
    assert f"{NAME}.safetensors is damaged" in warning


def test_a_file_under_another_name_is_not_taken(tmp_path):
    cache = load("modulation_cache").ModulationCache(str(tmp_path))
    cache.put(NAME, rows_of(1))
    (tmp_path / f"{NAME}.safetensors").rename(tmp_path / f"{NAME[::-1]}.safetensors")
    assert cache.get(NAME[::-1]) is None


def test_repeated_rows_are_kept_once():
    rows = load("modulation_rows")
    outputs = [torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 5.0]]) + layer for layer in range(4)]
    packed = rows.pack_rows([output if number % 2 == 0 else output[:2] for number, output in enumerate(outputs)])
    assert packed.image.shape == (2, 2, 2)
    assert packed.text.shape == (2, 1, 2)
    buffer = rows.RowsBuffer(packed, torch.device("cpu"))
    addresses = [view.data_ptr() for view in buffer.views]
    buffer.fill(packed)
    assert torch.equal(buffer.views[2], outputs[2])
    assert torch.equal(buffer.views[3], outputs[3][:2])
    assert [view.data_ptr() for view in buffer.views] == addresses


def test_negative_zero_is_not_zero():
    packed = load("modulation_rows").pack_rows([torch.tensor([[0.0], [-0.0]]), torch.tensor([[1.0]])])
    assert packed.image_index == (0, 1)


def test_the_least_recently_used_rows_go_first(tmp_path):
    cache = load("modulation_cache").ModulationCache(str(tmp_path), limit_bytes=20_000)
    names = [f"{number:032x}" for number in range(4)]
    for age, name in enumerate(names):
        cache.put(name, rows_of(age, width=1024))
        os.utime(tmp_path / f"{name}.safetensors", (1000 + age, 1000 + age))
    assert cache.get(names[0]) is not None
    (tmp_path / "somebody else's.safetensors").write_bytes(b"x" * 50_000)
    cache.trim()
    left = [name for name in names if (tmp_path / f"{name}.safetensors").exists()]
    assert left == [names[0]]
    assert (tmp_path / "somebody else's.safetensors").exists()


def test_leftovers_of_a_killed_writer_go(tmp_path):
    leftover, fresh = tmp_path / "old.partial", tmp_path / "new.partial"
    for file in (leftover, fresh):
        file.write_bytes(b"half")
    os.utime(leftover, (1000, 1000))
    load("modulation_cache").ModulationCache(str(tmp_path)).trim()
    assert not leftover.exists()
    assert fresh.exists()


WRITER = """
import importlib.util, sys, types
spec = importlib.util.spec_from_file_location("test", sys.argv[1])
test = importlib.util.module_from_spec(spec)
spec.loader.exec_module(test)
cache = test.load("modulation_cache").ModulationCache(sys.argv[2])
for _ in range(200):
    cache.put(test.NAME, test.rows_of(1))
"""


def test_two_processes_may_write_the_same_rows_at_once(tmp_path, caplog):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, __file__, str(tmp_path)]) for _ in range(2)]
    cache = load("modulation_cache").ModulationCache(str(tmp_path))
    seen = 0
    while any(writer.poll() is None for writer in writers):
        found = cache.get(NAME)
        assert found is None or same(found, rows_of(1))
        seen += found is not None
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen > 0
    assert warnings(caplog) == []
    assert [file.name for file in tmp_path.iterdir()] == [f"{NAME}.safetensors"]


def test_a_model_file_is_known_once_rows_of_it_are_there(tmp_path):
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"weights")
    folder = tmp_path / "rows"

    def cache():
        return load("modulation_cache").ModulationCache(str(folder), source_path=str(model))

    assert not cache().has_rows_of_source()
    cache().put(NAME, rows_of(1))
    assert cache().has_rows_of_source()
    model.write_bytes(b"other weights")
    assert not cache().has_rows_of_source()
    assert cache().get(NAME) is not None
    assert cache().has_rows_of_source()
    model.unlink()
    assert not cache().has_rows_of_source()


def test_only_so_many_model_files_are_remembered(tmp_path):
    module = load("modulation_cache")
    for number in range(module.LIMIT_SOURCES + 5):
        (tmp_path / f"{number:032x}.source").touch()
    module.ModulationCache(str(tmp_path)).trim()
    assert len(list(tmp_path.iterdir())) == module.LIMIT_SOURCES
