"""What an optimiser gives to the kernels that apply it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast import reference
    from gru4rec_fast.kernels.device_block import DeviceBlock


class UpdateOptions(NamedTuple):
    """The numbers of an update, float32, as one run-time argument of a kernel."""

    learning_rate: float
    schedule: tuple[Any, ...]
    """Where a schedule gives each step its rate: the records of the block, the counter of the step
    in them, and the words of a record. () without one: kernels have no trace of it then."""
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


def no_constants(*_: float) -> tuple[float, ...]:
    """Of a rule without numbers of its own."""
    return ()


@dataclass(frozen=True)
class Optimiser:
    """An optimiser as a compile-time part of a kernel.

    The names and kinds of its state tables are those of the reference's class of the same name.
    """

    update: Any
    """Jit function that updates a tile: it reads and writes the elements' state and writes theta.

    An element rule is (parameter, at, theta, g, mask, options). parameter: `Parameter` of pointers;
    at: offsets of the elements; theta: their values, which the caller has read already; g: their
    gradient; mask: which elements of the tile exist; options: `UpdateOptions`. All tiles have one
    shape.

    A rule of whole rows is (parameter, row, in_row, at, theta, g, mask, options, WIDTH). The tiles
    are (rows, columns) with all WIDTH columns of each row, and maybe padding; row, in_row (rows,):
    where the row's state of one number is, and whether the row exists.
    """
    whole_rows: bool = False
    """Whether it keeps one number a row, so that `row_update` must apply it, see there."""
    constants: Callable[..., tuple[float, ...]] = no_constants
    """The reference's `parameters` -> `UpdateOptions.constants`, computed in float64."""

    def of(self, optimiser: reference.Optimiser, scheduled: DeviceBlock | None = None) -> Update:
        """The update with the options of an optimiser; by the rates in `scheduled`, if given."""
        schedule: tuple[Any, ...] = ()
        if scheduled is not None:
            records = scheduled.records
            schedule = (records, scheduled.current, records.shape[1])
        l2 = (float(optimiser.l2),) if optimiser.l2 > 0 else ()
        constants = self.constants(*optimiser.parameters)
        options = UpdateOptions(
            float(optimiser.learning_rate), schedule, float(optimiser.momentum), l2, constants
        )
        return Update(self.update, options)
