"""What rows must have in common to share a table, and how they describe the way they were made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ..benchmark.core.cell_description import NOT_KNOWN, TEST_ORACLE, TRAINED_HERE, CellDescription
from ..benchmark.core.keys import hash_key
from ..benchmark.core.scorecard import Card, ScoreCard
from ..benchmark.core.types import FAKE


class TestVideos(NamedTuple):
    """Which videos of a test set a card covers: its methods (none for a failure), and the videos that were excluded."""

    methods: tuple[str, ...]
    excluded: tuple[str, ...]

    def rank(self) -> tuple[object, ...]:
        """Return a sort key: larger for more videos, and different for different sets."""
        return not self.excluded, len(self.methods), -len(self.excluded), self

    def is_part_of(self, whole: TestVideos) -> bool:
        """Whether the card can share a row with others: it has the same videos, or failed on them."""
        return self.methods in ((), whole.methods) and self.excluded == whole.excluded

    def describe(self, test: str, usual: TestVideos) -> str:
        """Name the methods if they aren't the usual ones, and the excluded videos if there are any."""
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
    """Say for each card on which test sets its row has unusual videos: four methods aren't comparable with five.

    A test set is usual if no video is excluded and it has as many methods as any card has for it.
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
    """Return the methods of a card's fakes, unscored ones included, and the videos that were excluded on request."""
    if not isinstance(card, ScoreCard):
        return TestVideos((), tuple(card.cell.excluded))
    dropped = {d.method for d in card.coverage.dropped if d.label == FAKE and d.method}
    return TestVideos(tuple(sorted({*card.methods, *dropped})), tuple(card.cell.excluded))


def make_row_key(card: Card) -> tuple[str, str, str, str]:
    """Return what the cards of a row have in common besides their protocol."""
    return card.cell.recipe_key, display_name(card), card.cell.backend, card.cell.train


def describe_protocol(card: Card) -> str:
    """Describe what rows must have in common to share a table."""
    cell, n = card.cell, card.cell.limit
    limited = f", PARTIAL: at most {n} real and {n} fake videos per split" if n else ""
    oracle = f"; selected on the test set ({TEST_ORACLE})" if cell.selection == TEST_ORACLE else ""
    return f"{cell.protocol}; {cell.frames} frames per video{limited}{oracle}"


def display_name(card: Card) -> str:
    """Return the detector's name, marked if its weights were given and not trained by this run."""
    cell = card.cell
    return cell.name if cell.weights in (TRAINED_HERE, "its own") else f"{cell.name} ({cell.weights})"


def describe_origin(card: Card) -> str:
    """Say in one line where the weights come from, and whether they were kept apart from the test set."""
    cell = card.cell
    parts = [f"weights: {cell.weights}; trained on: {cell.train}", f"training videos: {format_training_videos(cell)}"]
    parts += [f"selected on: {cell.selection}", f"threshold from: {format_source(cell)}"]
    if cell.excluded:
        parts.append(f"{count_videos(len(cell.excluded))} excluded on request")
    return "; ".join(parts) + (mark_contaminated(card) if isinstance(card, ScoreCard) else "")


def mark_contaminated(card: ScoreCard) -> str:
    """Write ` (contaminated: trained on 3 of 40 videos)`; nothing if it isn't contaminated, or that isn't known."""
    n = card.cell.contaminated
    return f" (contaminated: trained on {n} of {count_videos(card.coverage.official)})" if n else ""


def format_source(cell: CellDescription) -> str:
    """Write which videos the threshold was fixed on, if any."""
    return "no data" if cell.source == NOT_KNOWN else f"{cell.source or cell.train} val"


def format_training_videos(cell: CellDescription) -> str:
    """Write the hash of a row's training videos' content, and how many were excluded on request."""
    without = f", without {count_videos(cell.trained_without)}" if cell.trained_without else ""
    return f"{cell.training_videos}{without}"


def count_videos(n: int) -> str:
    """Write `1 video`, `2 videos`."""
    return f"{n} video{'' if n == 1 else 's'}"
