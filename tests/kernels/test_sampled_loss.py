"""The differentiable sampled losses against the reference over all columns in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gru4rec_fast import reference
from gru4rec_fast.config import Config
from gru4rec_fast.kernels.functional import sampled_loss
from gru4rec_fast.kernels.sampled_loss import LossOptions

LOSSES: dict[str, dict[str, Any]] = {
    "cross-entropy": {"loss": "cross-entropy"},
    "cross-entropy-logq": {"loss": "cross-entropy", "logq": 0.7, "sample_alpha": 0.4},
    "bpr-max": {"loss": "bpr-max", "elu_param": 0.0, "bpreg": 1.3},
    "cross-entropy-smoothed": {"loss": "cross-entropy", "smoothing": 0.2},
    "cross-entropy-logq-smoothed": {"logq": 0.7, "sample_alpha": 0.4, "smoothing": 0.1},
    "bpr-max-elu": {"loss": "bpr-max", "elu_param": 0.8, "bpreg": 0.5},
    "bpr": {"loss": "bpr"},
    "top1": {"loss": "top1"},
    "top1-max": {"loss": "top1-max", "final_act": "elu-0.5"},
}


def of_reference(truth: list[Tensor], columns: Tensor, support: Tensor, config: Config) -> Tensor:
    h, w, b = truth
    s = reference.scores(h, w[columns], b[columns])
    if config.logq > 0:
        s = reference.correct_logq(s, support, columns, config.logq, config.sample_alpha)
    s = reference.activate(s, config.score_activation)
    return reference.LOSSES[config.loss](s, config).mean()


def check(
    config: Config, lanes: int, units: int, n_items: int, samples: int, device: torch.device,
    scale: float = 1.0, sparse: bool = False,
) -> None:  # fmt: skip
    torch.manual_seed(3)
    shapes = ((lanes, units), (n_items, units), (n_items, 1))
    truth = [scale * torch.randn(shape, dtype=torch.float64) for shape in shapes]
    truth = [t.requires_grad_() for t in truth]
    targets = torch.randint(n_items, (lanes,))
    negatives = torch.randint(n_items, (samples,))
    support = torch.randint(1, 100, (n_items,))
    expected = of_reference(truth, torch.cat([targets, negatives]), support, config)
    gradients = torch.autograd.grad(expected, truth)

    ours = [t.detach().float().to(device).requires_grad_() for t in truth]
    h, w, b = ours
    loss = sampled_loss(
        h, w, b, targets.to(device), negatives.to(device), LossOptions.of(config),
        torch.log(support.double()).float().to(device), sparse=sparse, precision="ieee",
    )  # fmt: skip
    torch.testing.assert_close(loss.cpu().double(), expected, rtol=2e-6, atol=1e-6)
    for got, want in zip(torch.autograd.grad(loss, ours), gradients, strict=True):
        dense = got.to_dense() if sparse and got.is_sparse else got
        torch.testing.assert_close(
            dense.cpu().double(), want, rtol=1e-4, atol=2e-6 * want.abs().max().item() + 1e-7
        )


@pytest.mark.parametrize("options", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(
    ("lanes", "units", "n_items", "samples"),
    [
        pytest.param(5, 20, 30, 17, id="small"),
        pytest.param(3, 1, 200, 90, id="one-unit-two-tiles"),
        pytest.param(1, 5, 9, 1, id="one-negative"),
        pytest.param(4, 7, 1, 3, id="one-item"),
        pytest.param(40, 17, 50, 0, id="no-samples"),
    ],
)
def test_loss_and_every_gradient(
    options: dict[str, Any], lanes: int, units: int, n_items: int, samples: int,
    device: torch.device,
) -> None:  # fmt: skip
    check(Config(**options), lanes, units, n_items, samples, device)


@pytest.mark.parametrize("options", LOSSES.values(), ids=LOSSES)
def test_scores_far_apart(options: dict[str, Any], device: torch.device) -> None:
    check(Config(**options), 6, 8, 40, 30, device, scale=3.0)


def test_sparse_gradients_are_those_of_the_touched_rows(device: torch.device) -> None:
    check(Config(), 5, 20, 300, 17, device, sparse=True)


def test_logq_without_support_is_refused(device: torch.device) -> None:
    h, w, b = (torch.zeros(s, device=device) for s in ((2, 4), (9, 4), (9, 1)))
    items = torch.tensor([1, 2], device=device)
    with pytest.raises(ValueError, match="expected log_support"):
        sampled_loss(h, w, b, items, items, LossOptions.of(Config(logq=1.0)))
