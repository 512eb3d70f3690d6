"""Sessions as the scorers of the baselines see them: the last events of each lane."""

from __future__ import annotations

import torch
from torch import Tensor

EVENTS = 500
"""Events that are kept; a longer session is represented by its last 500 events."""


def empty_windows(lanes: int, events: int = EVENTS) -> list[Tensor]:
    """State of lanes in which no session has begun: (lanes, events) int32 of -1."""
    return [torch.full((lanes, events), -1, dtype=torch.int32)]


def push(state: list[Tensor], inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
    """Put one event of each of M lanes before the earlier ones, `state` in place.

    inputs (M,) int64 items; restarts (M,) bool; source (M,) int64, the row of `state` that each
    lane goes on from. Returns (M, events) int32: items, the most recent first, then -1.
    """
    (before,) = state
    after = torch.empty(len(inputs), before.shape[1], dtype=torch.int32)
    after[:, 0] = inputs
    after[:, 1:] = before[source, :-1]
    after[:, 1:].masked_fill_(restarts[:, None], -1)
    state[:] = [after]
    return after
