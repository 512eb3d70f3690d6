"""The engine's vectorised mathematics against float64 over the whole range of float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from gru4rec_fast import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

EXTREMES = np.array(
    [0.0, -0.0, 1e-45, -1e-45, 1.2e-38, 3.4e38, -3.4e38, np.inf, -np.inf, 88.3, 88.8, -87.3, -87.4],
    dtype=np.float32,
)


def every_float(low: float, high: float) -> NDArray[np.float32]:
    """A million floats from low to high: even steps, and every 4099th bit pattern, both signs."""
    patterns = np.arange(0, 0x7F800000, 4099, dtype=np.uint32).view(np.float32)
    x = np.concatenate([np.linspace(low, high, 500_001, dtype=np.float32), patterns, -patterns])
    return x[(x >= low) & (x <= high)]


def logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


LIMITS: list[tuple[str, Callable[[NDArray[np.float64]], NDArray[np.float64]], float, float, float]]
LIMITS = [
    # function, float64, from, to, largest relative error
    ("exp", np.exp, -87.33, 88.37, 1.0e-7),
    ("logistic", logistic, -87.0, 3.4e38, 2.5e-7),
    ("tanh", np.tanh, -3.4e38, 3.4e38, 2.5e-7),
    ("log", np.log, 1.2e-38, 3.4e38, 2.0e-7),
    ("reciprocal_root", lambda x: 1 / np.sqrt(x), 1e-30, 1e38, 3.0e-7),
    ("log_one_plus", np.log1p, 0.0, 1.0, 2.0e-7),
    ("exp_minus_one", np.expm1, -87.0, 88.37, 3.0e-7),
]


@pytest.mark.parametrize(("function", "exact", "low", "high", "limit"), LIMITS)
def test_errors_are_as_stated(
    instruction_set: str,
    function: str,
    exact: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    low: float,
    high: float,
    limit: float,
) -> None:
    x = every_float(low, high)
    with np.errstate(over="ignore"):
        truth = exact(x.astype(np.float64))
    error = np.abs(_core.vector_math(function, x) - truth)
    # A result below the normal floats may be any of them, or zero.
    relative = error / np.maximum(np.abs(truth), 1.2e-38)
    assert relative.max() <= limit, (x[relative.argmax()], relative.max())


@pytest.mark.parametrize(
    ("function", "limits"), [("exp", (0, np.inf)), ("logistic", (0, 1)), ("tanh", (-1, 1))]
)
def test_extremes(instruction_set: str, function: str, limits: tuple[float, float]) -> None:
    y = _core.vector_math(function, EXTREMES)
    assert not np.isnan(y).any()
    assert y.min() >= limits[0]
    assert y.max() <= limits[1]
    ends = _core.vector_math(function, np.array([-np.inf, np.inf], dtype=np.float32))
    np.testing.assert_array_equal(ends, np.array(limits, dtype=np.float32))
    assert np.isnan(_core.vector_math(function, np.array([np.nan], dtype=np.float32))).all()


def test_an_unknown_function_or_set_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected exp, .* or exp_minus_one"):
        _core.vector_math("sin", EXTREMES)
    with pytest.raises(ValueError, match=r"'mmx' is not available; expected one of .*baseline"):
        _core.use_instruction_set("mmx")
