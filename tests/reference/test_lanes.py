"""Session-parallel mini-batches on the paper's figure, and what a lane carries."""

from __future__ import annotations

import numpy as np
import torch

from gru4rec_fast import reference
from tests.tensors import random


def test_a_lane_carries_the_state_of_its_source_or_restarts_from_zero() -> None:
    state = random(4, 3)
    source, restarts = torch.tensor([2, 0, 3]), torch.tensor([False, True, False])
    carried = reference.carry(state, source, restarts)
    assert torch.equal(carried, torch.stack([state[2], torch.zeros_like(state[0]), state[3]]))


def test_session_parallel_batches_on_the_papers_figure() -> None:
    """Figure 1 of the 2016 paper: five sessions of 4, 2, 6, 3 and 3 events in three lanes."""
    lengths = [4, 2, 6, 3, 3]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = np.concatenate(
        [100 * s + np.arange(n, dtype=np.int32) for s, n in enumerate(lengths, 1)]
    )
    steps = list(reference.session_parallel_batches(items, offsets, np.arange(5), 3))
    assert [step.inputs.tolist() for step in steps] == [
        [100, 200, 300],
        [101, 400, 301],
        [102, 401, 302],
        [500, 303],
        [501, 304],
    ]
    assert [step.targets.tolist() for step in steps][3:] == [[501, 304], [502, 305]]
    assert [step.restarts.tolist() for step in steps] == [
        [1, 1, 1],
        [0, 1, 0],
        [0, 0, 0],
        [1, 0],
        [0, 0],
    ]
    assert [step.source.tolist() for step in steps][3] == [0, 2]
