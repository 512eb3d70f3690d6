"""One message from each rank to each other one, in buffers that are kept from step to step.

Fresh memory of some megabytes costs about as much as to copy into it, since the operating system
clears each of its pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.distributed.ranks import Ranks

Piece = tuple["Tensor", "Tensor | None"]
"""A tensor, and which of its rows are sent: None for all of them."""


class Mailbox:
    """The messages of a rank; all ranks exchange them together."""

    def __init__(self, ranks: Ranks, dtype: torch.dtype) -> None:
        self._ranks = ranks
        self._sent, self._received = (torch.empty(0, dtype=dtype) for _ in range(2))

    def exchange(
        self,
        messages: Sequence[Sequence[Piece]],
        shapes: Sequence[Sequence[tuple[int, ...]]],
    ) -> list[list[Tensor]]:
        """Give each rank its message, and return those of all ranks for this one.

        messages[d] is for rank d, and shapes[s] are those of what rank s sends. What comes back is
        valid until the next exchange. A rank sends nothing to itself: both are then empty.
        """
        send = [
            sum(len(source if rows is None else rows) * source[0].numel() for source, rows in each)
            for each in messages
        ]
        sizes = [[torch.Size(shape).numel() for shape in each] for each in shapes]
        receive = [sum(each) for each in sizes]
        self._sent = _room(self._sent, sum(send))
        self._received = _room(self._received, sum(receive))
        at = 0
        for message in messages:
            for source, rows in message:
                n = len(source if rows is None else rows)
                if n == 0:
                    continue
                end = at + n * source[0].numel()
                target = self._sent[at:end].view(n, *source.shape[1:])
                if rows is None:
                    target.copy_(source)
                else:
                    torch.index_select(source, 0, rows, out=target)
                at = end
        received = self._received[: sum(receive)]
        self._ranks.all_to_all(received, self._sent[:at], receive, send)
        found, at = [], 0
        for each in shapes:
            parts = []
            for shape in each:
                end = at + torch.Size(shape).numel()
                parts.append(received[at:end].view(shape))
                at = end
            found.append(parts)
        return found


def _room(buffer: Tensor, size: int) -> Tensor:
    """A buffer of at least that many elements, with some to spare if it is a new one."""
    return buffer if len(buffer) >= size else buffer.new_empty(size + size // 8)
