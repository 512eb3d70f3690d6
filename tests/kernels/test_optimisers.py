"""The optimisers' update of some rows of a table against the reference."""

from __future__ import annotations

import pytest
import torch

from gru4rec_fast import reference
from gru4rec_fast.config import Config
from gru4rec_fast.kernels.optimisers import OPTIMISERS
from gru4rec_fast.kernels.parameter import Parameter
from gru4rec_fast.kernels.row_update import update_rows


@pytest.mark.parametrize("momentum", [0.0, 0.3])
@pytest.mark.parametrize(("n_rows", "width"), [(1, 1), (7, 33), (130, 20), (0, 4)])
def test_rows_are_updated_and_no_others(
    n_rows: int, width: int, momentum: float, device: torch.device
) -> None:
    torch.manual_seed(0)
    theta, a, m = torch.randn(3, 200, width).abs()
    rows = torch.randperm(200)[:n_rows]
    g = torch.randn(n_rows, width)
    truth = [t.double() for t in (theta, a, m)]
    reference.sparse_adagrad(
        truth[0], truth[1], truth[2] if momentum else None, rows, g.double(), 0.1, momentum
    )
    ours = [t.clone().to(device) for t in (theta, a, m)]
    table = Parameter(ours[0], tuple(ours[1:]) if momentum else (ours[1],))
    update = OPTIMISERS["adagrad"].of(Config(learning_rate=0.1, momentum=momentum))
    update_rows(table, rows.to(device), g.to(device), update)
    for got, want in zip(ours, truth, strict=True):
        torch.testing.assert_close(got.cpu().double(), want, rtol=1e-5, atol=1e-6)


def test_a_gradient_of_another_shape_is_named(device: torch.device) -> None:
    table, rows = torch.zeros(5, 4, device=device), torch.zeros(2, dtype=torch.int64, device=device)
    update = OPTIMISERS["adagrad"].of(Config())
    with pytest.raises(ValueError, match=r"g is \(3, 4\) .* expected a contiguous \(2, 4\)"):
        update_rows(Parameter(table, (table,)), rows, torch.zeros(3, 4, device=device), update)
    with pytest.raises(
        ValueError, match=r"state\[0\] is \(5, 3\) .* expected a contiguous \(5, 4\)"
    ):
        update_rows(
            Parameter(table, (torch.zeros(5, 3, device=device),)), rows,
            torch.zeros(2, 4, device=device), update,
        )  # fmt: skip
