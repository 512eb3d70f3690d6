"""The cap on the norm of a step's gradients, over the owners of rows and weights (SPEC section 6).

Each owner has the sums over the ranks of its own rows and weights, so that every gradient is in
exactly one partial sum of squares.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.distributed.ranks import Ranks


def cap_over_ranks(ranks: Ranks, own: Sequence[Tensor], cap: float) -> None:
    """Scale this rank's summed gradients by cap / norm, if the norm of all ranks reaches the cap.

    The sums are in a fixed order, so that all ranks get the same scale, in each run with as many.
    """
    partial = torch.tensor([sum(map(squares, own))], dtype=torch.float64)
    norm = math.sqrt(sum(ranks.all_gather(partial).flatten().tolist()))
    if norm >= cap:
        for g in own:
            g *= cap / norm


def squares(g: Tensor) -> float:
    """The sum of squares of a gradient, in float64.

    By NumPy, whose order of a sum does not depend on the number of threads.
    """
    return float(np.square(g.numpy(), dtype=np.float64).sum())
