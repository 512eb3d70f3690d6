"""Uploads planned blocks to the device ahead of their use.

The host packs a block into pinned memory. A side stream copies it to a staging buffer on the device
while the block before it still trains. A last copy, in the stream of the training, moves it from
there to the records that the kernels and the CUDA graphs read. There are two staging buffers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gru4rec_fast.kernels.device_block import DeviceBlock, pack_block

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gru4rec_fast.plan.block import StepBlock


class BlockUpload:
    """Fills the records of a `DeviceBlock` on a CUDA or ROCm device."""

    def __init__(self, block: DeviceBlock) -> None:
        self.block = block
        shape = block.records.shape
        self.host = [torch.zeros(shape, dtype=torch.int32, pin_memory=True) for _ in range(2)]
        device = block.records.device
        self.staged = [torch.zeros(shape, dtype=torch.int32, device=device) for _ in range(2)]
        self.device, self.stream = device, torch.cuda.Stream(device)
        # An event belongs to the device of the stream that records it first: never the current one.
        self.sent = [torch.cuda.Event() for _ in range(2)]
        self.used = [torch.cuda.Event() for _ in range(2)]
        for event in self.used:  # the side stream must not overtake the zeros above
            event.record(torch.cuda.current_stream(device))
        self.turn = 0

    def send(self, block: StepBlock, learning_rates: NDArray[np.float64] | None = None) -> None:
        """Queue the upload in the device's current stream; returns before the block has arrived.

        Raises:
            ValueError: the block has more steps or unique rows than there is room for.
        """
        i, steps, target = self.turn, len(block), self.block
        self.turn = 1 - i
        # Waits only if the host is two blocks ahead of the copies.
        self.sent[i].synchronize()
        host, staged = self.host[i], self.staged[i]
        pack_block(block, target.rows, host.numpy(), learning_rates)
        with torch.cuda.stream(self.stream):
            self.stream.wait_event(self.used[i])
            staged[:steps].copy_(host[:steps], non_blocking=True)
            self.sent[i].record(self.stream)
        current = torch.cuda.current_stream(self.device)
        current.wait_event(self.sent[i])
        target.records[:steps].copy_(staged[:steps])
        self.used[i].record(current)
