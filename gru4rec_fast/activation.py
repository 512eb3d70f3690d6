"""Activation functions by the names that users give them, as 'elu-0.5' (SPEC section 3)."""

from __future__ import annotations

import math
from typing import NamedTuple

PARAMETERS = {"linear": 0, "relu": 0, "tanh": 0, "leaky": 1, "elu": 1, "selu": 2}
"""Name -> how many numbers follow it."""
EXPECTED = "'linear', 'relu', 'tanh', 'leaky-<a>', 'elu-<a>' or 'selu-<lambda>-<alpha>'"


class Activation(NamedTuple):
    """A function of one number: its name in PARAMETERS and its parameters, finite and >= 0."""

    name: str = "linear"
    parameters: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Activation:
        """The activation that `text` names; 'elu-0' is linear.

        Raises:
            ValueError: no such name, or other parameters than it takes.
        """
        name, *numbers = text.strip().lower().split("-")
        parameters = tuple(float(number) for number in numbers)
        if PARAMETERS.get(name) != len(parameters):
            raise ValueError(f"{text!r} is no activation; expected {EXPECTED}")
        if not all(math.isfinite(x) and x >= 0 for x in parameters):
            raise ValueError(f"{text!r} has a parameter below 0; expected {EXPECTED}")
        return cls() if (name, parameters) == ("elu", (0.0,)) else cls(name, parameters)

    @classmethod
    def tanh(cls) -> Activation:
        """The hyperbolic tangent."""
        return cls("tanh")

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{x:g}" for x in self.parameters)])
