"""The tensors of a rank: what it owns, and what others read of it in a step."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from gru4rec_fast.distributed.memory import HEAD, LINE, SharedMemory
from gru4rec_fast.distributed.owners import shard_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import Tensor

    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.reference import Parameters
    from gru4rec_fast.spec import NetworkSpec, Shape

logger = logging.getLogger(__name__)


@dataclass
class Held:
    """Tensors by the names of the parameters."""

    shards: Parameters
    """Tables (V_r, columns) of the items that the rank owns."""
    weights: Parameters
    """All weights beside the tables. In shared memory there is one copy for all ranks."""
    gradients: Parameters
    """Of the rank's lanes in one step: tables (R, columns), weights whole."""


def held_by(
    ranks: Ranks,
    spec: NetworkSpec,
    step: NetworkSpec,
    dtype: torch.dtype,
    by_memory: bool,
    half: Collection[str] = (),
) -> tuple[list[Held], SharedMemory | None]:
    """New tensors, zeros, of this rank and where possible of those that share memory with it.

    Args:
        ranks: of the training.
        spec: the network.
        step: the network of a step, with R items.
        dtype: of all tensors but those of `half`.
        by_memory: whether the ranks may share memory.
        half: tables whose shards are in bfloat16.

    Returns:
        The tensors of all ranks and the memory that they share; or those of this rank alone, and
        None, where the ranks share no memory.
    """
    places = [_places(spec, step, r, ranks.size, dtype, half) for r in range(ranks.size)]
    memory = SharedMemory.open(ranks, [end for _, end in places]) if by_memory else None
    if memory is None:
        if by_memory and ranks.is_first:
            logger.info("the ranks share no memory: they send rows and gradients as messages")
        own, _ = places[ranks.rank]
        return [_made(own, lambda _, shape, of_tensor: torch.zeros(shape, dtype=of_tensor))], None
    found = [_made(place, partial(memory.tensor, rank)) for rank, (place, _) in enumerate(places)]
    for held in found:
        held.weights = found[0].weights
    return found, memory


_Places = dict[str, dict[str, "tuple[int, Shape, torch.dtype]"]]
"""Field of Held -> name -> first byte in the rank's memory, shape, and type."""


def _places(
    spec: NetworkSpec,
    step: NetworkSpec,
    rank: int,
    size: int,
    dtype: torch.dtype,
    half: Collection[str],
) -> tuple[_Places, int]:
    """Where the tensors of a rank lie, and where they end. Rank 0's weights are those of all."""
    weights = {n: shape for n, shape in spec.parameters.items() if n not in spec.tables}
    owned = shard_rows(spec.n_items, rank, size)
    shapes: dict[str, dict[str, Shape]] = {
        "shards": {n: (owned, columns) for n, (_, columns) in spec.tables.items()},
        "gradients": dict(step.parameters),
        "weights": weights,
    }
    at = HEAD
    places: _Places = {}
    for kind, of_kind in shapes.items():
        places[kind] = {}
        for name, shape in of_kind.items():
            own = torch.bfloat16 if kind == "shards" and name in half else dtype
            places[kind][name] = (at, shape, own)
            at += -(-math.prod(shape) * own.itemsize // LINE) * LINE
    return places, at


def _made(places: _Places, make: Callable[[int, Shape, torch.dtype], Tensor]) -> Held:
    return Held(**{kind: {n: make(*p) for n, p in each.items()} for kind, each in places.items()})
