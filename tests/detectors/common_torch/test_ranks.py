"""Training with several ranks against one process: losses, weights, batch norms; and ranks that fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

import ranks_worker
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.core.shared_steps import RankLeftError
from crossfake.detectors.common_torch.ranks import TorchRanks
from ranks_worker import CASES, make, make_batch, take
from thread_ranks import train_together
from torch import distributed as dist
from torch import nn

GLOO = pytest.mark.skipif(not dist.is_gloo_available(), reason="torch without gloo")


def assert_same(found, expected) -> None:
    (losses, state), (losses2, state2) = found, expected
    for ours, theirs in zip(losses, losses2, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    assert losses[0]["loss"] != pytest.approx(losses[-1]["loss"], abs=1e-3), "something is learned"
    for key, value in state2.items():
        np.testing.assert_allclose(state[key], value, 1e-4, 1e-4, err_msg=key)


@pytest.mark.parametrize(
    "case", ["meso4", "meso4 sam", "meso4 pieces", "meso4 lost", pytest.param("caddm", marks=pytest.mark.slow)]
)
def test_two_ranks_reach_the_losses_and_weights_of_one_process(case):
    detectors = [make(case, frozen="micro_batch" in CASES[case][2]) for _ in range(3)]
    first, second = train_together(2, lambda ranks: take(case, ranks, detectors[ranks.rank]))
    assert first[0] == second[0]
    assert all(np.array_equal(first[1][k], v) for k, v in second[1].items()), "ranks stay the same bit by bit"
    assert_same(first, take(case, detector=detectors[2]))


def test_a_step_that_lost_everything_is_skipped_by_all_ranks():
    detectors = [make("meso4", frozen=False) for _ in range(2)]

    def work(ranks):
        session = detectors[ranks.rank].training(TrainSettings(batch_size=4, threads=1), 1, 1)
        session.join(ranks)
        return session.step({}), session.done

    assert train_together(2, work) == [({}, 0), ({}, 0)]


@pytest.mark.parametrize("layer", [nn.BatchNorm2d, nn.BatchNorm1d])
def test_batch_norms_see_the_images_of_all_ranks(layer):
    shape = (5, 3, 4, 4) if layer is nn.BatchNorm2d else (5, 3)
    generator = torch.Generator().manual_seed(0)
    x, slope = (torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 2 for _ in range(2))
    norms = [layer(3, momentum=0.3).double() for _ in range(3)]
    inputs = [x[:2].clone(), x[2:].clone(), x.clone()]
    for norm, value in zip(norms, inputs, strict=True):
        nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
        value.requires_grad_()

    def work(ranks):
        with ranks.share_norms():
            out = norms[ranks.rank](inputs[ranks.rank])
        out.backward((slope[:2], slope[2:])[ranks.rank])
        return out

    outputs = torch.cat(train_together(2, work))
    expected = norms[2](inputs[2])
    expected.backward(slope)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(torch.cat([inputs[0].grad, inputs[1].grad]), inputs[2].grad)
    for name in ("weight", "bias"):
        own, other, whole = (getattr(norm, name).grad for norm in norms)
        torch.testing.assert_close(own + other, whole, msg=name)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(norms[0], name), getattr(norms[2], name), msg=name)


def test_batch_norms_in_evaluation_still_use_running_statistics():
    norm, x = nn.BatchNorm2d(3).eval(), torch.randn(2, 3, 4, 4)

    def work(ranks):
        with ranks.share_norms():
            return norm(x)

    assert torch.equal(*train_together(1, work), norm(x))


def test_ranks_resume_from_a_state_of_one_process():
    """The momentum and the step count are restored as well."""
    settings = TrainSettings(optimizer="sgd", lr=1e-2, batch_size=6, threads=1)
    detectors, batches = [make("meso4", frozen=False) for _ in range(3)], [make_batch("meso4", i) for i in range(3)]
    alone = detectors[2].training(settings, 3, 3)
    alone.step(batches[0])
    packed = alone.state()
    losses = [alone.step(batch)["loss"] for batch in batches[1:]]

    def work(ranks):
        session = detectors[ranks.rank].training(settings, 3, 3)
        if ranks.rank == 0:
            session.restore(packed)
        session.join(ranks)
        return [session.step({k: v[ranks.rank :: 2] for k, v in batch.items()})["loss"] for batch in batches[1:]]

    assert train_together(2, work)[0] == pytest.approx(losses, abs=1e-5)
    for key, value in detectors[2].state().items():
        np.testing.assert_allclose(detectors[0].state()[key], value, atol=1e-5, err_msg=key)


@GLOO
def test_a_group_of_one_broadcasts_adds_and_draws():
    ranks = TorchRanks(dist.HashStore(), 0, 1, seed=5)
    try:
        assert ranks.gather({"a": 1}) == [{"a": 1}]
        assert ranks.broadcast("x") == "x"
        assert ranks.count_rows(7) == [7]
        used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
        used.grad = torch.tensor([1.0, 2.0])
        assert ranks.add_up_gradients([used, unused], {"loss": torch.tensor(3.0)}) == {"loss": 3.0}
        assert used.grad.tolist() == [1, 2]
        assert unused.grad is None, "what no loss reaches isn't decayed either"
        with torch.random.fork_rng():
            draws = [(ranks.seed(step), torch.rand(1).item())[1] for step in (3, 4, 3)]
        assert draws[0] == draws[2] != draws[1]
    finally:
        ranks.leave()


def start(store, rank: int, out: Path, *cases: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, ranks_worker.__file__, str(store.port), str(rank), "2", str(out), *cases])


@GLOO
@pytest.mark.slow
def test_processes_reach_the_losses_and_weights_of_one(tmp_path):
    store = dist.TCPStore("127.0.0.1", 0, 2, is_master=True, wait_for_workers=False)
    for process in [start(store, rank, tmp_path, *CASES) for rank in range(2)]:
        assert process.wait(300) == 0
    for i, case in enumerate(CASES):
        with np.load(tmp_path / f"{i}.npz") as state:
            assert_same((json.loads((tmp_path / f"{i}.json").read_text()), dict(state)), take(case))


@GLOO
@pytest.mark.slow
def test_a_rank_that_leaves_is_reported_with_its_reason(tmp_path):
    store = dist.TCPStore("127.0.0.1", 0, 2, is_master=True, wait_for_workers=False)
    other = start(store, 1, tmp_path, "no such case")
    ranks = TorchRanks(dist.PrefixStore("0", store), 0, 2, seed=0)
    try:
        with pytest.raises(RankLeftError, match=r"rank 1 of 2 stopped: KeyError|is gone: killed, perhaps") as caught:
            ranks.gather(0)
        assert caught.value.rank in (1, None)
    finally:
        ranks.leave("over")
        other.wait(60)
