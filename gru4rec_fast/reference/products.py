"""The matrix products of a training step, in each precision (SPEC section 6).

In 'high' and 'medium' a float is replaced by the sum of its largest bfloat16 parts, two or one. The
parts of two numbers are multiplied exactly, and summed in the precision of the tensors:

    high    x ~ x_1 + x_2    x y ~ x_1 y_1 + x_1 y_2 + x_2 y_1
    medium  x ~ x_1          x y ~ x_1 y_1

A product's gradients are products too, of the same parts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

Linear = Callable[[Tensor, Tensor, "Tensor | None"], Tensor]
"""x (M, K), weight (N, K), bias (N,) or None -> x weight^T + bias; torch.nn.functional.linear."""


def bfloat16_parts(x: Tensor, n: int) -> list[Tensor]:
    """The n bfloat16 numbers, in the type of x and largest first, whose sum is closest to x."""
    parts = []
    for _ in range(n):
        parts.append(x.to(torch.bfloat16).to(x.dtype))
        x = x - parts[-1]
    return parts


def product_of_parts(a: Tensor, b: Tensor, parts: int) -> Tensor:
    """A @ b (M, N) by `parts` bfloat16 parts of each number of a (M, K) and b (K, N).

    Products of parts that are below the last part are left out, small ones are added first.
    """
    a_parts, b_parts = bfloat16_parts(a, parts), bfloat16_parts(b, parts)
    total = torch.zeros(len(a), b.shape[1], dtype=a.dtype, device=a.device)
    for place in reversed(range(parts)):
        for i in range(place + 1):
            total = total + a_parts[i] @ b_parts[place - i]
    return total


class _LinearOfParts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, parts: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.parts = parts
        return product_of_parts(x, weight.T, parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (g,), (x, weight) = gradients, ctx.saved_tensors
        return (
            product_of_parts(g, weight, ctx.parts),
            product_of_parts(g.T, x, ctx.parts),
            None,
        )


def linear_of_parts(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, parts: int) -> Tensor:
    """`Linear` whose three products, of the result and of both gradients, are of bfloat16 parts."""
    y: Tensor = _LinearOfParts.apply(x, weight, parts)  # type: ignore[no-untyped-call]
    return y if bias is None else y + bias


LINEAR: dict[str, Linear] = {
    "auto": F.linear,
    "highest": F.linear,
    "high": partial(linear_of_parts, parts=2),
    "medium": partial(linear_of_parts, parts=1),
}
"""By the names of `config.PRECISIONS`."""
