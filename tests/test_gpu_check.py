"""benchmarks/gpu/check.py runs here on the CPU, so that it stays correct although no test has a GPU."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs torch")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return run_path(str(Path(__file__).parents[1] / "benchmarks" / "gpu" / "check.py"))


def test_without_a_gpu_it_says_so_and_compares_nothing(script, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert script["main"]([]) == 2
    shown = capsys.readouterr()
    assert "sees none. Without one: --device cpu --quick" in shown.err
    assert not shown.out


@pytest.mark.parametrize(("apart", "wrong"), [(0.5, False), (1.0, False), (1.1, True), (float("nan"), True)])
def test_a_number_beyond_its_limit_or_not_finite_is_wrong(script, apart, wrong, capsys):
    checks = (lambda setting: iter([script["compare"]("scores", apart, 1.0), script["skip"]("two GPUs", "one")]),)
    main = script["main"]
    inside = main.__globals__
    kept = inside["CHECKS"], inside["measure_throughput"]
    try:
        inside["CHECKS"], inside["measure_throughput"] = checks, lambda setting: []
        assert main(["--device", "cpu", "--quick"]) == int(wrong)
    finally:
        inside["CHECKS"], inside["measure_throughput"] = kept
    shown = capsys.readouterr().out
    assert ("WRONG" in shown) == wrong
    assert "skipped: one" in shown


@pytest.mark.slow  # It trains a small network.
def test_everything_runs_on_the_cpu_without_a_fault(script, capsys):
    assert script["main"](["--device", "cpu", "--quick"]) == 0
    shown = capsys.readouterr().out
    for line in (
        "device report",
        "scores in bf16",
        "losses with prefetch",
        "read late",
        "channels-last",
        "goes on with 8",
    ):
        assert line in shown
    assert "img/s" in shown
