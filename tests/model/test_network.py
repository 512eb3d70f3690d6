"""Parameters, their names and their initial values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gru4rec_fast.config import Config
from gru4rec_fast.model.initial import Drawer, EveryNth, draw_parameters
from gru4rec_fast.model.network import Network
from tests.options import CELLS, EMBEDDINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONE_HOT: dict[str, Any] = {"constrained_embedding": False}


def network(n_items: int = 11, **params: Any) -> Network:
    net = Network(Config().replace(**params), n_items)
    net.initialise()
    return net


def uniform(generator: np.random.RandomState, rows: int, columns: int) -> NDArray[np.float32]:
    sigma = np.sqrt(6 / (rows + columns))
    values: NDArray[np.float32] = generator.rand(rows, columns).astype(np.float32)
    return values * np.float32(2 * sigma) - np.float32(sigma)


def assert_values(net: Network, name: str, expected: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(net.state_dict()[name].numpy(), expected, rtol=0, atol=1e-7)


def test_names_are_those_of_saved_models() -> None:
    cells = {f"G.{i}.{n}_{g}" for i in (0, 1) for n in ("weight", "bias") for g in ("ih", "hh")}
    shared = network(layers=(4, 5))
    assert set(shared.state_dict()) == cells | {"Wy.weight", "By.weight"}
    separate = network(layers=(4, 5), embedding=3, constrained_embedding=False)
    assert set(separate.state_dict()) == cells | {"Wy.weight", "By.weight", "E.weight"}
    one_hot = network(layers=(4,), constrained_embedding=False)
    assert set(one_hot.state_dict()) == {
        "Wy.weight",
        "By.weight",
        *(f"GE.{name}" for name in ("Wx0.weight", "Wrz0", "Wh0", "Bh0")),
    }


def test_shapes_of_unequal_layers_and_embedding() -> None:
    net = network(layers=(4, 6), embedding=3, constrained_embedding=False)
    assert net.E.weight.shape == (11, 3)
    assert net.state_dict()["G.0.weight_ih"].shape == (12, 3)
    assert net.state_dict()["G.1.weight_ih"].shape == (18, 4)
    assert net.Wy.weight.shape == (11, 6)
    shared = network(layers=(4, 6))  # rows of Wy go in
    assert shared.state_dict()["G.0.weight_ih"].shape == (12, 6)


def test_compatibility_weights_of_the_shared_mode() -> None:
    net = network(layers=(4, 3))
    draw = np.random.RandomState(42)
    assert_values(net, "G.0.weight_ih", np.vstack([uniform(draw, 4, 3) for _ in range(3)]))
    assert_values(net, "G.0.weight_hh", np.vstack([uniform(draw, 4, 4) for _ in range(3)]))
    assert_values(net, "G.1.weight_ih", np.vstack([uniform(draw, 3, 4) for _ in range(3)]))
    assert_values(net, "G.1.weight_hh", np.vstack([uniform(draw, 3, 3) for _ in range(3)]))
    assert_values(net, "Wy.weight", uniform(draw, 11, 3))
    assert not any(net.state_dict()[n].any() for n in ("By.weight", "G.0.bias_ih", "G.1.bias_hh"))


def test_compatibility_weights_of_the_one_hot_mode() -> None:
    net = network(layers=(4,), constrained_embedding=False)
    draw = np.random.RandomState(42)
    assert_values(net, "GE.Wx0.weight", np.hstack([uniform(draw, 11, 4) for _ in range(3)]))
    assert_values(net, "GE.Wrz0", np.hstack([uniform(draw, 4, 4) for _ in range(2)]))
    assert_values(net, "GE.Wh0", uniform(draw, 4, 4))
    assert_values(net, "Wy.weight", uniform(draw, 11, 4))
    assert not net.state_dict()["GE.Bh0"].any()


def test_compatibility_weights_of_the_separate_mode_start_with_the_embedding() -> None:
    net = network(layers=(4,), embedding=3, constrained_embedding=False)
    assert_values(net, "E.weight", uniform(np.random.RandomState(42), 11, 3))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_each_gate_has_the_range_of_its_own_matrix(cell: str, embedding: str) -> None:
    H, V = 50, 60
    options: dict[str, Any] = {"layers": (H,), "feed_forward": (40,)}
    net = network(n_items=V, **options, **CELLS[cell], **EMBEDDINGS[embedding])
    layer = net.spec.layers[0]
    matrices = {"F.0.weight": (1, 0), "Wy.weight": (1, 0)}
    if net.spec.one_hot:
        matrices["GE.Wx0.weight"] = (layer.kind.gates, 1)
    for name, shape in layer.weights.items():
        if len(shape) == 2:
            matrices[name] = layer.kind.blocks.get(name.removeprefix(layer.prefix), (1, 0))
    for name, (gates, axis) in matrices.items():
        for matrix in net.state_dict()[name].chunk(gates, dim=axis):
            bound = np.sqrt(6 / sum(matrix.shape))
            assert 0.95 * bound < float(matrix.abs().max()) <= bound, name
    assert not any(value.any() for name, value in net.state_dict().items() if "bias" in name)


def test_a_table_drawn_in_shares_is_the_table_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = network(n_items=1000, layers=(7,))
    monkeypatch.setattr(Drawer, "NUMBERS_AT_ONCE", 100)
    assert torch.equal(network(n_items=1000, layers=(7,)).Wy.weight, whole.Wy.weight)


@pytest.mark.parametrize("size", [1, 3, 4])
@pytest.mark.parametrize("numbers", [100, 2**22])
@pytest.mark.parametrize("options", [{}, ONE_HOT, {**ONE_HOT, "embedding": 5}])
def test_every_nth_row_is_drawn_as_in_the_whole(
    options: dict[str, Any], numbers: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = network(n_items=401, layers=(7,), **options)
    monkeypatch.setattr(Drawer, "NUMBERS_AT_ONCE", numbers)
    p, tables = whole.parameter_dict(), whole.spec.tables
    for rank in range(size):
        own = {n: torch.full_like(x[rank::size] if n in tables else x, 9) for n, x in p.items()}
        draw_parameters(whole.spec, whole.config, own, kept=EveryNth(401, rank, size))
        for name, drawn in own.items():
            assert torch.equal(drawn, p[name][rank::size] if name in tables else p[name])


def test_seed_counts_only_outside_compatibility_mode() -> None:
    nets = [Network(Config().replace(layers=4, seed=seed), 11) for seed in (1, 2)]
    for net in nets:
        net.initialise()
    assert torch.equal(nets[0].Wy.weight, nets[1].Wy.weight)
    for net in nets:
        net.initialise(compatibility_mode=False)
    assert not torch.equal(nets[0].Wy.weight, nets[1].Wy.weight)


def test_sigma_and_normal_override_the_distribution() -> None:
    net = network(n_items=4000, layers=(50,), sigma=0.01)
    assert 0.0099 < float(net.Wy.weight.abs().max()) <= 0.01
    net = network(n_items=4000, layers=(50,), sigma=0.01, init_as_normal=True)
    assert float(net.Wy.weight.std()) == pytest.approx(0.01, rel=0.02)
    assert float(net.Wy.weight.abs().max()) > 0.03


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"embedding": 3, "constrained_embedding": False},
        {"constrained_embedding": False},
    ],
)
def test_forward_replaces_the_states_and_scores_the_asked_items(params: dict[str, Any]) -> None:
    net = network(layers=(4, 6), **params)
    in_idx = torch.tensor([1, 2])
    states = [torch.zeros(2, 4), torch.zeros(2, 6)]
    given = list(states)
    every = net.forward(in_idx, states, None, training=False)
    assert every.shape == (2, 11)
    assert all(not torch.equal(new, old) for new, old in zip(states, given, strict=True))
    some = net.forward(in_idx, list(given), torch.tensor([5, 0]), training=False)
    torch.testing.assert_close(some, every[:, [5, 0]])
    # The second event goes on from the replaced states.
    assert not torch.allclose(net.forward(in_idx, states, None), every)


def test_forward_drops_out_in_training_only() -> None:
    net = network(layers=(400,), dropout_p_hidden=0.5)
    states = [torch.zeros(1, 400)]
    net.forward(torch.tensor([1]), states, training=True)
    assert 0.4 < float((states[0] == 0).float().mean()) < 0.6
    states = [torch.zeros(1, 400)]
    net.forward(torch.tensor([1]), states)
    assert not (states[0] == 0).any()
