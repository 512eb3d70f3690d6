"""The modules for other PyTorch models, on the CPU; their kernels are tested in tests/kernels."""

from __future__ import annotations

import pytest
import torch

from gru4rec_fast import reference
from gru4rec_fast.config import Config
from gru4rec_fast.nn import GRUStep, SampledLoss


@pytest.mark.parametrize("bias", [True, False])
def test_gru_step_is_torchs_cell(bias: bool) -> None:
    cell, ours = torch.nn.GRUCell(5, 7, bias), GRUStep(5, 7, bias)
    ours.load_state_dict(cell.state_dict())
    x, h = torch.randn(3, 5), torch.randn(3, 7)
    torch.testing.assert_close(ours(x, h), cell(x, h))
    torch.testing.assert_close(ours(x), cell(x))


@pytest.mark.parametrize("sparse", [False, True])
def test_sampled_loss_is_the_references(sparse: bool) -> None:
    torch.manual_seed(0)
    support = torch.randint(1, 50, (20,))
    loss = SampledLoss(logq=0.5, sample_alpha=0.3, support=support, sparse=sparse)
    h, w, b = torch.randn(4, 6), torch.randn(20, 6), torch.randn(20, 1)
    targets, negatives = torch.randint(20, (4,)), torch.randint(20, (9,))
    columns = torch.cat([targets, negatives])
    s = reference.scores(h, w[columns], b[columns])
    s = reference.correct_logq(s, support, columns, 0.5, 0.3)
    expected = reference.cross_entropy(s).mean()
    torch.testing.assert_close(loss(h, w, b, targets, negatives), expected)
    w.requires_grad_()
    loss(h, w, b, targets, negatives).backward()
    assert w.grad is not None
    assert w.grad.is_sparse == sparse


@pytest.mark.parametrize("name", ["bpr-max", "top1-max", "bpr", "top1"])
def test_ranking_losses_are_the_references(name: str) -> None:
    torch.manual_seed(0)
    h, w, b = torch.randn(4, 6), torch.randn(20, 6), torch.randn(20, 1)
    targets, negatives = torch.randint(20, (4,)), torch.randint(20, (9,))
    columns = torch.cat([targets, negatives])
    s = reference.scores(h, w[columns], b[columns])
    if name == "bpr-max":
        s = torch.nn.functional.elu(s, alpha=0.7)
    expected = reference.LOSSES[name](s, Config(loss=name, bpreg=0.3)).mean()
    loss = SampledLoss(name, bpreg=0.3, elu_param=0.7)
    torch.testing.assert_close(loss(h, w, b, targets, negatives), expected)


def test_bpr_max_trains_a_model_to_rank_its_targets_first() -> None:
    torch.manual_seed(0)
    items, bias = torch.nn.Embedding(12, 8), torch.nn.Embedding(12, 1)
    loss = SampledLoss("bpr-max", bpreg=0.1, elu_param=0.0)
    h, targets = torch.eye(8)[:4], torch.tensor([3, 5, 7, 9])
    optimiser = torch.optim.Adagrad([items.weight, bias.weight], lr=0.3)
    for _ in range(60):
        optimiser.zero_grad()
        loss(h, items.weight, bias.weight, targets, torch.arange(12)).backward()
        optimiser.step()
    best = reference.scores(h, items.weight, bias.weight).argmax(dim=1)
    assert best.tolist() == targets.tolist()


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match="did you mean 'bpr-max'"):
        SampledLoss("bpr-maxx")
    with pytest.raises(ValueError, match=r"logq is 1\.0; expected support"):
        SampledLoss(logq=1.0)
    assert Config().loss == SampledLoss().config.loss
