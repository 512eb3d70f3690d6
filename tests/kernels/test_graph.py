"""The upload of blocks and the CUDA graphs; without a GPU, on pretended streams and graphs.

A pretended graph records the launches of its capture instead of running them, as a real one does,
and runs them at each replay. So the first block is launched, the second captures, a shorter one
replays smaller graphs and launches the rest, and all must train as the reference does. The
pretended current device is not that of the tensors, so a stream or an event of the wrong device is
found. Only a GPU can show whether copies and kernels run in the right order.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gru4rec_fast.config import Config
from gru4rec_fast.kernels import training_step as module
from gru4rec_fast.kernels.block_upload import BlockUpload
from tests.kernels.cases import (
    Run,
    assert_same_training,
    by_reference,
    initial_states,
    model,
    planned_block,
    training_step,
    zero_state,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GRAPH_STEPS, STEPS = 2, 5


CURRENT = torch.device("cuda", 0)
"""The pretended current device; the tensors are on another, which is the CPU in truth."""


class PretendedStream:
    """A stream: everything is done at once, so there is nothing to wait for."""

    def __init__(self, device: torch.device = CURRENT) -> None:
        self.device = device

    def wait_event(self, event: PretendedEvent) -> None:
        assert event.device is not None


class PretendedEvent:
    """An event: as a real one it belongs to the device of the stream that records it first."""

    def __init__(self) -> None:
        self.device: torch.device | None = None

    def record(self, stream: PretendedStream | None = None) -> None:
        device = CURRENT if stream is None else stream.device
        assert self.device in (None, device)
        self.device = device

    def synchronize(self) -> None: ...


class PretendedGraph:
    def __init__(self) -> None:
        self.launches: list[Callable[[], object]] = []
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        for launch in self.launches:
            launch()


@pytest.fixture
def pretended_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.runtime.interpreter import InterpretedFunction

    run, zeros = InterpretedFunction.run, torch.zeros

    @contextmanager
    def capture(
        graph: PretendedGraph, stream: PretendedStream | None = None, **_: Any
    ) -> Iterator[None]:
        assert stream is not None, "torch's own stream can be on another device"
        assert stream.device.type == "cpu"

        def note(kernel: Any, *args: Any, **options: Any) -> None:
            graph.launches.append(lambda: run(kernel, *args, **options))

        with monkeypatch.context() as during:
            during.setattr(InterpretedFunction, "run", note)
            yield

    def pageable_zeros(*args: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        return zeros(*args, **options)

    monkeypatch.setattr(torch, "zeros", pageable_zeros)
    monkeypatch.setattr(torch.cuda, "Stream", PretendedStream)
    monkeypatch.setattr(torch.cuda, "Event", PretendedEvent)
    monkeypatch.setattr(torch.cuda, "current_stream", PretendedStream)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", PretendedGraph)
    monkeypatch.setattr(torch.cuda, "graph", capture)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU needs no pretence")
@pytest.mark.usefixtures("pretended_cuda")
@pytest.mark.parametrize("optimiser", [{"momentum": 0.1}, {"adapt": "adagrad-rowwise"}], ids=str)
def test_launched_captured_and_replayed_blocks_train_alike(
    optimiser: dict[str, Any], device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRAPH_STEPS", GRAPH_STEPS)
    config = Config(layers=(9,), batch_size=4, n_sample=8, dropout_p_hidden=0.3, **optimiser)
    blocks = []
    first_step = 0
    for i, steps in enumerate((STEPS, STEPS, STEPS, STEPS - 2)):
        block = planned_block(30, config, steps, n_sessions=80, seed=i)
        assert len(block) == steps
        blocks.append(replace(block, first_step=block.first_step + first_step))
        first_step += steps
    support, p = torch.arange(1, 31), model(config, 30, device)
    truth = by_reference(p, config, blocks, support)

    state = zero_state(p, config)
    step = training_step(p, state, config, STEPS, support)
    step.upload = BlockUpload(step.block)
    step.states = initial_states(config, blocks[0])
    losses = torch.cat([step.train_block(block) for block in blocks])

    replays = {}
    for of_steps, graph in step.graphs.items():
        assert isinstance(graph, PretendedGraph)
        replays[of_steps] = graph.replays
    assert replays == {(0, STEPS): 2, (0, GRAPH_STEPS): 1}
    assert_same_training(Run(p, state, step.states, losses.tolist()), truth)
