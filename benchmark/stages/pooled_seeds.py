"""Rows with several seeds, pooled once for all boards: the cache keys them by what they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from pydantic import Field

from .. import stats
from ..core.display import say_once
from ..core.errors import BenchError
from ..core.group_comparisons import AttributeTests
from ..core.keys import file_hash, hash_key
from ..core.records import EstimateField, Record
from ..core.scorecard import Groups, ScoreCard
from ..core.storage import WriteError, cache_home, write_json
from ..stats.method_rates import MethodGroups
from ..stats.seed_pooling import PooledMetrics, pool_seeds

FOLDER = "pooled"
MOST_BYTES = 2**26


class PooledRecord(Record):
    """`PooledMetrics` as stored."""

    metrics: dict[str, EstimateField]
    groups: Groups
    group_tests: dict[str, AttributeTests]
    method_groups: MethodGroups = Field(default_factory=dict)


def read_pooled(cards: Sequence[ScoreCard]) -> PooledMetrics:
    """Return the result of `pool_seeds`, from the cache if these cards and predictions were pooled before."""
    files = [path for card in cards for path in (card.path, card.predictions_path)]
    if len(cards) < 2 or not all(path.is_file() for path in files):
        return pool_seeds(cards)
    used = [[card.metrics, card.operating_point, card.draws] for card in cards]
    path = cache_home() / FOLDER / f"{hash_key([_hash_code(), used, *map(file_hash, files)], 32)}.json"
    found = _read_kept(path) if path.is_file() else None
    return found or _pool_and_keep(cards, path)


def _read_kept(path: Path) -> PooledMetrics | None:
    try:
        kept = PooledRecord.read(path, "It is made again", MOST_BYTES)
    except BenchError as error:
        say_once(str(error))
        return None
    return PooledMetrics(kept.metrics, kept.groups, kept.group_tests, kept.method_groups)


def _pool_and_keep(cards: Sequence[ScoreCard], path: Path) -> PooledMetrics:
    pooled = pool_seeds(cards)
    with suppress(WriteError):  # The board is correct without it, only slower.
        write_json(path, PooledRecord(**pooled._asdict()).to_json())
    return pooled


@cache
def _hash_code() -> str:
    """Hash the statistics' code: numbers stored by another version aren't used."""
    found = hashlib.sha256()
    for path in sorted(Path(stats.__path__[0]).glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()
