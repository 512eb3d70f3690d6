"""What a step of several ranks sends and computes, from shapes alone: the model of docs/SCALING.md.

Letters: N ranks, B lanes, S negatives, V items, H columns of the output table, K of a separate
input table, D weights beside the tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gru4rec_fast.distributed.exchange import SharedBlock
    from gru4rec_fast.distributed.trainer import SharedTrainer


def exchange_bytes(
    others: Sequence[tuple[int, int]], weights: int, own_share: int, ranks: int, size: int = 4
) -> int:
    """Bytes that a rank sends to others in the two exchanges of a step.

    Args:
        others: of each table, elements of a row, and rows that cross a border: those that it
            sends to other ranks, and those whose gradients it sends to them.
        weights: D.
        own_share: how many of them this rank owns.
        ranks: N.
        size: bytes of a number.
    """
    rows = sum(columns * n for columns, n in others)
    return size * (rows + (ranks - 1) * own_share + weights - own_share)


def block_bytes(trainer: SharedTrainer, block: SharedBlock) -> int:
    """Bytes that this rank sends to others in the steps of a block, by `exchange_bytes`.

    With a cap on the gradients, a step has a float64 sum of squares for each other rank. Behind the
    last step follow the shares of the weights, and the losses.
    """
    shards, ranks = trainer.shards, trainer.ranks
    shapes = shards.spec.parameters
    weights = {n: math.prod(s) for n, s in shapes.items() if n not in shards.spec.tables}
    own_share = sum(
        (end - first) * (weights[n] // shapes[n][0]) for n, first, end in shards.shares[ranks.rank]
    )
    size = shards.p["By.weight"].element_size()  # tables in bfloat16 are sent in float32
    total = 0
    for t in range(len(block)):
        others = [
            (
                shapes[n][1],
                sum(
                    len(block.owned[n].asked[t][r]) + len(block.wanted[n].places[t][r])
                    for r in range(ranks.size)
                    if r != ranks.rank
                ),
            )
            for n in shards.spec.tables
        ]
        total += exchange_bytes(others, sum(weights.values()), own_share, ranks.size, size)
        total += 8 * (ranks.size - 1) * (trainer.grad_cap > 0)
    return total + size * (ranks.size - 1) * (own_share + len(block))


@dataclass(frozen=True)
class StepCost:
    """Of one rank in one step, on average."""

    rows: float
    """Unique rows that the rank asks for."""
    sent: float
    """Bytes to other ranks."""
    operations: float
    """Multiply-adds times 2 of the matrix products, forward and backward."""


def step_cost(
    n: int, lanes: int, negatives: int, units: int, weights: int, unique: float = 1.0
) -> StepCost:
    """The cost of a step with a shared table, from shapes.

    Args:
        n: N.
        lanes: B.
        negatives: S.
        units: H.
        weights: D, of which each lane multiplies every one.
        unique: unique rows for each of the 2 B / N + S / N inputs, targets and negatives.
    """
    own_lanes, columns = lanes / n, (lanes + negatives) / n
    rows = unique * (columns + own_lanes)
    crossing = rows * (units + 1) * (n - 1) / n
    sent = 4 * (2 * crossing + 2 * weights * (n - 1) / n)
    operations = 6 * own_lanes * (weights + unique * columns * units)
    return StepCost(rows, sent, operations)
