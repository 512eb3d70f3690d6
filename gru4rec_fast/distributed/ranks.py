"""The ranks of a process group, and the few ways in which they exchange data.

All ranks call every method at the same time. Each collective counts the bytes that this rank sends
to others, so that docs/SCALING.md can be checked against what happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist

from gru4rec_fast.errors import CheckpointError, DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

T = TypeVar("T")
FIRST = 0
"""The rank that writes files and calls back."""


class Ranks:
    """This process as one of N ranks of the default process group."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.bytes_sent = 0
        """To other ranks, so far."""

    @classmethod
    def current(cls) -> Ranks | None:
        """The ranks of the initialised process group; None where there is none or one of 1."""
        if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
            return None
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes files and calls back."""
        return self.rank == FIRST

    def all_to_all(
        self, received: Tensor, sent: Tensor, receive: Sequence[int], send: Sequence[int]
    ) -> None:
        """Give each rank its part of `sent`; fills `received` with those of all ranks, in order.

        send[d] are the elements for rank d, receive[s] those that come from rank s.
        """
        self.count(sent, sum(send) - send[self.rank])
        dist.all_to_all_single(received, sent, list(receive), list(send))

    def all_gather(self, own: Tensor) -> Tensor:
        """The tensors of all ranks, which have one shape, as (N, ...)."""
        gathered = own.new_empty(self.size, *own.shape)
        self.count(own, own.numel() * (self.size - 1))
        dist.all_gather(list(gathered.unbind()), own)
        return gathered

    def sum(self, own: Tensor) -> Tensor:
        """The sum of the integer tensors of all ranks, which have one shape."""
        total = own.clone()
        self.count(own, 2 * own.numel() * (self.size - 1) // self.size)
        dist.all_reduce(total)
        return total

    def on_first(self, function: Callable[[], T]) -> T:
        """What a function returns on rank 0, which alone calls it; its error is raised on all."""
        answer: list[Any] = [None, None]
        if self.is_first:
            try:
                answer[0] = function()
            except BaseException as error:
                answer[1] = error
        raised = answer[1]
        sent = [answer[0], None if raised is None else _described(raised)]
        dist.broadcast_object_list(sent, src=FIRST)
        if raised is not None:
            raise raised
        if sent[1] is not None:
            raise _of_rank(FIRST, sent[1])
        result: T = sent[0]
        return result

    def require_all(self, error: BaseException | None) -> None:
        """Raise the error of the first rank that has one, on ranks that have none themselves."""
        found = self.all_gather_objects(None if error is None else _described(error))
        if error is None:
            for rank, described in enumerate(found):
                if described is not None:
                    raise _of_rank(rank, described)

    def broadcast(self, tensor: Tensor) -> None:
        """Replace the tensor of each rank by that of rank 0."""
        self.count(tensor, tensor.numel() * (self.size - 1) if self.is_first else 0)
        dist.broadcast(tensor, FIRST)

    def send(self, tensor: Tensor, rank: int) -> None:
        """Send a tensor to a rank that calls `receive` for it."""
        self.count(tensor, tensor.numel())
        dist.send(tensor.contiguous(), rank)

    def receive(self, like: Tensor, rank: int) -> Tensor:
        """What a rank sends, a new tensor of the shape of `like`."""
        received = torch.empty_like(like, memory_format=torch.contiguous_format)
        dist.recv(received, rank)
        return received

    def wait(self) -> None:
        """Wait until all ranks have called this."""
        dist.barrier()

    def all_gather_objects(self, own: T) -> list[T]:
        """What each rank gives, by rank; picklable."""
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, own)
        return gathered

    def count(self, tensor: Tensor, elements: int) -> None:
        """Count elements of the tensor's type that are sent to other ranks."""
        self.bytes_sent += elements * tensor.element_size()


def _described(error: BaseException) -> tuple[str, str]:
    name = type(error).__name__
    return name, str(error) or name


def _of_rank(rank: int, described: tuple[str, str]) -> Exception:
    """An error of the same type that names the rank."""
    name, text = described
    return _ERRORS.get(name, RuntimeError)(f"rank {rank}: {text}")


_ERRORS: dict[str, type[Exception]] = {
    error.__name__: error for error in (CheckpointError, DataError, ParameterError, MemoryError)
}
