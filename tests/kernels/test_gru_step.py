"""The differentiable GRU step against torch's cell in float64."""

from __future__ import annotations

import pytest
import torch

from gru4rec_fast.kernels.functional import gru_step


@pytest.mark.parametrize(
    ("lanes", "inputs", "units"), [(1, 1, 1), (5, 20, 20), (7, 13, 33), (70, 48, 17)]
)
def test_step_and_every_gradient(lanes: int, inputs: int, units: int, device: torch.device) -> None:
    torch.manual_seed(0)
    cell = torch.nn.GRUCell(inputs, units).double()
    x = torch.randn(lanes, inputs, dtype=torch.float64, requires_grad=True)
    h = torch.randn(lanes, units, dtype=torch.float64, requires_grad=True)
    weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
    truth = [x, h, *weights]
    expected = cell(x, h)
    d = torch.randn_like(expected)
    gradients = torch.autograd.grad(expected, truth, d)

    ours = [t.detach().float().to(device).requires_grad_() for t in truth]
    our_x, our_h, w_ih, w_hh, b_ih, b_hh = ours
    new = gru_step(our_x, our_h, w_ih, w_hh, b_ih, b_hh, precision="ieee")
    torch.testing.assert_close(new.cpu().double(), expected, rtol=0, atol=1e-6)
    computed = torch.autograd.grad(new, ours, d.float().to(device))
    for got, want in zip(computed, gradients, strict=True):
        torch.testing.assert_close(got.cpu().double(), want, rtol=1e-5, atol=2e-5)


def test_a_tensor_of_another_shape_is_named(device: torch.device) -> None:
    w = torch.zeros(9, 4, device=device)
    b = torch.zeros(9, device=device)
    x, h = torch.zeros(2, 4, device=device), torch.zeros(2, 3, device=device)
    with pytest.raises(ValueError, match=r"w_hh is \(9, 4\) .* expected a contiguous \(9, 3\)"):
        gru_step(x, h, w, w, b, b)
