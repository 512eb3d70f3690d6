"""Products of bfloat16 parts: the parts, the error of a product, and its gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from gru4rec_fast import reference
from gru4rec_fast.config import PRECISIONS
from gru4rec_fast.reference.products import bfloat16_parts
from tests.tensors import random

U = 2.0**-8
"""The unit roundoff of bfloat16, which has 8 significant bits."""
BOUND = {1: 2 * U + U**2, 2: 3 * U**2 + 2 * U**3 + 2 * U**4}
"""Of |product of parts - product| by the product of the magnitudes (docs/DESIGN-cpu.md)."""


def test_parts_are_bfloat16_numbers_that_add_up() -> None:
    x = random(1000)
    first, second = bfloat16_parts(x, 2)
    for part in (first, second):
        assert torch.equal(part, part.bfloat16().double())
    assert ((x - first).abs() <= U * x.abs()).all()
    assert ((x - first - second).abs() <= U**2 * x.abs()).all()
    assert not torch.equal(first + second, x)


@pytest.mark.parametrize("parts", [1, 2])
def test_the_error_of_a_product_is_within_its_bound_and_near_it(parts: int) -> None:
    a, b = random(40, 3, seed=1), random(3, 50, seed=2)
    error = (reference.product_of_parts(a, b, parts) - a @ b).abs() / (a.abs() @ b.abs())
    assert BOUND[parts] / 5 < error.max() <= BOUND[parts]


def test_both_gradients_are_products_of_parts() -> None:
    x, w, b = (random(*shape).requires_grad_() for shape in ((5, 4), (3, 4), (3,)))
    g = random(5, 3, seed=9)
    for precision, parts in (("high", 2), ("medium", 1)):
        y = reference.LINEAR[precision](x, w, b)
        assert torch.equal(y, reference.product_of_parts(x, w.T, parts) + b)
        d_x, d_w, d_b = torch.autograd.grad(y, (x, w, b), g)
        assert torch.equal(d_x, reference.product_of_parts(g, w, parts))
        assert torch.equal(d_w, reference.product_of_parts(g.T, x, parts))
        assert torch.equal(d_b, g.sum(dim=0))


def test_every_precision_has_its_product() -> None:
    assert set(reference.LINEAR) == set(PRECISIONS)
    x, w = random(5, 4), random(3, 4, seed=1)
    apart = [float((reference.LINEAR[p](x, w, None) - F.linear(x, w)).abs().max())
             for p in ("auto", "highest", "high", "medium")]  # fmt: skip
    assert apart[0] == apart[1] == 0
    assert 0 < 50 * apart[2] < apart[3]
