"""The binding of training: what it refuses, its states, and an optimiser's update of rows."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch

from gru4rec_fast import _core, reference
from gru4rec_fast.activation import PARAMETERS, Activation
from gru4rec_fast.config import LOSSES, OPTIMISERS, Config
from gru4rec_fast.engines.cpu import optimiser_options
from gru4rec_fast.spec import CELLS, NetworkSpec

if TYPE_CHECKING:
    from gru4rec_fast._core import Float32, StepBlock
    from gru4rec_fast.spec import LayerSpec

V, B = 50, 4


def arguments(**options: Any) -> dict[str, Any]:
    config = Config().replace(**{"layers": (6, 5), "batch_size": B, "momentum": 0.1} | options)
    spec = NetworkSpec.of(config, V)
    rng = np.random.default_rng(1)
    shapes = spec.parameters.items()
    parameters = {k: rng.normal(0, 0.3, s).astype(np.float32) for k, s in shapes}
    state = [{k: np.zeros_like(v) for k, v in parameters.items()} for _ in range(2)]
    return {
        "spec": spec,
        "parameters": parameters,
        "optimiser": "adagrad",
        "optimiser_options": {"learning_rate": 0.1, "momentum": config.momentum, "lmbd": 0.0},
        "state": state[: 2 if config.momentum > 0 else 1],
        "loss": "cross-entropy",
        "loss_options": {"logq": 1.0, "sample_alpha": 0.5, "bpreg": 1.0, "smoothing": 0.0},
        "activation": ("linear", ()),
        "grad_cap": 0.0,
        "batch_size": B,
        "seed": 3,
        "support": np.ones(V, np.int64),
    }


def random_block(steps: int, first_step: int = 0, lanes: int = B) -> StepBlock:
    rng = np.random.default_rng(first_step)
    items = [rng.integers(0, V, (steps, n)).astype(np.int32) for n in (lanes, lanes, 9)]
    live = np.full(steps, lanes, np.int32)
    merged = _core.merge_rows(items[0], items[1], live, items[2])
    fields = ("rows", "target_count", "sample_count", "target_row", "input_row")
    arrays = {name: getattr(merged, name) for name in (*fields, "scored", "touched")}
    source = np.tile(np.arange(lanes, dtype=np.int32), (steps, 1))
    restarts = (rng.random((steps, lanes)) < 0.2).astype(np.uint8)
    block = SimpleNamespace(
        first_step=first_step, first_lane=0, live=live, source=source, restarts=restarts, **arrays
    )
    return cast("StepBlock", block)


def test_the_parts_have_the_names_of_the_spec() -> None:
    assert set(_core.losses()) == set(LOSSES)
    assert _core.activations() == list(PARAMETERS)
    assert set(_core.cells()) == set(CELLS)
    assert set(_core.optimisers()) == {*OPTIMISERS, "gradient"}
    assert _core.optimisers()["adam"] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "margin"}, r"loss is 'margin'; .* has cross-entropy, bpr-max, bpr"),
        ({"optimiser": "lion"}, r"optimiser is 'lion'; .* has sgd, adagrad"),
        ({"optimiser": "adam"}, r"holds no 'beta1', which 'adam' needs"),
        ({"loss_options": {"logq": 1.0}}, r"holds no 'sample_alpha', which 'cross-entropy' needs"),
        ({"loss_options": {"log_q": 1.0}}, r"holds 'log_q'; expected bpreg, .*, sample_alpha"),
        ({"activation": ("sine", ())}, r"activation is 'sine'; .* has linear, relu, tanh"),
        ({"activation": ("elu", ())}, r"activation 'elu' has 0 parameters; expected 1"),
        ({"optimiser_options": {"momentum": 0.0}}, r"holds no 'learning_rate'"),
        ({"state": []}, r"state has 0 tables; expected 2, accumulator, momentum"),
        ({"batch_size": 0}, r"batch_size is 0; expected 1\.\.2147483647"),
        ({"seed": -1}, r"seed is -1"),
        ({"support": np.ones(V - 1, np.int64)}, r"support is int64 .* expected \(50, 1\)"),
        ({"support": np.ones(V, np.int32)}, r"support is int32"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.Trainer(**{**arguments(), **change})


@pytest.mark.parametrize(
    ("table", "name", "array", "message"),
    [
        (None, "Wy.weight", None, r"parameters has no 'Wy.weight'"),
        (None, "Wy.weight", np.zeros((V, 6), np.float32), r"Wy.weight is .* expected \(50, 5\)"),
        (None, "Wy.weight", np.zeros((5, V), np.float32).T, r"Wy.weight .* expected contiguous"),
        (None, "G.1.weight_hh", np.zeros((15, 5)), r"G.1.weight_hh is float64"),
        (None, "G.0.bias_ih", np.zeros(17, np.float32), r"G.0.bias_ih is .* expected \(18,\)"),
        (0, "By.weight", np.zeros((V, 2), np.float32), r"accumulator of By.weight .* \(50, 1\)"),
        (1, "Wy.weight", None, r"state, momentum, has no 'Wy.weight'"),
        (1, "Wy.weight", np.zeros((V, 5, 2), np.float32)[..., 0], r"momentum of Wy.weight .* rows"),
        (0, "G.0.bias_ih", np.zeros((18, 2), np.float32)[:, 0], r"elements 2 floats apart"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    table: int | None, name: str, array: Float32 | None, message: str
) -> None:
    keywords = arguments()
    arrays = keywords["parameters"] if table is None else keywords["state"][table]
    if array is None:
        del arrays[name]
    else:
        arrays[name] = array
    with pytest.raises(ValueError, match=message):
        _core.Trainer(**keywords)


def test_layers_that_do_not_fit_together_are_refused() -> None:
    def refused(message: str, layers: tuple[LayerSpec, ...], **options: Any) -> None:
        spec = replace(NetworkSpec.of(Config().replace(layers=(6, 5), **options), V), layers=layers)
        shapes = spec.parameters.items()
        parameters = {name: np.zeros(shape, np.float32) for name, shape in shapes}
        keywords = {**arguments(**options), "spec": spec, "parameters": parameters}
        keywords["state"] = [parameters, parameters]
        with pytest.raises(ValueError, match=message):
            _core.Trainer(**keywords)

    first, second = arguments()["spec"].layers
    refused(r"layer 1 takes 7 inputs; expected 6, the units of", (first, replace(second, inputs=7)))
    names = ("inputs", "units", "dropout", "activation", "weights")
    other = SimpleNamespace(cell="cnn", **{name: getattr(second, name) for name in names})
    refused("cell is 'cnn'; the CPU engine has gru-reset-after", (first, cast("LayerSpec", other)))
    act = Activation("softplus")
    refused(r"activation is 'softplus'; .* has linear, relu", (replace(first, activation=act),))
    one_hot, second = arguments(constrained_embedding=False)["spec"].layers
    refused(
        r"layer 0 takes 17 inputs; expected 18, its units times its cell's gates",
        (replace(one_hot, inputs=17), second),
        constrained_embedding=False,
    )


def test_blocks_that_do_not_fit_are_refused() -> None:
    trainer = _core.Trainer(**arguments())
    block = random_block(3)
    block.rows[1, 0] = V
    with pytest.raises(ValueError, match=r"step 1 of the block .* a catalogue of 50 items"):
        trainer.train_block(block, 1)
    with pytest.raises(ValueError, match=r"the block has 5 lanes; .* batch_size, 4"):
        trainer.train_block(random_block(3, lanes=5), 1)
    with pytest.raises(ValueError, match="threads is 0"):
        trainer.train_block(random_block(3), 0)
    trainer.states = [h[:2] for h in trainer.states]
    block = random_block(3)
    block.restarts[:] = 0
    with pytest.raises(ValueError, match="step 0 of the block names a lane"):
        trainer.train_block(block, 1)


@pytest.mark.parametrize("loss", _core.losses())
@pytest.mark.parametrize("embedding", [{}, {"embedding": 7}, {"constrained_embedding": False}])
def test_a_run_can_be_cut_and_restored(loss: str, embedding: dict[str, Any]) -> None:
    if "embedding" in embedding:
        embedding = {**embedding, "constrained_embedding": False}
    whole, cut = ({**arguments(**embedding), "loss": loss} for _ in range(2))
    one, block = _core.Trainer(**whole), random_block(8)
    losses = one.train_block(block, 1)
    halves: list[Float32] = []
    states = None
    for begin in (0, 4):
        trainer = _core.Trainer(**cut)  # a new one each time: all it knows is given to it
        if states is not None:
            trainer.states = states
        rows = {
            k: v[begin : begin + 4] for k, v in vars(block).items() if isinstance(v, np.ndarray)
        }
        part = cast("StepBlock", SimpleNamespace(first_step=begin, first_lane=0, **rows))
        halves.append(trainer.train_block(part, 2))
        states = trainer.states
    assert np.array_equal(np.concatenate(halves), losses)
    for name, value in whole["parameters"].items():
        assert np.array_equal(value, cut["parameters"][name]), name
    assert states is not None
    assert all(np.array_equal(a, b) for a, b in zip(states, one.states, strict=True))
    assert [h.shape for h in states] == [(B, 6), (B, 5)]
    one.start_epoch()
    assert all(not h.any() for h in one.states)


def test_states_that_do_not_fit_are_refused() -> None:
    trainer = _core.Trainer(**arguments())
    with pytest.raises(ValueError, match=r"there are 1 states; expected one for each of 2 layers"):
        trainer.states = trainer.states[:1]
    with pytest.raises(ValueError, match=r"state is .* expected \(4, 6\)"):
        trainer.states = [np.zeros((5, n), np.float32) for n in (6, 5)]


@pytest.mark.parametrize(
    "step", [{}, {"momentum": 0.4}, {"lmbd": 0.2}, {"momentum": 0.4, "lmbd": 0.2}]
)
@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 7), (50, 8), (50, 100)])
@pytest.mark.parametrize("adapt", OPTIMISERS)
def test_an_optimiser_updates_rows(
    adapt: str, shape: tuple[int, ...], step: dict[str, float], instruction_set: str
) -> None:
    rng = np.random.default_rng(len(shape))
    optimiser = reference.OPTIMISERS[adapt](Config().replace(adapt=adapt, **step))
    theta = rng.normal(0, 1, shape).astype(np.float32)
    state = []
    for name, kind in optimiser.state_kinds.items():
        size = shape if kind == "element" else (50, 1)[: len(shape)]
        table = rng.random(size, np.float32)
        state.append(np.round(9 * table) if name == "steps" else table)
    rows = rng.permutation(50)[:20]
    g = rng.normal(0, 1, (20, *shape[1:])).astype(np.float32)
    g[3] = 0
    exact = [torch.from_numpy(x.astype(np.float64)) for x in (theta, *state, g)]
    reference.update_rows(optimiser, exact[0], exact[1:-1], torch.from_numpy(rows), exact[-1])
    # The same gradient in two parts, of which 20 places count.
    places = rng.permutation(30)[:20]
    parts = [np.zeros((30, *shape[1:]), np.float32) for _ in range(2)]
    parts[0][places], parts[1][places] = 0.75 * g, 0.25 * g
    copies = [theta.copy(), *(table.copy() for table in state)]
    options = optimiser_options(optimiser)
    _core.update_rows(adapt, options, copies[0], copies[1:], rows, parts, places)
    _core.update_rows(adapt, options, theta, state, rows, [parts[0][places] + parts[1][places]])
    for once, summed in zip((theta, *state), copies, strict=True):
        np.testing.assert_array_equal(once, summed)
    for fast, truth in zip((theta, *state), exact[:-1], strict=True):
        np.testing.assert_allclose(fast, truth.numpy(), rtol=3e-6, atol=3e-6)


def test_updates_that_do_not_fit_are_refused() -> None:
    theta = np.zeros((5, 3), np.float32)
    options = {"learning_rate": 0.1, "momentum": 0.0, "lmbd": 0.0}
    a, g = np.zeros_like(theta), np.ones((1, 3), np.float32)
    with pytest.raises(ValueError, match=r"a row is outside theta; expected 0\.\.4"):
        _core.update_rows("adagrad", options, theta, [a], np.array([5]), [g])
    with pytest.raises(ValueError, match=r"g is .* expected \(5, 3\)"):
        _core.update_rows("adagrad", options, theta, [a], None, [g])
    with pytest.raises(ValueError, match=r"places holds 1; expected 0\.\.0"):
        _core.update_rows("adagrad", options, theta, [a], np.array([2]), [g, g], np.array([1]))
    with pytest.raises(ValueError, match="g is empty"):
        _core.update_rows("adagrad", options, theta, [a], np.array([2]), [])
    with pytest.raises(ValueError, match="theta is float64"):
        _core.update_rows("adagrad", options, cast("Any", np.zeros((5, 3))), [a], None, [g])
