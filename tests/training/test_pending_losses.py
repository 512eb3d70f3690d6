"""Losses are copied behind their own block, and read without waiting for the next."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gru4rec_fast import GRU4Rec
from gru4rec_fast.engines.cpu import CpuTrainer
from gru4rec_fast.training import loop
from gru4rec_fast.training.pending_losses import PendingLosses
from tests.logs import random_log

if TYPE_CHECKING:
    from gru4rec_fast.plan.block import StepBlock


def test_the_copy_is_queued_before_the_next_block_and_read_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[tuple[str, int]] = []
    train_block = CpuTrainer.train_block

    def train(trainer: CpuTrainer, block: StepBlock) -> torch.Tensor:
        order.append(("train", block.first_step))
        losses = train_block(trainer, block)
        losses.first_step = block.first_step  # type: ignore[attr-defined]
        return losses

    class Noted(PendingLosses):
        def __init__(self, losses: torch.Tensor) -> None:
            super().__init__(losses)
            self.first_step: int = losses.first_step  # type: ignore[attr-defined]
            order.append(("copy", self.first_step))

        def numpy(self) -> np.ndarray[Any, np.dtype[np.float64]]:
            order.append(("read", self.first_step))
            return super().numpy()

    monkeypatch.setattr(CpuTrainer, "train_block", train)
    monkeypatch.setattr(loop, "PendingLosses", Noted)
    gru = GRU4Rec(layers=(4,), batch_size=8, n_sample=16, n_epochs=1, device="cpu")
    gru.fit(random_log(), sample_cache_max_size=5 * 16, progress=False)
    first = [step for what, step in order if what == "train"]
    assert len(first) > 2
    expected = [("train", first[0]), ("copy", first[0])]
    for before, step in itertools.pairwise(first):
        expected += [("train", step), ("copy", step), ("read", before)]
    assert order == [*expected, ("read", first[-1])]


def test_losses_of_the_cpu_are_those_of_the_block() -> None:
    losses = torch.tensor([0.1, 2.5])
    read = PendingLosses(losses).numpy()
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, losses.double().numpy())


class PretendedLosses:
    """Losses on a GPU: a copy of them holds nothing until its event was waited for."""

    is_cuda, device, shape, dtype = True, torch.device("cuda", 1), (2,), torch.float32


def test_a_copy_from_a_gpu_is_waited_for_by_its_own_event(monkeypatch: pytest.MonkeyPatch) -> None:
    host = torch.zeros(2)
    calls: list[Any] = []

    class Stream:
        def __init__(self, device: torch.device) -> None:
            self.device = device

        def __enter__(self) -> None:
            calls.append(("stream of", self.device.index))

        def __exit__(self, *_: object) -> None: ...

    class Event:
        def record(self, stream: Stream) -> None:
            calls.append(("record", stream.device.index))

        def synchronize(self) -> None:
            calls.append("wait")
            host[:] = torch.tensor([0.5, 1.5])

    class Host:
        def copy_(self, losses: object, non_blocking: bool = False) -> None:
            assert non_blocking
            assert isinstance(losses, PretendedLosses)
            calls.append("copy")

        def double(self) -> torch.Tensor:
            return host.double()

    def empty(shape: tuple[int, ...], *, dtype: torch.dtype, pin_memory: bool) -> Host:
        assert pin_memory
        return Host()

    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch, "empty", empty)
    pending = PendingLosses(PretendedLosses())  # type: ignore[arg-type]
    assert calls == [("stream of", 1), "copy", ("record", 1)]
    np.testing.assert_array_equal(pending.numpy(), [0.5, 1.5])
    assert calls[-1] == "wait"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_neither_the_copy_nor_its_read_waits_for_later_work() -> None:
    losses = torch.rand(128, device="cuda")
    expected = losses.double().cpu().numpy()
    PendingLosses(losses).numpy()  # the first pinned memory may wait
    busy = torch.rand(4096, 4096, device="cuda")
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]
    torch.cuda.set_sync_debug_mode("error")
    try:
        pending = PendingLosses(losses)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for _ in range(200):
        busy @ busy
    done.record()
    np.testing.assert_array_equal(pending.numpy(), expected)
    assert not done.query()  # type: ignore[no-untyped-call]
