"""The upload of blocks and the CUDA graphs; without a GPU, on pretended streams and graphs.

A pretended graph records the launches of its capture instead of running them, as a real one does,
and runs them at each replay. So the first block is launched, the second captures, and all must
train as the reference does. Only a GPU can show whether copies and kernels run in the right order.
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


class PretendedStream:
    """A stream or an event: everything is done at once, so there is nothing to wait for."""

    def __init__(self, *_: Any) -> None: ...

    def record(self, *_: Any) -> None: ...

    def synchronize(self) -> None: ...

    def wait_event(self, event: PretendedStream) -> None:
        assert isinstance(event, PretendedStream)


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
    def capture(graph: PretendedGraph, **_: Any) -> Iterator[None]:
        def note(kernel: Any, *args: Any, **options: Any) -> None:
            graph.launches.append(lambda: run(kernel, *args, **options))

        with monkeypatch.context() as during:
            during.setattr(InterpretedFunction, "run", note)
            yield

    def pageable_zeros(*args: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        return zeros(*args, **options)

    monkeypatch.setattr(torch, "zeros", pageable_zeros)
    for name in ("Stream", "Event"):
        monkeypatch.setattr(torch.cuda, name, PretendedStream)
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
    for i in range(3):
        block = planned_block(30, config, steps=STEPS, n_sessions=80, seed=i)
        assert len(block) == STEPS
        blocks.append(replace(block, first_step=block.first_step + STEPS * i))
    support, p = torch.arange(1, 31), model(config, 30, device)
    truth = by_reference(p, config, blocks, support)

    state = zero_state(p, config)
    step = training_step(p, state, config, STEPS, support)
    step.upload = BlockUpload(step.block)
    step.states = initial_states(config, blocks[0])
    losses = torch.cat([step.train_block(block) for block in blocks])

    replays = {}
    for steps, graph in step.graphs.items():
        assert isinstance(graph, PretendedGraph)
        replays[steps] = graph.replays
    assert replays == {GRAPH_STEPS: 4, 1: 2}
    assert_same_training(Run(p, state, step.states, losses.tolist()), truth)
