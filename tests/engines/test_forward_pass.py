"""The C++ forward pass against the reference, and its bits, for every instruction set."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gru4rec_fast import _core
from gru4rec_fast.config import Config
from gru4rec_fast.engines.cpu import CpuForward
from gru4rec_fast.engines.reference import ReferenceForward
from gru4rec_fast.model.network import Network
from tests.options import CELLS, EMBEDDINGS, FEED_FORWARD

V = 50
NETWORKS = [
    pytest.param({**embedding, **cell, **dense, "layers": layers}, id="-".join(names))
    for names, embedding, cell, dense, layers in (
        ((e, c, d or "plain", "/".join(map(str, layers))), EMBEDDINGS[e], CELLS[c], dense, layers)
        for (e, c), (d, dense), layers in zip(
            itertools.product(EMBEDDINGS, CELLS),
            itertools.cycle(FEED_FORWARD.items()),
            itertools.cycle([(20,), (12, 40), (33, 20, 17), (7,)]),
            strict=False,
        )
    )
]


def network_of(options: dict[str, Any]) -> Network:
    """A network with weights that bring the gates away from 0, biases included, and dropout."""
    network = Network(Config().replace(**options, dropout_p_hidden=0.3, dropout_p_embed=0.2), V)
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        parameter.data.uniform_(-0.6, 0.6, generator=generator)
    return network


def states_of(network: Network, rows: int, seed: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.rand(rows, layer.state_width, generator=generator) - 0.5
        for layer in network.spec.layers
    ]


def ragged(lengths: list[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Events of sessions of these lengths: items and offsets."""
    items = np.random.default_rng(seed).integers(0, V, sum(lengths))
    return torch.from_numpy(items), torch.tensor([0, *np.cumsum(lengths)])


def worst(found: tuple[list[Tensor], Tensor], truth: tuple[list[Tensor], Tensor]) -> float:
    """The largest difference, of states and features."""
    pairs = zip([*found[0], found[1]], [*truth[0], truth[1]], strict=True)
    return max(float((x.double() - y).abs().max()) for x, y in pairs)


@pytest.mark.parametrize("options", NETWORKS)
@pytest.mark.usefixtures("instruction_set")
def test_every_network_as_the_reference(options: dict[str, Any]) -> None:
    network = network_of(options)
    lengths = [0, 3, 1, 7, 2]
    items, offsets = ragged(lengths)
    states = states_of(network, len(lengths))
    p = network.parameter_dict()
    double = ReferenceForward(network.spec, {name: value.double() for name, value in p.items()})
    truth = double.advance(items, [state.double() for state in states], offsets)
    single = worst(ReferenceForward(network.spec, p).advance(items, states, offsets), truth)
    found = CpuForward(network.spec, p).advance(items, states, offsets)
    # Both round a few operations a step; the order of sums differs.
    assert worst(found, truth) <= 4 * single + 2e-7
    # A session without events keeps its state and has no features.
    assert all(torch.equal(new[0], old[0]) for new, old in zip(found[0], states, strict=True))
    assert not found[1][0].any()
    assert found[1][1:].any(dim=1).all()


@pytest.mark.parametrize("options", NETWORKS[::4])
@pytest.mark.usefixtures("instruction_set")
def test_a_sessions_bits_do_not_depend_on_the_sessions_beside_it(options: dict[str, Any]) -> None:
    network = network_of(options)
    forward = CpuForward(network.spec, network.parameter_dict())
    lengths = np.random.default_rng(1).integers(0, 6, 150).tolist()
    items, offsets = ragged(lengths)
    states = states_of(network, len(lengths))
    after, features = forward.advance(items, states, offsets)
    for r in (0, 1, 63, 64, 65, 149):
        mine = [state[r : r + 1] for state in states]
        alone = items[offsets[r] : offsets[r + 1]]
        own, own_features = forward.advance(alone, mine, torch.tensor([0, len(alone)]))
        assert all(torch.equal(a[0], b[r]) for a, b in zip(own, after, strict=True))
        assert torch.equal(own_features[0], features[r])
        # Nor on how its events are cut into calls.
        for item in alone[:, None]:
            mine, _ = forward.advance(item, mine)
        assert all(torch.equal(a[0], b[r]) for a, b in zip(mine, after, strict=True))


def test_the_references_bits_do_not_depend_on_the_sessions_beside_it() -> None:
    network = network_of({"layers": (16,)})
    forward = ReferenceForward(network.spec, network.parameter_dict())
    items, offsets = ragged([3] * 70)
    states = states_of(network, 70)
    (after,), features = forward.advance(items, states, offsets)
    (own,), own_features = forward.advance(items[201:204], [states[0][67:68]], torch.tensor([0, 3]))
    assert torch.equal(own[0], after[67])
    assert torch.equal(own_features[0], features[67])


def test_threads_do_not_change_bits_and_may_call_at_once() -> None:
    network = network_of({"layers": (120, 90)})
    arrays = {name: value.numpy() for name, value in network.parameter_dict().items()}
    forward = _core.Forward(spec=network.spec, parameters=arrays)
    items, offsets = ragged([5] * 80)
    states = [state.numpy() for state in states_of(network, 80)]
    expected = forward.advance(items.numpy(), states, offsets.numpy(), 1)[1]
    found: list[Any] = []

    def call() -> None:
        found.extend(forward.advance(items.numpy(), states, offsets.numpy(), 3) for _ in range(5))

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 15
    assert all(np.array_equal(features, expected) for _, features in found)


def test_weights_are_read_at_each_call() -> None:
    network = network_of({"layers": (16,)})
    forward = CpuForward(network.spec, network.parameter_dict())
    item, states = torch.tensor([3]), states_of(network, 1)
    before = forward.advance(item, states)[1]
    network.Wy.weight.data[3] += 1
    assert not torch.equal(forward.advance(item, states)[1], before)


def test_bad_arguments() -> None:
    network = network_of({"layers": (16,)})
    arrays = {name: value.numpy() for name, value in network.parameter_dict().items()}
    forward = _core.Forward(spec=network.spec, parameters=arrays)
    items, state = np.zeros(2, dtype=np.int64), np.zeros((2, 16), dtype=np.float32)
    for bad in (-1, V):
        with pytest.raises(ValueError, match=r"an item is outside .*; expected .*0\.\.49"):
            forward.advance(items + bad, [state], None, 1)
    with pytest.raises(ValueError, match=r"state is float32 .*\(2, 15\); expected \(2, 16\)"):
        forward.advance(items, [state[:, :15].copy()], None, 1)
    with pytest.raises(ValueError, match="there are 2 states; expected one for each of 1"):
        forward.advance(items, [state, state], None, 1)
    for offsets in ([0, 1], [1, 2, 2], [0, 3, 2], []):
        with pytest.raises(ValueError, match="expected 0, then ascending numbers up to"):
            forward.advance(items, [state], np.array(offsets, dtype=np.int64), 1)
    with pytest.raises(ValueError, match=r"items is int32 .*expected int64"):
        forward.advance(items.astype(np.int32), [state], None, 1)
    del arrays["By.weight"]
    with pytest.raises(ValueError, match=r"parameters has no 'By.weight'"):
        _core.Forward(spec=network.spec, parameters=arrays)
