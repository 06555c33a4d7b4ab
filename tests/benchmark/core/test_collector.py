"""The garbage collector's state is always restored, even after an error."""

from __future__ import annotations

import gc

import pytest
from crossfake.benchmark.core.collector import pause_collector


def test_collection_is_paused_and_resumes_after_an_error():
    @pause_collector()
    def fail():
        assert not gc.isenabled()
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with pause_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
