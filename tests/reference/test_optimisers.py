"""The optimisers: against torch's own or by hand, on rows, with L2, momentum and a cap."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gru4rec_fast import reference
from gru4rec_fast.config import Config
from tests.tensors import EXACT, random


def optimiser(**options: Any) -> reference.Optimiser:
    config = Config().replace(**options)
    return reference.OPTIMISERS[config.adapt](config)


def zeros(rule: reference.Optimiser, theta: Tensor) -> list[Tensor]:
    """State before the first step."""
    kinds = rule.state_kinds.values()
    return [torch.zeros_like(theta if kind == "element" else theta[:, :1]) for kind in kinds]


def trained(rule: reference.Optimiser, steps: int = 5) -> Tensor:
    """A parameter after some steps of random gradients."""
    theta = random(4, 3)
    state = zeros(rule, theta)
    for step in range(steps):
        rule.update(theta, state, random(4, 3, seed=step + 1))
    return theta


def by_torch(make: Any, steps: int = 5) -> Tensor:
    """The same by an optimiser of torch."""
    theta = random(4, 3).requires_grad_()
    rule = make([theta])
    for step in range(steps):
        theta.grad = random(4, 3, seed=step + 1)
        rule.step()
    return theta.detach()


def test_adagrad_with_momentum_by_hand() -> None:
    theta, a, v = (torch.tensor([x], dtype=torch.float64) for x in (1.0, 0.5, -0.2))
    rule = optimiser(learning_rate=0.1, momentum=0.9, lmbd=0.02)
    rule.update(theta, [a, v], torch.tensor([3.0], dtype=torch.float64))
    step = 0.9 * -0.2 - 0.1 * (3.0 / math.sqrt(9.5 + 1e-6) + 0.02 * 1.0)
    assert float(a) == pytest.approx(9.5, rel=1e-14)
    assert float(v) == pytest.approx(step, rel=1e-14)
    assert float(theta) == pytest.approx(1.0 + step, rel=1e-14)


@pytest.mark.parametrize("lmbd", [0.0, 0.05])
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_sgd_is_torchs(momentum: float, lmbd: float) -> None:
    rule = optimiser(adapt=None, learning_rate=0.1, momentum=momentum, lmbd=lmbd)
    expected = by_torch(lambda p: torch.optim.SGD(p, lr=0.1, momentum=momentum, weight_decay=lmbd))
    torch.testing.assert_close(trained(rule), expected, **EXACT)


def test_adam_is_torchs() -> None:
    rule = optimiser(adapt="adam", learning_rate=0.1, adapt_params=(0.8, 0.95))
    expected = by_torch(lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-6))
    torch.testing.assert_close(trained(rule), expected, **EXACT)


def test_adadelta_is_torchs() -> None:
    rule = optimiser(adapt="adadelta", adapt_params=0.9)
    expected = by_torch(lambda p: torch.optim.Adadelta(p, lr=1.0, rho=0.9, eps=1e-6))
    torch.testing.assert_close(trained(rule), expected, **EXACT)


def test_rmsprop_by_hand() -> None:
    rule = optimiser(adapt="rmsprop", learning_rate=0.1, decay=0.8)
    theta, a = random(4, 3), torch.zeros(4, 3, dtype=torch.float64)
    for step in range(5):
        g = random(4, 3, seed=step + 1)
        a = 0.8 * a + 0.2 * g**2
        theta = theta - 0.1 * g / torch.sqrt(a + 1e-6)
    torch.testing.assert_close(trained(rule), theta, **EXACT)


def test_adagrad_rowwise_keeps_the_mean_square_of_a_row() -> None:
    rule = optimiser(adapt="adagrad-rowwise", learning_rate=0.1)
    theta, a = random(4, 3), torch.zeros(4, 1, dtype=torch.float64)
    for step in range(5):
        g = random(4, 3, seed=step + 1)
        a = a + (g**2).mean(dim=1, keepdim=True)
        theta = theta - 0.1 * g / torch.sqrt(a + 1e-6)
    torch.testing.assert_close(trained(rule), theta, **EXACT)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("adapt", reference.OPTIMISERS)
def test_update_rows_moves_the_given_rows_only(adapt: str, momentum: float) -> None:
    rule = optimiser(adapt=adapt, momentum=momentum, lmbd=0.1)
    theta = random(6, 3)
    tables = [theta, *(random(*t.shape, seed=9).abs() for t in zeros(rule, theta))]
    before = [t.clone() for t in tables]
    rows, g = torch.tensor([4, 1]), random(2, 3, seed=3)
    reference.update_rows(rule, tables[0], tables[1:], rows, g)
    others = [0, 2, 3, 5]
    for now, then in zip(tables, before, strict=True):
        assert torch.equal(now[others], then[others])
        assert not torch.equal(now[rows], then[rows])
    expected = [then[rows] for then in before]
    rule.update(expected[0], expected[1:], g)
    for now, then in zip(tables, expected, strict=True):
        assert torch.equal(now[rows], then)


def test_adam_counts_the_steps_that_touched_a_row() -> None:
    """A row that is touched for the first time in a late step moves as in a first step."""
    rule = optimiser(adapt="adam", learning_rate=0.1)
    theta = torch.zeros(2, 3, dtype=torch.float64)
    state = zeros(rule, theta)
    for step in range(4):
        reference.update_rows(rule, theta, state, torch.tensor([0]), random(1, 3, seed=step))
    reference.update_rows(rule, theta, state, torch.tensor([1]), random(1, 3, seed=9))
    g = random(1, 3, seed=9)[0]
    torch.testing.assert_close(theta[1], -0.1 * g / (g.abs() + 1e-6), **EXACT)


def test_a_cap_scales_all_gradients_by_one_factor() -> None:
    gradients = [random(4, 3), random(5, seed=1)]
    before = [g.clone() for g in gradients]
    norm = float(torch.cat([g.flatten() for g in gradients]).norm())
    reference.cap_gradients(gradients, 2 * norm)
    assert all(torch.equal(*pair) for pair in zip(gradients, before, strict=True))
    reference.cap_gradients(gradients, norm / 2)
    for now, then in zip(gradients, before, strict=True):
        torch.testing.assert_close(now, then / 2, **EXACT)
