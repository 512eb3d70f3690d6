"""Sends planned blocks to the device ahead of their use.

A block is packed into pinned memory and copied on a side stream to a place of its own, while the
block before it still trains; only the last copy, from there to the records that the kernels (and
the CUDA graph) read, takes its turn in the stream of the training. Two blocks are in flight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from gru4rec_fast.kernels.step_plan import StepPlan, pack_block, record_words

if TYPE_CHECKING:
    from gru4rec_fast.planning import StepBlock


class BlockUpload:
    """Fills the records and the clock of a plan on a CUDA or ROCm device, block after block."""

    def __init__(self, plan: StepPlan) -> None:
        self.plan = plan
        # a row more than the block has steps carries the clock
        shape = (len(plan.records) + 1, record_words(plan.lanes, plan.rows))
        self.host = [torch.zeros(shape, dtype=torch.int32, pin_memory=True) for _ in range(2)]
        device = plan.records.device
        self.staged = [torch.zeros(shape, dtype=torch.int32, device=device) for _ in range(2)]
        self.stream = torch.cuda.Stream(device)
        self.sent = [torch.cuda.Event() for _ in range(2)]
        self.used = [torch.cuda.Event() for _ in range(2)]
        for event in self.used:
            event.record()  # the side stream must not overtake the zeros above
        self.turn = 0

    def send(self, block: StepBlock) -> None:
        """Queue a block for the current stream; returns before it has arrived."""
        i, steps, plan = self.turn, len(block), self.plan
        self.turn = 1 - i
        # Waits only if the host is two blocks ahead of the copy engine.
        self.sent[i].synchronize()
        host, staged = self.host[i], self.staged[i]
        words = host.numpy()
        pack_block(block, plan.rows, words[1:])
        words[0, :4] = np.array([0, block.first_step], dtype=np.int64).view(np.int32)
        with torch.cuda.stream(self.stream):
            self.stream.wait_event(self.used[i])
            staged[: steps + 1].copy_(host[: steps + 1], non_blocking=True)
            self.sent[i].record(self.stream)
        current = torch.cuda.current_stream()
        current.wait_event(self.sent[i])
        plan.next.copy_(staged[0, :4].view(torch.int64))
        plan.records[:steps].copy_(staged[1 : steps + 1])
        self.used[i].record(current)
