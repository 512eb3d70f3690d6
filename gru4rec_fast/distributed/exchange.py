"""Who needs which rows in each step of a block: found for the whole block at once.

Letters: N ranks, T steps of the longest rank, U rows of a step, V items.

For each table a rank asks the owners for the rows that its step touches, and gives them the
gradients of the same rows back. The lists go to the owners once a block, so that a step itself
exchanges nothing but rows and gradients.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.spec import NetworkSpec


@dataclass(frozen=True)
class Wanted:
    """The rows of one table that a rank needs in the steps of a block, by owner and step."""

    places: list[list[Tensor]]
    """[t][owner] int64, places among the step's rows."""


@dataclass(frozen=True)
class Owned:
    """The rows of one table that all ranks need of this one, by step."""

    asked: list[list[Tensor]]
    """[t][rank] int64, rows of this rank's shard."""
    rows: list[Tensor]
    """[t] int64, the unique rows of the step, ascending."""
    place: list[list[Tensor]]
    """[t][rank] int64, places in `rows` of those that the rank asked for."""


@dataclass(frozen=True, eq=False)
class SharedBlock:
    """T steps of all ranks: what a rank computes, and what it exchanges."""

    first_step: int
    """The number of its first step through all epochs."""
    live: NDArray[np.int32]
    """(T,) live lanes of all ranks together."""
    own_steps: int
    """How many of the steps this rank computes; it has run dry after them."""
    compact: StepBlock | None
    """Those steps with rows that are numbered 0..U-1 in each, None if there are none."""
    rows: NDArray[np.int32]
    """(own_steps, U) the items of those rows."""
    wanted: dict[str, Wanted]
    owned: dict[str, Owned]

    def __len__(self) -> int:
        """T, the number of steps."""
        return len(self.live)


def shared_blocks(
    ranks: Ranks,
    blocks: Iterator[StepBlock],
    spec: NetworkSpec,
    block_steps: int,
    first_step: int,
) -> Iterator[SharedBlock]:
    """The blocks of all ranks from a step on, until every one has run dry.

    Each block of a rank but its last must have `block_steps` steps.
    """
    while True:
        block = next(blocks, None)
        own = torch.zeros(block_steps, dtype=torch.int64)
        own_steps = 0 if block is None else len(block)
        if block is not None:
            own[:own_steps] = torch.from_numpy(block.live)
        live = ranks.all_gather(own).sum(dim=0)
        steps = int(torch.count_nonzero(live))
        if steps == 0:
            return
        asked = {name: _asked(block, spec, name, steps, ranks.size) for name in spec.tables}
        given = _to_owners(ranks, [items for items, _, _ in asked.values()],
                           [counts for _, _, counts in asked.values()])  # fmt: skip
        yield SharedBlock(
            first_step=first_step,
            live=live[:steps].numpy().astype(np.int32),
            own_steps=own_steps,
            compact=None if block is None else compacted(block),
            rows=np.zeros((0, 0), np.int32) if block is None else block.rows,
            wanted={name: Wanted(_by_step(p, c.T)) for name, (_, p, c) in asked.items()},
            owned=dict(zip(asked, given, strict=True)),
        )
        first_step += steps


def compacted(block: StepBlock) -> StepBlock:
    """The same steps with the rows of each numbered 0..U-1.

    Its negatives come in another order, as the loss depends on how often a row is drawn alone.
    """
    steps, width = block.rows.shape
    place = np.broadcast_to(np.arange(width, dtype=np.int32), (steps, width))
    samples = block.negatives.shape[1]
    counts = block.sample_count * (place < block.scored[:, None])
    return dataclasses.replace(
        block,
        inputs=block.input_row,
        targets=block.target_row,
        negatives=np.repeat(place.ravel(), counts.ravel()).reshape(steps, samples),
        rows=np.ascontiguousarray(place),
    )


def _asked(
    block: StepBlock | None, spec: NetworkSpec, table: str, steps: int, size: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """The rows of a table that a block touches: items, places and counts.

    Items come by owner and step. Places among the rows of their step come by step and owner.
    The counts are (owners, T).
    """
    if block is None:
        return np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros((size, steps), np.int64)
    touches = np.zeros(block.rows.shape, bool)
    width = np.arange(block.rows.shape[1])
    if table in ("Wy.weight", "By.weight"):
        shared = spec.shared and table == spec.input_table
        touches |= width < (block.touched if shared else block.scored)[:, None]
    else:
        lives = np.arange(block.input_row.shape[1]) < block.live[:, None]
        step = np.broadcast_to(np.arange(len(block))[:, None], lives.shape)
        touches[step[lives], block.input_row[lives]] = True
    step, place = np.nonzero(touches)
    items = block.rows[step, place]
    owner = items % size
    counts = np.bincount(owner * steps + step, minlength=size * steps).reshape(size, steps)
    by_step = np.argsort(step * size + owner, kind="stable")
    return items[np.argsort(owner, kind="stable")], place[by_step], counts


def _by_step(values: NDArray[np.int64], counts: NDArray[np.int64]) -> list[list[Tensor]]:
    """[t][owner] the parts of what is ordered by step and owner; counts (T, owners)."""
    steps, size = counts.shape
    parts = torch.split(torch.from_numpy(values), counts.ravel().tolist())
    return [list(parts[t * size : (t + 1) * size]) for t in range(steps)]


def _to_owners(
    ranks: Ranks, items: list[NDArray[np.int32]], counts: list[NDArray[np.int64]]
) -> list[Owned]:
    """Tell the owners which rows are needed; returns what this rank is asked for, by table."""
    size, steps = counts[0].shape
    sent = torch.from_numpy(np.stack(counts, axis=1))  # (N, tables, T)
    equal = [sent[0].numel()] * size
    asked = torch.empty_like(sent)
    ranks.all_to_all(asked.view(-1), sent.view(-1), equal, equal)
    ends = [np.concatenate([[0], np.cumsum(c.sum(axis=1))]) for c in counts]
    message = torch.from_numpy(
        np.concatenate(
            [i[e[d] : e[d + 1]] for d in range(size) for i, e in zip(items, ends, strict=True)]
        )
    )
    receive = asked.sum(dim=(1, 2)).tolist()
    received = message.new_empty(sum(receive))
    ranks.all_to_all(received, message, receive, sent.sum(dim=(1, 2)).tolist())
    parts = torch.split(received, asked.reshape(-1).tolist())
    return [
        _owned(
            [
                [parts[(s * len(counts) + table) * steps + t] for s in range(size)]
                for t in range(steps)
            ],
            ranks.size,
        )
        for table in range(len(counts))
    ]


def _owned(items: list[list[Tensor]], size: int) -> Owned:
    asked = [[part.long() // size for part in step] for step in items]
    rows, place = [], []
    for step in asked:
        unique, inverse = torch.unique(torch.cat(step), return_inverse=True)
        rows.append(unique)
        place.append(list(torch.split(inverse, [len(part) for part in step])))
    return Owned(asked, rows, place)
