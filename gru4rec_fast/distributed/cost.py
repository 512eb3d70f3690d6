"""What a step of several ranks sends and computes, from shapes alone: the model of docs/SCALING.md.

Letters: N ranks, B lanes, S negatives, H columns of the output table, D weights beside the tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gru4rec_fast.distributed.lanes import most_lanes
from gru4rec_fast.distributed.rows import BlockRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gru4rec_fast.distributed.trainer import SharedTrainer
    from gru4rec_fast.plan.block import StepBlock


def exchange_bytes(
    tables: Sequence[tuple[int, int, int]], weights: int, own_share: int, ranks: int, size: int = 4
) -> int:
    """Bytes that a rank sends to others in the two exchanges of a step.

    Args:
        tables: of each one the elements of a row, the rows that the step needs, and those of them
            that this rank owns.
        weights: D.
        own_share: how many of them this rank owns.
        ranks: N.
        size: bytes of a number.
    """
    rows = sum(columns * (own * (ranks - 1) + needed - own) for columns, needed, own in tables)
    return size * (rows + (ranks - 1) * own_share + weights - own_share)


def block_bytes(trainer: SharedTrainer, block: StepBlock, moves: int = 0) -> int:
    """Bytes that this rank sends in a block by messages, from `exchange_bytes`.

    With a cap on the gradients, a step has a float64 sum of squares for each other rank. Behind the
    last step follow the shares of the weights, and the losses. `moves` says in how many
    steps the lanes' states move, as some lanes have died.
    """
    shards, ranks = trainer.shards, trainer.ranks
    spec, shapes = shards.spec, shards.spec.parameters
    weights = {n: math.prod(s) for n, s in shapes.items() if n not in spec.tables}
    own_share = sum(
        (end - first) * (weights[n] // shapes[n][0]) for n, first, end in shards.shares[ranks.rank]
    )
    rows = BlockRows(block, spec, ranks.size)
    size = shards.p["By.weight"].element_size()  # tables in bfloat16 are sent in float32
    total = 0
    for t in range(len(block)):
        tables = [
            (columns, sum(rows.counts(n, t)), rows.counts(n, t)[ranks.rank])
            for n, (_, columns) in spec.tables.items()
        ]
        total += exchange_bytes(tables, sum(weights.values()), own_share, ranks.size, size)
        total += 8 * (ranks.size - 1) * (trainer.grad_cap > 0)
    states = most_lanes(block.inputs.shape[1], ranks.size) * sum(
        layer.state_width for layer in spec.layers
    )
    return total + size * (ranks.size - 1) * (own_share + len(block) + moves * states)


@dataclass(frozen=True)
class StepCost:
    """Of one rank in one step, on average."""

    rows: float
    """Unique rows that the step needs."""
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
        unique: unique rows for each of the 2 B + S inputs, targets and negatives.
    """
    rows = unique * (2 * lanes + negatives)
    crossing = rows * (units + 1) * (n - 1) / n
    sent = 4 * (2 * crossing + 2 * weights * (n - 1) / n)
    operations = 6 * lanes / n * (weights + unique * (lanes + negatives) * units)
    return StepCost(rows, sent, operations)
