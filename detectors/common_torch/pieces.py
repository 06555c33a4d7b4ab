"""A batch split into pieces whose losses and gradients, summed with their shares, equal those of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .ranks import TorchRanks

Tensors = dict[str, Tensor]
CountTerms = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


class Piece(NamedTuple):
    """Some rows of a batch, and the weight of their losses: the shares of all pieces sum to 1."""

    tensors: Tensors
    share: float


def cut_batch(
    tensors: Tensors, most: int | None, count_terms: CountTerms, ranks: TorchRanks | None = None
) -> Iterator[Piece]:
    """Yield a batch in pieces of at most `most` rows, as equal as possible; whole if it has no more.

    Pieces also hold under each name of `count_terms` how many there are to a row of the whole batch: a mean over them
    is of the piece's rows times that, so that pieces with many of them count more. With `ranks`, the batch is one
    rank's part of a whole, and all ranks yield as many pieces: a rank's may be larger, if another has few rows.
    """
    own = len(next(iter(tensors.values())))
    rows = ranks.count_rows(own) if ranks else [own]
    count = min(-(-max(rows) // most), *rows) if most else 1
    if count == 1 and not ranks:
        yield Piece(tensors, 1.0)
        return
    terms, total = dict(count_terms(tensors)), sum(rows)
    if ranks and terms:
        terms = dict(zip(terms, ranks.add_up_each(list(terms.values())), strict=True))
    per_row = {name: term.clamp(min=1) / total for name, term in terms.items()}
    for places in torch.arange(own).tensor_split(count):
        first, last = int(places[0]), int(places[-1]) + 1
        yield Piece({k: v[first:last] for k, v in tensors.items()} | per_row, len(places) / total)
