"""Whether a model's parameters mean anything: a training that diverged leaves NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from gru4rec_fast.reference import Parameters


HALF_EXPONENT = np.int16(0x7F80)
"""Of a number in bfloat16; all its bits are set in NaN and infinity."""


def require_finite(parameters: Parameters) -> None:
    """Refuse parameters whose scores would mean nothing.

    Raises:
        ArithmeticError: one holds NaN or infinity.
    """
    for name, parameter in parameters.items():
        if not is_finite(parameter):
            raise ArithmeticError(
                f"the model's {name} holds NaN or infinity; expected finite weights. "
                "Train it again with a lower learning_rate"
            )


def largest(parameters: Mapping[str, Tensor], n: int = 3) -> str:
    """The n parameters with the largest magnitudes, those with NaN or infinity first, as text."""
    return described({name: magnitude(value) for name, value in parameters.items()}, n)


class Magnitude(NamedTuple):
    """Of a parameter."""

    bad: int
    """How many of its numbers are NaN or infinite."""
    most: float
    """The largest absolute value of the others."""


def magnitude(parameter: Tensor) -> Magnitude:
    """Of a tensor's numbers; 0 where there are none."""
    finite = torch.isfinite(parameter)
    values = parameter[finite].abs()
    most = float(values.max()) if values.numel() else 0.0
    return Magnitude(parameter.numel() - int(finite.sum()), most)


def described(magnitudes: Mapping[str, Magnitude], n: int = 3) -> str:
    """`largest`, of magnitudes."""
    found = sorted(((*m, name) for name, m in magnitudes.items()), reverse=True)
    return ", ".join(
        f"{name} {most:.3g}" + (f" and {bad} that are NaN or infinite" if bad else "")
        for bad, most, name in found[:n]
    )


def is_finite(x: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity."""
    if x.device.type != "cpu":
        return bool(torch.isfinite(x).all())
    # Without PyTorch, which may share such work among threads: in a process forked from one that
    # did, it would wait for threads that are not there.
    half = x.dtype == torch.bfloat16
    values = (x.detach().view(torch.int16) if half else x.detach()).numpy()
    # In shares of some rows, because NumPy makes an array of the answers.
    rows = max(1, 2**16 // max(1, values[:1].size))
    shares = (values[r : r + rows] for r in range(0, len(values), rows))
    if half:
        return all((share & HALF_EXPONENT != HALF_EXPONENT).all() for share in shares)
    return all(np.isfinite(share).all() for share in shares)
