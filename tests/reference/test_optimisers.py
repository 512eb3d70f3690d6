"""The optimisers: by hand, and on rows."""

from __future__ import annotations

import math

import pytest
import torch

from gru4rec_fast import reference
from gru4rec_fast.config import Config
from tests.tensors import random


def test_adagrad_with_momentum_by_hand() -> None:
    theta, a, m = (torch.tensor([x], dtype=torch.float64) for x in (1.0, 0.5, -0.2))
    reference.adagrad(theta, a, m, torch.tensor([3.0], dtype=torch.float64), 0.1, 0.9)
    step = 0.9 * -0.2 - 0.1 * 3.0 / math.sqrt(9.5 + 1e-6)
    assert float(a) == pytest.approx(9.5, rel=1e-14)
    assert float(m) == pytest.approx(step, rel=1e-14)
    assert float(theta) == pytest.approx(1.0 + step, rel=1e-14)


def test_update_rows_moves_the_given_rows_only() -> None:
    theta, a, m = random(6, 3), random(6, 3, seed=1).abs(), random(6, 3, seed=2)
    before = [t.clone() for t in (theta, a, m)]
    rows, g = torch.tensor([4, 1]), random(2, 3, seed=3)
    optimiser = reference.Adagrad(Config(learning_rate=0.1, momentum=0.5))
    reference.update_rows(optimiser, theta, [a, m], rows, g)
    others = [0, 2, 3, 5]
    for now, then in zip((theta, a, m), before, strict=True):
        assert torch.equal(now[others], then[others])
        assert not torch.equal(now[rows], then[rows])
    expected = theta_rows, a_rows, m_rows = before[0][rows], before[1][rows], before[2][rows]
    reference.adagrad(theta_rows, a_rows, m_rows, g, 0.1, 0.5)
    for now, then in zip((theta, a, m), expected, strict=True):
        assert torch.equal(now[rows], then)
