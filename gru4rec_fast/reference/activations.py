"""The activations, element by element (SPEC section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.activation import Activation

ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "leaky": F.leaky_relu,
    "elu": F.elu,
    "selu": lambda x, scale, alpha: scale * F.elu(x, alpha),
}
"""By the names of `activation.PARAMETERS`; each takes x, then its parameters."""


def activate(x: Tensor, activation: Activation) -> Tensor:
    """The activation of every element of x."""
    return ACTIVATIONS[activation.name](x, *activation.parameters)
