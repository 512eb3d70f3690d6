"""The C++ training step: every option against the float64 reference, for every instruction set;
the same bits for any number of threads; and what it refuses."""

from __future__ import annotations

import itertools
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from gru4rec_fast.optim import Adagrad
from torch import Tensor

from gru4rec_fast import _core, fallback, ops, reference
from gru4rec_fast import config as config_module
from gru4rec_fast.config import Config
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.block import StepBlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gru4rec_fast._core import LaneBlock

STEPS = 20
V = 200
EMBEDDINGS: dict[str, dict[str, Any]] = {
    "shared": {},
    "separate": {"constrained_embedding": False, "embedding": 13},
    "one-hot": {"constrained_embedding": False},
}
LOSSES: dict[str, dict[str, Any]] = {
    "cross-entropy": {"loss": "cross-entropy"},
    "cross-entropy-logq": {"loss": "cross-entropy", "logq": 0.8},
    "bpr-max": {"loss": "bpr-max", "elu_param": 0.5, "bpreg": 0.7},
    "bpr-max-linear": {"loss": "bpr-max", "elu_param": 0.0, "bpreg": 1.5},
}
DROPOUTS = {"whole": {}, "dropout": {"dropout_p_embed": 0.3, "dropout_p_hidden": 0.2}}
LAYERS = ((20,), (33, 20), (12, 40, 17))
SAMPLES = (0, 64)

OPTIONS = [
    pytest.param(
        {
            **EMBEDDINGS[e],
            **LOSSES[loss],
            **DROPOUTS[d],
            "layers": layers,
            "n_sample": s,
            "momentum": m,
        },
        id=f"{e}-{loss}-{d}-{'/'.join(map(str, layers))}-{s}-{m}",
    )
    for e, loss, d, layers, s, m in itertools.product(
        EMBEDDINGS, LOSSES, DROPOUTS, LAYERS, SAMPLES, (0.0, 0.3)
    )
]


