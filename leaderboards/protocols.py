"""What rows must have in common to stand in one table, and in what words they say how they were made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ..benchmark.core.cell_description import NOT_KNOWN, TEST_ORACLE, TRAINED_HERE, CellDescription
from ..benchmark.core.keys import hash_key
from ..benchmark.core.scorecard import Card, ScoreCard
from ..benchmark.core.types import FAKE


class TestVideos(NamedTuple):
    """What tells the videos of two cards of one test set apart: methods (none of a failure), and what was left out."""

    methods: tuple[str, ...]
    excluded: tuple[str, ...]

    def rank(self) -> tuple[object, ...]:
        """Return what is larger the more there is, and never the same for two that differ."""
        return not self.excluded, len(self.methods), -len(self.excluded), self

    def is_part_of(self, whole: TestVideos) -> bool:
        """Whether it may stand beside the others of a row: it has the same videos, or failed with them."""
        return self.methods in ((), whole.methods) and self.excluded == whole.excluded

    def describe(self, test: str, usual: TestVideos) -> str:
        """Say which methods it has, if others are usual, and always that some videos were left out."""
        told = ""
        if self.methods and self.methods != usual.methods:
            told += f"; {test} of {len(self.methods)} methods: {', '.join(self.methods)}"
        if self.excluded:
            told += f"; {test} without {count_videos(len(self.excluded))} (list {hash_key(self.excluded, 6)})"
        return told


def sort_by_protocol(cards: Iterable[Card]) -> dict[str, list[Card]]:
    """Return the cards of each table, by its title."""
    alike: dict[str, list[Card]] = defaultdict(list)
    for card in cards:
        alike[describe_protocol(card)].append(card)
    members: dict[str, list[Card]] = defaultdict(list)
    for title, found in alike.items():
        for card, other in zip(found, _describe_other_videos(found), strict=True):
            members[title + other].append(card)
    return members


def _describe_other_videos(cards: list[Card]) -> list[str]:
    """Say of each card which test sets its row has other videos of than is usual: four methods aren't five.

    Usual are no excluded videos, and the most methods that a test set was scored with.
    """
    usual: dict[str, TestVideos] = {}
    own: dict[tuple[str, ...], dict[str, TestVideos]] = defaultdict(dict)
    for card in cards:
        for most in (usual, own[make_row_key(card)]):
            found = list_test_videos(card)
            most[card.cell.test] = max(most.get(card.cell.test, found), found, key=TestVideos.rank)
    said = {
        row: "".join(videos.describe(test, usual[test]) for test, videos in sorted(tests.items()))
        for row, tests in own.items()
    }
    return [
        said[row] if (found := list_test_videos(card)).is_part_of(own[row][test]) else found.describe(test, usual[test])
        for card, row, test in ((card, make_row_key(card), card.cell.test) for card in cards)
    ]


def list_test_videos(card: Card) -> TestVideos:
    """Return the methods of a card's fakes, those that couldn't be scored too, and what was left out as asked."""
    if not isinstance(card, ScoreCard):
        return TestVideos((), tuple(card.cell.excluded))
    dropped = {d.method for d in card.coverage.dropped if d.label == FAKE and d.method}
    return TestVideos(tuple(sorted({*card.methods, *dropped})), tuple(card.cell.excluded))


def make_row_key(card: Card) -> tuple[str, str, str, str]:
    """Return what the cards of a row have in common, besides their protocol."""
    return card.cell.recipe_key, display_name(card), card.cell.backend, card.cell.train


def describe_protocol(card: Card) -> str:
    """Say what rows must have in common to stand in one table."""
    cell, n = card.cell, card.cell.limit
    limited = f", PARTIAL: at most {n} real and {n} fake videos a split" if n else ""
    oracle = f"; selected on the test set ({TEST_ORACLE})" if cell.selection == TEST_ORACLE else ""
    return f"{cell.protocol}; {cell.frames} frames a video{limited}{oracle}"


def display_name(card: Card) -> str:
    """Return the detector's name, marked where its weights were given and not trained by this run."""
    cell = card.cell
    return cell.name if cell.weights in (TRAINED_HERE, "its own") else f"{cell.name} ({cell.weights})"


def describe_origin(card: Card) -> str:
    """Say in a line where the weights come from, and whether the test set was kept from them."""
    cell = card.cell
    parts = [f"weights {cell.weights}, trained on {cell.train}", f"training videos {format_training_videos(cell)}"]
    parts += [f"selected on {cell.selection}", f"threshold from {format_source(cell)}"]
    if cell.excluded:
        parts.append(f"{count_videos(len(cell.excluded))} left out as asked")
    return "; ".join(parts) + (mark_contaminated(card) if isinstance(card, ScoreCard) else "")


def mark_contaminated(card: ScoreCard) -> str:
    """Write ` (contaminated: trained on 3 of 40 videos)`; nothing where that isn't so, or isn't known."""
    n = card.cell.contaminated
    return f" (contaminated: trained on {n} of {count_videos(card.coverage.official)})" if n else ""


def format_source(cell: CellDescription) -> str:
    """Write which videos the threshold was fixed on, if any."""
    return "no data" if cell.source == NOT_KNOWN else f"{cell.source or cell.train} val"


def format_training_videos(cell: CellDescription) -> str:
    """Write the hash of the content of a row's training videos, and how many it was asked to go without."""
    without = f", without {count_videos(cell.trained_without)}" if cell.trained_without else ""
    return f"{cell.training_videos}{without}"


def count_videos(n: int) -> str:
    """Write `1 video`, `2 videos`."""
    return f"{n} video{'' if n == 1 else 's'}"
