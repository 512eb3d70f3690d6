"""The losses: against torch's own, the papers' formulas in plain loops, and gradcheck."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from gru4rec_fast import reference
from gru4rec_fast.config import LOSSES
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


def test_elu_of_parameter_zero_is_linear() -> None:
    s = random(2, 5)
    assert torch.equal(reference.elu(s, 0.0), s)
    assert float(reference.elu(torch.tensor([-1.0]), 0.5)) == pytest.approx(
        0.5 * (math.exp(-1) - 1)
    )


def test_logq_takes_support_of_targets_and_smoothed_support_of_samples() -> None:
    s, support = random(2, 5), torch.tensor([1, 10, 100, 1000])
    columns = torch.tensor([1, 3, 3, 0, 2])
    corrected = reference.correct_logq(s, support, columns, logq=0.7, alpha=0.5)
    q = torch.tensor([10, 1000, 1000**0.5, 1, 100**0.5], dtype=torch.float64)
    torch.testing.assert_close(corrected, s - 0.7 * torch.log(q), **EXACT)


def test_config_and_reference_name_the_same_losses() -> None:
    assert set(LOSSES) == set(reference.LOSSES)


def test_losses_have_the_gradients_of_their_values() -> None:
    """float64 gradients against finite differences."""
    s = random(3, 7).requires_grad_()
    assert torch.autograd.gradcheck(reference.cross_entropy, (s,))
    assert torch.autograd.gradcheck(lambda x: reference.bpr_max(reference.elu(x, 0.5), 1.3), (s,))
