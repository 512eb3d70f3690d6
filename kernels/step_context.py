"""What every launch of a training step needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gru4rec_fast.kernels.dependent_launch import LAUNCH_OPTION

if TYPE_CHECKING:
    from gru4rec_fast.kernels._tuning import Tiles
    from gru4rec_fast.kernels.device_block import DeviceBlock
    from gru4rec_fast.kernels.optimisers import Update


@dataclass(frozen=True)
class StepContext:
    """The block on the device, and the options that all launches of a step share."""

    block: DeviceBlock
    seed: int
    """Of the dropout masks."""
    tiles: Tiles
    precision: str
    """Of the products, 'tf32' or 'ieee'."""
    update: Update | None = None
    """The optimiser; None where kernels write gradients and do not apply them."""
    dependent: bool = False
    """Whether kernels are launched as `dependent_launch` says."""

    @property
    def launch(self) -> dict[str, bool]:
        """Constants and options of every launch."""
        options = {LAUNCH_OPTION: True} if self.dependent else {}
        return {"DEPENDENT": self.dependent, **options}
