"""What an optimiser gives to the kernels that apply it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.config import Config


class Update(NamedTuple):
    """An optimiser with the values of its options, as kernels take it."""

    function: Any
    """Compile-time argument UPDATE: `Optimiser.update`."""
    options: tuple[float, ...]
    """run-time argument `update_options`: float32 scalars in the optimiser's order."""


@dataclass(frozen=True)
class Optimiser:
    """An optimiser as a compile-time part of a kernel."""

    update: Any
    """Jit function (parameter, at, theta, g, mask, options) that updates a tile of elements.

    parameter: `Parameter` of pointers; at: offsets of the elements; theta: their values, which the
    caller has read already; g: their gradient; mask: which elements of the tile exist. All tiles
    have one shape. The function reads and writes the elements' state and writes theta.
    """
    options: tuple[str, ...]
    """Names of the `Config` fields that `update` gets as `options`, in this order."""
    state_names: Callable[[Config], tuple[str, ...]]
    """Names of the state tables that it keeps for each parameter, in the order of their use."""

    def of(self, config: Config) -> Update:
        """The update with the options of a configuration."""
        return Update(self.update, tuple(float(getattr(config, name)) for name in self.options))