def random_block(lanes: int, samples: int, n_items: int = V, steps: int = STEPS) -> StepBlock:
    """Steps with repeated items, restarts, and lanes that die in the middle and at the start."""
    rng = np.random.default_rng(lanes + samples)
    live = np.full(steps, lanes, np.int32)
    live[steps * 2 // 3 :] = max(2, lanes - 3)
    inputs = rng.integers(0, n_items, (steps, lanes)).astype(np.int32)
    targets = rng.integers(0, n_items // 4, (steps, lanes)).astype(np.int32)
    restarts = (rng.random((steps, lanes)) < 0.2).astype(np.uint8)
    source = np.tile(np.arange(lanes, dtype=np.int32), (steps, 1))
    source[steps * 2 // 3, : live[-1]] = np.sort(rng.permutation(lanes)[: live[-1]])
    dead = np.arange(lanes) >= live[:, None]
    inputs[dead], targets[dead], restarts[dead], source[dead] = 0, 0, 0, -1
    negatives = rng.integers(0, n_items, (steps, samples)).astype(np.int32)
    planned = SimpleNamespace(
        inputs=inputs,
        targets=targets,
        restarts=restarts,
        source=source,
        events=np.zeros((steps, lanes), np.int64),
        live=live,
    )
    return StepBlock.merge(7, cast("LaneBlock", planned), negatives)


class Run:
    """A network after the steps of a block."""

    def __init__(
        self,
        config: Config,
        block: StepBlock,
        dtype: torch.dtype,
        n_items: int = V,
        *,
        side_by_side: bool | None = None,
    ) -> None:
        network = Network(config, n_items)
        network.initialise()
        rng = np.random.default_rng(5)
        for parameter in (p for p in network.parameters() if 1 in (p.dim(), p.shape[-1])):
            parameter.copy_(torch.from_numpy(rng.normal(0, 0.1, parameter.shape)))
        self.p = network.to(dtype).parameter_dict()
        self.initial = {name: value.clone() for name, value in self.p.items()}
        self.optimiser = Adagrad(self.p, config, side_by_side=side_by_side)
        self.support = torch.from_numpy(rng.integers(1, 50, n_items))
        self.states = [torch.zeros(config.batch_size, h, dtype=dtype) for h in config.layers]
        self.losses = ops.train_block(
            self.p, self.optimiser, self.states, block, self.support, config
        )

    def tensors(self) -> dict[str, Tensor]:
        """All that training changes."""
        accumulators = {f"a {name}": a for name, a in self.optimiser.accumulators.items()}
        momenta = {f"m {name}": m for name, m in self.optimiser.momenta.items()}
        states = {f"state {layer}": h for layer, h in enumerate(self.states)}
        return {**self.p, **accumulators, **momenta, **states}

    def error(self, truth: Run) -> dict[str, float]:
        """Largest difference from the truth, of each tensor by its own scale."""
        own = self.tensors()
        errors = {
            name: float((own[name].double() - t).abs().max() / t.abs().max())
            for name, t in truth.tensors().items()
        }
        return {**errors, "loss": float(((self.losses - truth.losses) / truth.losses).abs().max())}


@pytest.fixture(params=_core.instruction_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _core.instruction_set()
    _core.use_instruction_set(request.param)
    yield request.param
    _core.use_instruction_set(before)


@pytest.mark.parametrize("options", OPTIONS)
def test_every_option(options: dict[str, Any], instruction_set: str) -> None:
    config = Config().replace(**options, batch_size=10, learning_rate=0.05)
    block = random_block(config.batch_size, config.n_sample)
    fast = Run(config, block, torch.float32)
    truth = Run(config, block, torch.float64)
    errors = fast.error(truth)
    assert errors.pop("loss") <= 1e-5
    assert max(errors.values()) <= 1e-4, errors
    for name, value in truth.p.items():
        assert not torch.equal(value, truth.initial[name]), f"{name} was not trained"


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("lanes", [2, 7, 16, 17, 80])
def test_any_number_of_lanes(loss: str, lanes: int) -> None:
    config = Config().replace(
        **LOSSES[loss], layers=(50,), batch_size=lanes, n_sample=300, momentum=0.1
    )
    block = random_block(lanes, 300, steps=6)
    errors = Run(config, block, torch.float32).error(Run(config, block, torch.float64))
    assert max(errors.values()) < 1e-4, errors
    assert errors["loss"] < 1e-5


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("units", "lanes"), [(203, 85), (293, 70)])
def test_large_states(loss: str, units: int, lanes: int, instruction_set: str) -> None:
    """Of over 16,384 numbers: their item rows are packed, in larger tiles."""
    config = Config().replace(
        **LOSSES[loss], layers=(units,), batch_size=lanes, n_sample=400, momentum=0.1
    )
    block = random_block(lanes, 400, n_items=900, steps=3)
    runs = [Run(config, block, dtype, n_items=900) for dtype in (torch.float32, torch.float64)]
    errors = runs[0].error(runs[1])
    assert max(errors.values()) < 1e-4, errors
    assert errors["loss"] < 1e-5


@pytest.mark.parametrize("loss", ["cross-entropy-logq", "bpr-max"])
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_equal_bits_for_any_number_of_threads(loss: str, embedding: str) -> None:
    # Large enough for every loop to be shared.
    config = Config().replace(
        **LOSSES[loss],
        **EMBEDDINGS[embedding],
        layers=(150, 130),
        batch_size=60,
        n_sample=1500,
        momentum=0.2,
        dropout_p_hidden=0.3,
    )
    block = random_block(60, 1500, n_items=4000, steps=12)
    before = torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            runs.append(Run(config, block, torch.float32, n_items=4000))
    finally:
        torch.set_num_threads(before)
    for other in runs[1:]:
        assert torch.equal(runs[0].losses, other.losses)
        tensors = other.tensors()
        for name, tensor in runs[0].tensors().items():
            assert torch.equal(tensor, tensors[name]), name


def test_only_touched_rows_move() -> None:
    config = Config().replace(layers=(20,), batch_size=4, n_sample=10, momentum=0.5)
    block = random_block(4, 10, steps=3)
    run = Run(config, block, torch.float32)
    scored = {int(i) for t in range(3) for i in block.rows[t, : block.scored[t]]}
    touched = {int(i) for t in range(3) for i in block.rows[t, : block.touched[t]]}
    assert scored < touched
    for name, expected in (("Wy.weight", touched), ("By.weight", scored)):
        moved = (run.p[name] != run.initial[name]).any(dim=1).nonzero()[:, 0].tolist()
        assert set(moved) == expected, name


@pytest.mark.parametrize("loss", LOSSES)
def test_extreme_scores_stay_finite(loss: str) -> None:
    config = Config().replace(**LOSSES[loss], layers=(20,), batch_size=4, n_sample=10)
    block = random_block(4, 10, steps=2)
    network = Network(config, V)
    network.initialise()
    p = network.parameter_dict()
    p["By.weight"][::2] = 3000.0
    p["By.weight"][1::2] = -3000.0
    support = torch.ones(V, dtype=torch.int64)
    states = [torch.zeros(4, 20)]
    losses = ops.train_block(p, Adagrad(p, config), states, block, support, config)
    assert torch.isfinite(losses).all()
    assert all(torch.isfinite(value).all() for value in p.values())


@pytest.mark.parametrize("momentum", [0.0, 0.2])
def test_where_the_state_lies_changes_nothing(momentum: float) -> None:
    config = Config().replace(layers=(20,), batch_size=4, n_sample=10, momentum=momentum)
    block = random_block(4, 10, steps=5)
    runs = [Run(config, block, torch.float32, side_by_side=s) for s in (None, True, False)]
    together = runs[0].tensors()
    for name, value in {**runs[1].tensors(), **runs[2].tensors()}.items():
        assert torch.equal(value, together[name]), name
    apart = runs[2].optimiser
    assert all(a.is_contiguous() for a in apart.accumulators.values())
    if momentum > 0:
        a, m = (
            kind["Wy.weight"][7]
            for kind in (runs[0].optimiser.accumulators, runs[0].optimiser.momenta)
        )
        assert m.data_ptr() == a.data_ptr() + 20 * a.element_size()


def test_what_does_not_fit_is_refused() -> None:
    config = Config().replace(layers=(20,), batch_size=4, n_sample=10)
    block = random_block(4, 10, n_items=1000)
    with pytest.raises(ValueError, match=r"does not exist; expected .* of 200 items"):
        Run(config, block, torch.float32)
    network = Network(config, V)
    p = network.parameter_dict()
    optimiser = Adagrad(p, config)
    optimiser.accumulators["Wy.weight"] = torch.zeros(V, 21)
    states = [torch.zeros(4, 20)]
    support = torch.ones(V, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"accumulator of Wy.weight is float32 .*\(200, 20\)"):
        ops.train_block(p, optimiser, states, random_block(4, 10), support, config)
    optimiser = Adagrad(p, config.replace(momentum=0.1))
    optimiser.momenta["Wy.weight"] = torch.zeros(V, 20)
    with pytest.raises(ValueError, match=r"momentum of Wy.weight has rows 20 floats apart.* 40"):
        ops.train_block(p, optimiser, states, random_block(4, 10), support, config)
    p["G.0.bias_ih"] = torch.zeros(60, 1)
    optimiser = Adagrad(p, config.replace(momentum=0.1))
    with pytest.raises(ValueError, match=r"G.0.bias_ih has elements 2 floats apart"):
        ops.train_block(p, optimiser, states, random_block(4, 10), support, config)


def test_a_strided_vector_runs_the_reference(caplog: pytest.LogCaptureFixture) -> None:
    fallback.refuse.cache_clear()
    config = Config().replace(layers=(20,), batch_size=4, n_sample=10, momentum=0.0)
    network = Network(config, V)
    p = network.parameter_dict()
    optimiser = Adagrad(p, config)
    optimiser.accumulators["G.0.bias_ih"] = torch.zeros(60, 2)[:, 0]
    support = torch.ones(V, dtype=torch.int64)
    ops.train_block(p, optimiser, [torch.zeros(4, 20)], random_block(4, 10), support, config)
    assert "the slow reference in plain PyTorch: a tensor is not contiguous" in caplog.text
    theta, apart = np.zeros(60, np.float32), np.zeros((60, 2), np.float32)[:, 0]
    with pytest.raises(ValueError, match=r"accumulator of theta .* contiguous rows"):
        _core.sparse_adagrad(theta, apart, None, None, theta, 0.1, 0.0)
    fields = np.zeros(60, np.dtype([("a", np.float32), ("b", np.int16)]))["a"]  # 6 bytes apart
    with pytest.raises(ValueError, match=r"accumulator of theta .* contiguous rows"):
        _core.sparse_adagrad(theta, fields, None, None, theta, 0.1, 0.0)


def test_the_slow_path_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    fallback.refuse.cache_clear()
    config = Config().replace(layers=(20,), batch_size=4, n_sample=10)
    block = random_block(4, 10, steps=2)
    with caplog.at_level(logging.WARNING):
        Run(config, block, torch.float64)
        Run(config, block, torch.float64)
    said = [message for message in caplog.messages if message.startswith("training runs the slow")]
    assert len(said) == 1
    assert "float64" in said[0]


def test_a_loss_that_the_engine_lacks_runs_the_reference(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What adding a loss to the reference alone gives: it trains at once, and the log says how."""
    fallback.refuse.cache_clear()
    monkeypatch.setattr(config_module, "LOSSES", (*config_module.LOSSES, "margin"))
    monkeypatch.setitem(reference.LOSSES, "margin", lambda s, _: -s.diagonal())
    config = Config().replace(layers=(20,), batch_size=4, n_sample=10, loss="margin")
    run = Run(config, random_block(4, 10), torch.float32)
    assert run.losses[-1] < run.losses[0]
    assert "the C++ engine has no loss 'margin'" in caplog.text
