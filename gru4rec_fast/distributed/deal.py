"""What each rank trains: its sessions, lanes, negatives and seed (SPEC section 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.config import Config
    from gru4rec_fast.distributed.ranks import Ranks


def config_of(config: Config, ranks: Ranks) -> Config:
    """The configuration of a rank: its share of the lanes and of the negatives, and its seed.

    B lanes and S negatives are divided as evenly as possible; rank 0 keeps the seed.

    Raises:
        ParameterError: there are fewer lanes or negatives than ranks.
    """
    n, rank = ranks.size, ranks.rank
    lanes = n if config.n_sample else 2 * n
    if config.batch_size < lanes:
        raise ParameterError(
            f"batch_size={config.batch_size} is shared by {n} ranks: expected at least {lanes}"
            + ("" if config.n_sample else ", as a lane without negatives needs another one")
            + ". Raise it, or start fewer processes"
        )
    if 0 < config.n_sample < n:
        raise ParameterError(
            f"n_sample={config.n_sample} is shared by {n} ranks: expected 0, or at least {n}. "
            "Raise it, or start fewer processes"
        )
    return config.replace(
        batch_size=share(config.batch_size, rank, n),
        n_sample=share(config.n_sample, rank, n),
        seed=seed_of(config.seed, rank),
    )


def share(total: int, rank: int, size: int) -> int:
    """A rank's part of a total that is divided as evenly as possible."""
    return total // size + (rank < total % size)


def seed_of(seed: int, rank: int) -> int:
    """The seed of a rank's negatives, dropout masks and shuffles; that of rank 0 is the seed."""
    if rank == 0:
        return seed
    return int(np.random.SeedSequence([seed, rank]).generate_state(1, np.uint32)[0])


def sessions_of(order: NDArray[np.int64], rank: int, size: int) -> NDArray[np.int64]:
    """The sessions of `order` that a rank trains, in that order.

    By a hash of the session's code (the finaliser of SplitMix64), so that each rank gets short and
    long, old and new ones.
    """
    code = order.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        code = (code ^ (code >> np.uint64(shift))) * np.uint64(factor)
    code ^= code >> np.uint64(31)
    own: NDArray[np.int64] = order[code % np.uint64(size) == rank]
    return own
