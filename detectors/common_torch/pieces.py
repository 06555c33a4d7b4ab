"""A batch cut into pieces whose losses and gradients, added up by their shares, are those of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
CountTerms = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


class Piece(NamedTuple):
    """Some rows of a batch, and how much their losses count: the shares of all pieces are 1 together."""

    tensors: Tensors
    share: float


def cut_batch(tensors: Tensors, most: int | None, count_terms: CountTerms) -> Iterator[Piece]:
    """Yield a batch in pieces of at most `most` rows, as equal as can be; whole where it has no more.

    Pieces also hold under each name of `count_terms` how many there are to a row of the whole batch: a mean over them
    is of the piece's rows times that, so that pieces with many of them count more.
    """
    rows = len(next(iter(tensors.values())))
    if not most or rows <= most:
        yield Piece(tensors, 1.0)
        return
    per_row = {name: count.clamp(min=1) / rows for name, count in count_terms(tensors).items()}
    for places in torch.arange(rows).tensor_split(-(-rows // most)):
        first, last = int(places[0]), int(places[-1]) + 1
        yield Piece({k: v[first:last] for k, v in tensors.items()} | per_row, len(places) / rows)
