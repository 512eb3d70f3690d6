"""The losses: against torch's own, the papers' formulas in plain loops, and gradcheck."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from gru4rec_fast import reference
from gru4rec_fast.activation import Activation
from gru4rec_fast.config import LOSSES, Config
from tests.tensors import EXACT, random


def test_cross_entropy_is_torchs() -> None:
    s = random(4, 9)
    expected = F.cross_entropy(s, torch.arange(4), reduction="none")
    torch.testing.assert_close(reference.cross_entropy(s), expected, **EXACT)


def test_cross_entropy_stays_finite_at_extreme_scores() -> None:
    s = torch.tensor([[-500.0, 500.0]], dtype=torch.float64)
    assert float(reference.cross_entropy(s)) == pytest.approx(-math.log(1e-24))


@pytest.mark.parametrize("bpreg", [0.0, 1.5])
def test_bpr_max_is_the_papers_formula(bpreg: float) -> None:
    s = random(3, 6)
    for i in range(3):
        negatives = [j for j in range(6) if j != i]
        total = sum(math.exp(s[i, j]) for j in negatives)
        w = {j: math.exp(s[i, j]) / total for j in negatives}
        likelihood = sum(w[j] / (1 + math.exp(s[i, j] - s[i, i])) for j in negatives)
        expected = -math.log(likelihood) + bpreg * sum(w[j] * s[i, j] ** 2 for j in negatives)
        assert float(reference.bpr_max(s, bpreg)[i]) == pytest.approx(float(expected), rel=1e-12)


def test_label_smoothing_is_a_target_distribution() -> None:
    """The positive column has probability 1 - e, each other e / (N - 1)."""
    s, e, n = random(3, 6), 0.2, 6
    target = torch.full((3, n), e / (n - 1), dtype=torch.float64)
    target.fill_diagonal_(1 - e)
    expected = F.cross_entropy(s, target, reduction="none")
    torch.testing.assert_close(reference.cross_entropy(s, e), expected, **EXACT)


def test_bpr_and_top1_are_the_papers_formulas() -> None:
    s = random(3, 6)

    def sigma(x: Tensor) -> float:
        return 1 / (1 + math.exp(-float(x)))

    for i in range(3):
        bpr = sum(-math.log(sigma(s[i, i] - s[i, j])) for j in range(6))
        assert float(reference.bpr(s)[i]) == pytest.approx(bpr, rel=1e-12)
        terms = [sigma(s[i, j] - s[i, i]) + sigma(s[i, j] ** 2) for j in range(6)]
        top1 = sum(terms) / 6 - sigma(s[i, i] ** 2) / 6
        assert float(reference.top1(s)[i]) == pytest.approx(top1, rel=1e-12)
        weights = [math.exp(s[i, j]) if j != i else 0.0 for j in range(6)]
        top1_max = sum(w * t for w, t in zip(weights, terms, strict=True)) / sum(weights)
        assert float(reference.top1_max(s)[i]) == pytest.approx(top1_max, rel=1e-12)


def test_logq_takes_support_of_targets_and_smoothed_support_of_samples() -> None:
    s, support = random(2, 5), torch.tensor([1, 10, 100, 1000])
    columns = torch.tensor([1, 3, 3, 0, 2])
    corrected = reference.correct_logq(s, support, columns, logq=0.7, alpha=0.5)
    q = torch.tensor([10, 1000, 1000**0.5, 1, 100**0.5], dtype=torch.float64)
    torch.testing.assert_close(corrected, s - 0.7 * torch.log(q), **EXACT)


def test_config_and_reference_name_the_same_losses() -> None:
    assert set(LOSSES) == set(reference.LOSSES)


@pytest.mark.parametrize("act", ["linear", "tanh", "relu", "leaky-0.1", "elu-0.5", "selu-1.1-1.7"])
@pytest.mark.parametrize("loss", reference.LOSSES)
def test_losses_have_the_gradients_of_their_values(loss: str, act: str) -> None:
    """float64 gradients against finite differences."""
    config = Config(loss=loss, bpreg=1.3, smoothing=0.1 if loss == "cross-entropy" else 0.0)
    activation = Activation.parse(act)
    s = random(3, 7).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: reference.LOSSES[loss](reference.activate(x, activation), config), (s,)
    )


def test_activations_by_hand() -> None:
    x = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    e = math.exp(-1) - 1
    for text, expected in {
        "linear": [-1, 0, 2],
        "relu": [0, 0, 2],
        "tanh": [math.tanh(-1), 0, math.tanh(2)],
        "leaky-0.3": [-0.3, 0, 2],
        "elu-0.5": [0.5 * e, 0, 2],
        "selu-1.5-0.5": [1.5 * 0.5 * e, 0, 3],
    }.items():
        found = reference.activate(x, Activation.parse(text))
        assert found.tolist() == pytest.approx(expected, rel=1e-12)
