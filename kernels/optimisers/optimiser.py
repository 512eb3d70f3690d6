"""What an optimiser gives to the kernels that apply it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast import reference


class UpdateOptions(NamedTuple):
    """The numbers of an update, float32, as one run-time argument of a kernel."""

    learning_rate: tuple[float, ...]
    """(eta,), or () where a schedule gives each step its rate, in the step's record."""
    momentum: float
    l2: tuple[float, ...]
    """(weight,), or () without L2: kernels without it have no trace of it."""
    constants: tuple[float, ...]
    """`Optimiser.constants`."""


class Update(NamedTuple):
    """An optimiser with the values of its options, as kernels take it."""

    function: Any
    """Compile-time argument UPDATE: `Optimiser.update`."""
    options: UpdateOptions
    row_state: int | None = None
    """Compile-time argument ROW_STATE: `Optimiser.row_state`."""


def no_constants(*_: float) -> tuple[float, ...]:
    """Of a rule without numbers of its own."""
    return ()


@dataclass(frozen=True)
class Optimiser:
    """An optimiser as a compile-time part of a kernel.

    The names and kinds of its state tables are those of the reference's class of the same name.
    """

    update: Any
    """Jit function (states, g, rate, options, WIDTH) -> step, new states.

    states: tuple of the elements' state tables; g: their gradient; rate: eta; options:
    `UpdateOptions`. The step is -eta g^, to which `step.update_tile` adds what L2 and momentum do,
    and which it applies. With a state of rows, the tiles are (rows, columns) with all WIDTH columns
    of each row, and maybe padding; the state of rows is (rows, 1).
    """
    row_state: int | None = None
    """Which state table keeps one number a row; `row_update` must apply such a rule, see there."""
    constants: Callable[..., tuple[float, ...]] = no_constants
    """The reference's `parameters` -> `UpdateOptions.constants`, computed in float64."""

    @property
    def whole_rows(self) -> bool:
        """Whether a program must have all columns of a row."""
        return self.row_state is not None

    def of(self, optimiser: reference.Optimiser, scheduled: bool = False) -> Update:
        """The update with the options of an optimiser; `scheduled`: by the rates in the records."""
        rate = () if scheduled else (float(optimiser.learning_rate),)
        l2 = (float(optimiser.l2),) if optimiser.l2 > 0 else ()
        constants = self.constants(*optimiser.parameters)
        options = UpdateOptions(rate, float(optimiser.momentum), l2, constants)
        return Update(self.update, options, self.row_state)
