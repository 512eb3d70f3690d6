"""The gradients of one step that several ranks compute together (SPEC section 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gru4rec_fast.reference.step import Gradient

if TYPE_CHECKING:
    from collections.abc import Sequence


def sum_over_ranks(gradients: Sequence[dict[str, Gradient]]) -> dict[str, Gradient]:
    """The sum of the ranks' gradients of every parameter, added in the order of the ranks.

    A row of a table that several ranks touch occurs once in the result; a row that one rank touches
    has that rank's gradient. A rank that has no step left is left out of `gradients`.
    """
    names = list(gradients[0])
    return {name: _sum([each[name] for each in gradients]) for name in names}


def _sum(gradients: list[Gradient]) -> Gradient:
    tables = [(g.rows, g.values) for g in gradients if g.rows is not None]
    if not tables:
        total = gradients[0].values.clone()
        for g in gradients[1:]:
            total += g.values
        return Gradient(total)
    rows, place = torch.unique(torch.cat([rows for rows, _ in tables]), return_inverse=True)
    total = tables[0][1].new_zeros(len(rows), tables[0][1].shape[1])
    for (_, values), at in zip(tables, place.split([len(rows) for rows, _ in tables]), strict=True):
        total[at] += values
    return Gradient(total, rows)
