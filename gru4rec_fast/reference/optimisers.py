"""The optimisers: what a parameter's gradient does to it, for whole parameters and touched rows.

A rule scales the gradient g to ĝ (SPEC section 6). Then, with learning rate η, L2 weight λ and
momentum μ:

    d = η (ĝ + λ θ);    v = μ v - d, θ += v  (with momentum)    θ -= d  (without)

Of an item table a step updates the touched rows only, their optimiser state too. A row's gradient
comes in summed over its occurrences.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from gru4rec_fast.config import Config

OPTIMISER_EPSILON = 1e-6


class Optimiser(ABC):
    """A rule with the learning rate, momentum and L2 weight of `config`.

    The state of a parameter belongs to whoever trains it. A subclass is one rule.
    """

    name: ClassVar[str]
    """By which Config and engines know it."""
    states: ClassVar[dict[str, str]] = {}
    """What the rule keeps for a parameter: name -> 'element' (of the parameter's shape) or 'row'
    (one number a row; an element of a vector is a row)."""
    zeros: Callable[[Tensor, Sequence[int], torch.dtype | None], Tensor] | None = None
    """Makes a table of the state, zeros, like a parameter, of a shape and type; None leaves that to
    the engine."""

    def __init__(self, config: Config) -> None:
        self.learning_rate = config.learning_rate
        self.momentum = config.momentum
        self.l2 = config.lmbd
        self.parameters = config.optimiser_parameters

    @property
    def state_kinds(self) -> dict[str, str]:
        """Name -> 'element' or 'row' of all state, that of momentum included."""
        return {**self.states, "momentum": "element"} if self.momentum > 0 else self.states

    @abstractmethod
    def scaled(self, g: Tensor, state: Sequence[Tensor]) -> Tensor:
        """ĝ, from the gradient and the state of the rule, which is updated in place."""

    def update(self, theta: Tensor, state: Sequence[Tensor], g: Tensor) -> None:
        """Update theta and its state, zeros at first, in place by the gradient g of its shape."""
        step = self.learning_rate * (self.scaled(g, state) + self.l2 * theta)
        if self.momentum > 0:
            velocity = state[-1]
            velocity *= self.momentum
            velocity -= step
            theta += velocity
        else:
            theta -= step


class Sgd(Optimiser):
    """ĝ = g."""

    name = "sgd"

    def scaled(self, g: Tensor, state: Sequence[Tensor]) -> Tensor:  # noqa: ARG002
        """`Optimiser.scaled`."""
        return g


class Adagrad(Optimiser):
    """a += g²; ĝ = g / √(a + ε) (Duchi et al. 2011)."""

    name = "adagrad"
    states: ClassVar = {"accumulator": "element"}

    def scaled(self, g: Tensor, state: Sequence[Tensor]) -> Tensor:
        """`Optimiser.scaled`."""
        a = state[0]
        a += g**2
        return g / torch.sqrt(a + OPTIMISER_EPSILON)


class AdagradRowwise(Optimiser):
    """a += mean of g² over the row; ĝ = g / √(a + ε): one number a row, for huge catalogues."""

    name = "adagrad-rowwise"
    states: ClassVar = {"accumulator": "row"}

    def scaled(self, g: Tensor, state: Sequence[Tensor]) -> Tensor:
        """`Optimiser.scaled`."""
        a = state[0]
        a += (g**2).mean(dim=1, keepdim=True) if g.dim() > 1 else g**2
        return g / torch.sqrt(a + OPTIMISER_EPSILON)


class RmsProp(Optimiser):
    """a = ρ a + (1 - ρ) g²; ĝ = g / √(a + ε)."""

    name = "rmsprop"
    states: ClassVar = {"accumulator": "element"}

    def scaled(self, g: Tensor, state: Sequence[Tensor]) -> Tensor:
        """`Optimiser.scaled`."""
        (a, *_), (rho,) = state, self.parameters
        a *= rho
        a += (1 - rho) * g**2
        return g / torch.sqrt(a + OPTIMISER_EPSILON)


class Adadelta(Optimiser):
    """a = ρ a + (1 - ρ) g²; s = (u + ε) / (a + ε); u = ρ u + (1 - ρ) s g²; ĝ = g √s.

    Zeiler 2012. The learning rate is 1.
    """

    name = "adadelta"
    states: ClassVar = {"accumulator": "element", "update": "element"}

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.learning_rate = 1.0

    def scaled(self, g: Tensor, state: Sequence[Tensor]) -> Tensor:
        """`Optimiser.scaled`."""
        (a, u, *_), (rho,) = state, self.parameters
        a *= rho
        a += (1 - rho) * g**2
        scale = (u + OPTIMISER_EPSILON) / (a + OPTIMISER_EPSILON)
        u *= rho
        u += (1 - rho) * scale * g**2
        return g * torch.sqrt(scale)


class Adam(Optimiser):
    """m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²; ĝ = m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε).

    Kingma & Ba 2015. t counts the steps that touched the row.
    """

    name = "adam"
    states: ClassVar = {"mean": "element", "variance": "element", "steps": "row"}

    def scaled(self, g: Tensor, state: Sequence[Tensor]) -> Tensor:
        """`Optimiser.scaled`."""
        (m, v, t, *_), (beta1, beta2) = state, self.parameters
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g**2
        t += 1
        return m / (1 - beta1**t) / (torch.sqrt(v / (1 - beta2**t)) + OPTIMISER_EPSILON)


OPTIMISERS: dict[str, type[Optimiser]] = {
    rule.name: rule for rule in (Sgd, Adagrad, AdagradRowwise, RmsProp, Adadelta, Adam)
}


def update_rows(
    optimiser: Optimiser,
    theta: Tensor,
    state: Sequence[Tensor],
    rows: Tensor,
    g: Tensor,
    rounded: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> None:
    """Update the unique `rows` (U,) of a table (V, H) by their summed gradients g (U, H).

    No other row of the table or of its state is read or written. A table in bfloat16 is computed in
    the type of g, and written as `rounded(values, rows)`.
    """
    theta_rows = theta[rows].to(g.dtype)
    state_rows = [table[rows] for table in state]
    optimiser.update(theta_rows, state_rows, g)
    theta[rows] = theta_rows if rounded is None else rounded(theta_rows, rows)
    for table, updated in zip(state, state_rows, strict=True):
        table[rows] = updated


def cap_gradients(gradients: Sequence[Tensor], cap: float) -> None:
    """Scale all gradients of a step by cap / norm, in place, if their common norm reaches the cap.

    Rows of tables come summed over their occurrences.
    """
    norm = torch.sqrt(torch.stack([(g.double() ** 2).sum() for g in gradients]).sum())
    if norm >= cap:
        for g in gradients:
            g *= (cap / norm).to(g.dtype)
