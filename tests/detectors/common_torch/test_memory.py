"""Free memory of the machine, or within a container's limit; 0 if it is unknown."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from crossfake.detectors.common_torch import memory

CPU = torch.device("cpu")


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:   2000 kB\n")
    return tmp_path


@pytest.mark.parametrize(("limit", "free"), [(None, 2000 * 1024), ("max", 2000 * 1024), ("1500000", 1_000_000)])
def test_the_smaller_of_machine_and_container_memory_counts(places, limit, free):
    if limit:
        (places / "memory.max").write_text(f"{limit}\n")
        (places / "memory.current").write_text("500000\n")
    assert memory.measure_free_memory(CPU) == free


def test_free_memory_is_zero_where_no_source_gives_it(places):
    (places / "meminfo").unlink()
    assert memory.measure_free_memory(CPU) == 0
    assert memory.measure_free_memory(torch.device("meta")) == 0
