"""A block's losses on their way from the device to the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class PendingLosses:
    """The losses (T,) of a block, whose copy is queued directly behind the block.

    A copy that is asked for only when the losses are read would be queued behind the next block's
    steps, and the host would wait for these too. Then the device has nothing to do until the host
    has packed and launched the block after that.
    """

    def __init__(self, losses: Tensor) -> None:
        self._losses, self._copied = losses, None
        if losses.is_cuda:
            stream = torch.cuda.current_stream(losses.device)
            self._losses = torch.empty(losses.shape, dtype=losses.dtype, pin_memory=True)
            with torch.cuda.stream(stream):
                self._losses.copy_(losses, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record(stream)

    def numpy(self) -> NDArray[np.float64]:
        """The losses in float64; waits for this block and for no later one."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._losses.double().numpy()
