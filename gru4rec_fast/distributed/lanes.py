"""Which lanes of a step each rank computes.

All ranks plan the same steps. Of the M live lanes of a step, rank r of N computes those from
floor(r M / N) on, up to those of rank r + 1. So a lane stays on its rank while M stays the same; in
the last steps of an epoch, where lanes die, the states of the others move.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.config import Config
    from gru4rec_fast.plan.block import StepBlock

NO_COLUMNS = np.zeros((1, 0), dtype=np.int32)


def first_lane(live: int, rank: int, size: int) -> int:
    """The first of M live lanes that a rank computes; with rank = N it is M."""
    return rank * live // size


def lanes_of(live: int, rank: int, size: int) -> range:
    """Which of M live lanes a rank computes."""
    return range(first_lane(live, rank, size), first_lane(live, rank + 1, size))


def most_lanes(lanes: int, size: int) -> int:
    """The most of B lanes that a rank computes."""
    return -(-lanes // size)


def require_lanes(config: Config, size: int) -> None:
    """Refuse fewer lanes than ranks.

    Raises:
        ParameterError: some rank would compute nothing.
    """
    if config.batch_size < size:
        raise ParameterError(
            f"batch_size={config.batch_size} is shared by {size} ranks: expected at least {size}. "
            "Raise it, or start fewer processes"
        )


def part_of_step(
    block: StepBlock, t: int, rank: int, size: int, before: int, columns: bool = True
) -> StepBlock | None:
    """A rank's lanes in step t, with the step's rows numbered 0..U-1 in place of items.

    All columns of the step stay: the targets of other ranks' lanes are negatives of these lanes.

    Args:
        block: the planned steps.
        t: which one.
        rank: r.
        size: N.
        before: live lanes of the step before. If they are as many, the states of this rank's
            lanes are those that it had; else they have been put in the order of the lanes.
        columns: whether the engine reads `negatives`, and not only how often a row occurs.

    Returns:
        A block of one step; None where the rank has no lane in it.
    """
    live = int(block.live[t])
    own = lanes_of(live, rank, size)
    if not own:
        return None
    first = own.start
    lanes = slice(first, first + most_lanes(block.inputs.shape[1], size))
    step = slice(t, t + 1)
    place = np.arange(block.rows.shape[1], dtype=np.int32)[None]
    source = block.source[step, lanes] - np.int32(first)
    if before != live:
        source = np.arange(source.shape[1], dtype=np.int32)[None]
    # A lane that starts anew goes on from no state, and may have had none on this rank.
    source = np.where(block.restarts[step, lanes] != 0, np.int32(0), source)
    return dataclasses.replace(
        block,
        first_step=block.first_step + t,
        inputs=block.input_row[step, lanes],
        targets=block.target_row[step, lanes],
        restarts=block.restarts[step, lanes],
        source=source,
        events=block.events[step, lanes],
        live=np.array([len(own)], dtype=np.int32),
        negatives=_other_columns(block, t, slice(own.start, own.stop)) if columns else NO_COLUMNS,
        rows=place,
        target_count=block.target_count[step],
        sample_count=block.sample_count[step],
        target_row=block.target_row[step, lanes],
        input_row=block.input_row[step, lanes],
        scored=block.scored[step],
        touched=block.touched[step],
        first_lane=first,
    )


def _other_columns(block: StepBlock, t: int, own: slice) -> NDArray[np.int32]:
    """(1, ...) the targets of the lanes that are not `own`, then the samples, as places."""
    n = int(block.scored[t])
    place = np.arange(n, dtype=np.int32)
    others = block.target_count[t, :n] - np.bincount(block.target_row[t, own], minlength=n)
    samples = block.sample_count[t, :n]
    return np.concatenate([np.repeat(place, others), np.repeat(place, samples)])[None]
