"""Commands that run the same cells share the work: cells that another command is running come last."""

from __future__ import annotations

import re
import threading
from collections import Counter

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.parts import Part
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.scorecard import Failure
from crossfake.benchmark.core.storage import HeldElsewhereError, hold_lock
from crossfake.benchmark.stages import run_folder, runner
from crossfake.benchmark.stages.cells import group_cells, take_part
from crossfake.benchmark.stages.engines import inline
from crossfake.benchmark.stages.runner import RunOptions, run


@pytest.fixture
def cells(planned, tmp_path):
    """Three trainings, each with two test sets."""
    tests = [planned.source("celebdf", ""), planned.source("dfd", "c23")]
    return [planned.cell(seed=seed, test=test, runs=tmp_path / "runs") for seed in range(3) for test in tests]


def test_a_group_is_one_training_with_its_test_sets(cells):
    assert group_cells(cells) == [cells[:2], cells[2:4], cells[4:]]


def test_a_part_is_every_nth_training(cells):
    assert take_part(cells, None) == cells
    assert take_part(cells, Part(1, 2)) == [*cells[:2], *cells[4:]]
    assert take_part(cells, Part(2, 2)) == cells[2:4]
    assert take_part(cells, Part(3, 9)) == cells[4:]
    told = "this plan has 3 trainings, so --part 4/9 has nothing to do. The last part with work: 3/9"
    with pytest.raises(BenchError, match=re.escape(told)):
        take_part(cells, Part(4, 9))


def test_cells_another_command_works_on_come_later(cells):
    held = Counter({cells[0]: 1, cells[3]: 1})

    def run_one(cell, *, wait):
        if held[cell] and not wait:
            held[cell] -= 1
            raise HeldElsewhereError("held")
        return cell.title

    done = list(inline(run_one, cells))
    assert [cell for cell, _ in done] == [cells[2], cells[4], cells[5], cells[0], cells[1], cells[3]]
    assert all(card == cell.title for cell, card in done)


def test_waits_for_the_first_when_all_are_in_progress_elsewhere(cells):
    waited = []

    def run_one(cell, *, wait):
        if not wait:
            raise HeldElsewhereError("held")
        waited.append(cell)
        return "done"

    assert [cell for cell, _ in inline(run_one, cells)] == waited
    assert sorted(map(id, waited)) == sorted(map(id, cells))


def test_a_locked_run_is_skipped_and_taken_when_free(cells, monkeypatch, capsys):
    begun, free = [], threading.Event()

    def walk(cell, options):
        begun.append(cell)
        if len(begun) == 4:
            free.set()
        return run_folder.record_failure(cell, options, "nothing to do")

    monkeypatch.setattr(runner, "_walk_stages", walk)
    monkeypatch.setattr(runner, "settle_key", lambda cell, options: False)
    holding = threading.Event()

    def hold():
        with hold_lock(cells[0].folder):
            holding.set()
            free.wait(20)

    other = threading.Thread(target=hold)
    other.start()
    holding.wait(20)
    cards = run(cells, RunOptions(Reporter(quiet=False)))
    other.join()
    assert begun == [*cells[2:], *cells[:2]]
    assert [card.cell.seed for card in cards] == [0, 0, 1, 1, 2, 2]  # In the requested order.
    assert all(isinstance(card, Failure) for card in cards)
    assert f"{cells[0].title}: left for later: {cells[0].folder}, which process" in capsys.readouterr().out
