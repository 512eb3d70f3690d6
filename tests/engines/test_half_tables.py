"""Item tables in bfloat16: stochastic rounding, steps on them, ranks, and whole models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gru4rec_fast import GRU4Rec, _core, batch_eval, reference
from gru4rec_fast.config import Config
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.model.finite import is_finite
from gru4rec_fast.model.network import Network
from gru4rec_fast.reference import OPTIMISERS
from gru4rec_fast.reference.rounding import philox4x32
from gru4rec_fast.training.memory import needed_memory
from tests.logs import random_log
from tests.options import EMBEDDINGS
from tests.oracle import V, random_block

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from gru4rec_fast.engines.contract import Trainer
    from gru4rec_fast.plan.block import StepBlock

HALF: dict[str, Any] = {"table_dtype": "bfloat16"}


def test_the_references_philox_is_that_of_the_core() -> None:
    g = torch.Generator().manual_seed(1)
    counter = [torch.randint(0, 2**32, (50,), generator=g) for _ in range(4)]
    seed = 0xFEDCBA9876543210
    words = torch.stack(philox4x32(seed, counter), dim=1).tolist()
    for k in range(50):
        a, b, c, d = (int(word[k]) for word in counter)
        assert words[k] == list(_core.philox4x32(seed, (a, b, c, d)))


def test_rounding_is_unbiased_and_exact_where_it_can_be() -> None:
    n = 20_000
    values = torch.tensor([[1.0, -3.5, 0.0, 1 + 2**-9, -(1 + 3 * 2**-10), 1e-30, 0.1]])
    found = reference.rounded_rows(values.expand(n, -1), torch.arange(n), 5, 3, 0).double()
    assert (found[:, :3] == values[0, :3]).all()
    lower, upper = found.amin(dim=0), found.amax(dim=0)
    exact = values[0].double()
    assert (lower <= exact).all()
    assert (exact <= upper).all()
    assert (found[:, 3:] == lower[3:]).logical_or(found[:, 3:] == upper[3:]).all()
    assert ((upper - lower)[3:] <= exact[3:].abs() * 2**-7).all()
    # 5 standard deviations of a mean of n draws between the two.
    assert ((found.mean(dim=0) - exact).abs() <= 5 * (upper - lower) / 2 / n**0.5).all()


@pytest.mark.parametrize("table", [0, 1])
def test_the_random_numbers_are_those_of_the_definition(table: int) -> None:
    """Also of blocks beyond 2^32: a number rounds up where its lower half and they carry."""
    rows, columns, seed, step = [3, 2**31 - 1], 20, 2**40 + 3, 2**33 + 1
    lower = np.random.default_rng(1).integers(0, 2**16, (2, columns))
    values = torch.from_numpy((0x3F800000 + lower).astype(np.int32).view(np.float32))
    found = reference.rounded_rows(values, torch.tensor(rows), seed, step, table)
    for i, row in enumerate(rows):
        for k in range(columns):
            b = row * 3 + k // 8
            counter = (b % 2**32, step % 2**32, step >> 32, 2**31 + 2**30 * table + (b >> 32))
            word = _core.philox4x32(seed, counter)[k % 8 // 2]
            random = word >> 16 if k % 2 else word & 0xFFFF
            up = int(lower[i, k]) + random >= 2**16
            assert float(found[i, k]) == (1 + 2**-7 if up else 1.0)


def test_rounding_keeps_what_is_not_finite() -> None:
    worst = np.array([0x7FFFFFFF, 0xFF800001], np.uint32).view(np.float32)
    values = torch.tensor([[float("inf"), -float("inf"), *worst.tolist()]])
    values[0, 2:] = torch.from_numpy(worst)
    for step in range(20):
        found = reference.rounded_rows(values, torch.tensor([4]), 0, step, 1)[0]
        assert found[:2].tolist() == [float("inf"), -float("inf")]
        assert found[2:].isnan().all()
        assert not is_finite(found[:1])
        assert not is_finite(found[2:])


@pytest.mark.parametrize("columns", [1, 7, 8, 33, 300])
@pytest.mark.parametrize(("step", "table"), [(0, 0), (2**40 + 5, 1)])
def test_the_engine_rounds_as_the_reference(
    columns: int, step: int, table: int, instruction_set: str
) -> None:
    rng = np.random.default_rng(columns)
    rows = rng.permutation(4000)[:39]
    values = rng.normal(0, 1, (39, columns)).astype(np.float32)
    values[::5, 0] = [np.inf, -np.inf, np.nan, 3e38, -3e38, 0.0, -0.0, 1e-45]
    theta = np.full((4000, columns), 77, np.uint16)
    expected = theta.copy()
    _core.round_rows(theta, rows, values, 2**63 + 9, step, table)
    rounded = reference.rounded_rows(
        torch.from_numpy(values), torch.from_numpy(rows), 2**63 + 9, step, table
    )
    expected[rows] = rounded.view(torch.int16).numpy().view(np.uint16)
    assert np.array_equal(theta, expected)
    # The same rows in a part of the table.
    part, at = np.full((50, columns), 77, np.uint16), rng.permutation(50)[:39]
    _core.round_rows(part, rows, values, 2**63 + 9, step, table, at)
    assert np.array_equal(part[at], expected[rows])
    assert (np.delete(part, at, axis=0) == 77).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"theta": np.zeros((9, 4), np.float32)}, r"theta is float32 .*; expected uint16"),
        ({"table": 2}, "of table 2; expected uint16 of table 0 or 1"),
        ({"items": np.array([9])}, r"a row is outside theta; expected 0\.\.8"),
        ({"values": np.zeros((2, 4), np.float32)}, r"values is float32 .* expected \(1, 4\)"),
        ({"values": np.zeros((1, 5), np.float32)}, r"theta is uint16 .* expected \(9, 5\)"),
        ({"seed": -1}, "seed is -1"),
        ({"at": np.array([9])}, r"a row is outside theta; expected 0\.\.8"),
        ({"at": np.array([1, 2])}, r"at is int64 .*; expected shape \(1,\)"),
    ],
)
def test_the_rounding_refuses_what_does_not_fit(change: dict[str, Any], message: str) -> None:
    given = {
        "theta": np.zeros((9, 4), np.uint16),
        "items": np.array([3]),
        "values": np.zeros((1, 4), np.float32),
        "seed": 1,
        "step": 2,
        "table": 0,
    }
    with pytest.raises(ValueError, match=message):
        _core.round_rows(**{**given, **change})


class Training:
    """A network with the trainer of an engine."""

    def __init__(self, config: Config, engine: str = "cpu") -> None:
        self.network = Network(config, V)
        self.network.initialise()
        self.p = self.network.parameter_dict()
        rng = np.random.default_rng(5)
        self.p["By.weight"].copy_(torch.from_numpy(rng.normal(0, 0.1, (V, 1))))
        support = torch.from_numpy(rng.integers(1, 50, V))
        optimiser = OPTIMISERS[config.adapt](config)
        self.trainer: Trainer = ENGINES[engine].trainer(
            self.network.spec, self.p, optimiser, config, support
        )
        self.trainer.start_epoch()

    def tensors(self) -> dict[str, Tensor]:
        found = {f"state {layer}": h for layer, h in enumerate(self.trainer.states)} | self.p
        for state, tables in self.trainer.optimiser_state.items():
            found |= {f"{state} of {name}": table for name, table in tables.items()}
        return found


def steps_of(block: StepBlock) -> list[StepBlock]:
    return [block.part(t, t + 1) for t in range(len(block))]


STEP_OPTIONS = {
    "rowwise": {"adapt": "adagrad-rowwise", "layers": (33, 20)},
    "adagrad-capped": {"adapt": "adagrad", "momentum": 0.3, "grad_cap": 0.1, "logq": 1.0},
    "adam-bpr-max": {"adapt": "adam", "loss": "bpr-max", "learning_rate": 0.01},
}


@pytest.mark.parametrize("options", STEP_OPTIONS.values(), ids=STEP_OPTIONS)
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_a_step_is_that_of_float32_rounded(
    embedding: str, options: dict[str, Any], instruction_set: str
) -> None:
    config = Config().replace(
        **EMBEDDINGS[embedding], **options, batch_size=10, n_sample=40, dropout_p_embed=0.2, **HALF
    )
    half = Training(config)
    full = Training(config.replace(table_dtype="float32"))
    spec = half.network.spec
    assert half.p["Wy.weight"].dtype == torch.bfloat16
    for step in steps_of(random_block(10, 40, steps=9)):
        before = {name: half.p[name].clone() for name in ("Wy.weight", spec.input_table)}
        for name, table in before.items():
            full.p[name].copy_(table)
        losses = [run.trainer.train_block(step) for run in (half, full)]
        assert torch.equal(*losses)
        inputs = np.unique(step.inputs[0, : step.live[0]])
        scored = step.rows[0, : (step.touched if spec.shared else step.scored)[0]]
        for name, table in before.items():
            rows = torch.from_numpy(scored if name == "Wy.weight" else inputs).long()
            number = int(name != "Wy.weight")
            table[rows] = reference.rounded_rows(
                full.p[name][rows], rows, config.seed, step.first_step, number
            )
            assert torch.equal(half.p[name], table), name
            full.p[name].copy_(table)
        others = full.tensors()
        for name, value in half.tensors().items():
            assert torch.equal(value.to(others[name].dtype), others[name]), name


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_a_step_is_near_the_references(embedding: str) -> None:
    config = Config().replace(**EMBEDDINGS[embedding], batch_size=10, n_sample=60, **HALF)
    fast, slow = Training(config), Training(config, "reference")
    step = steps_of(random_block(10, 60))[0]
    losses = [float(run.trainer.train_block(step)) for run in (fast, slow)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name in {"Wy.weight", fast.network.spec.input_table}:
        start = Network(config, V)
        start.initialise()
        assert not torch.equal(fast.p[name], start.parameter_dict()[name])
        bits = [run.p[name].view(torch.int16).int() for run in (fast, slow)]
        # What float32 rounds otherwise can pass a random number: then one bit differs.
        assert (bits[0] - bits[1]).abs().max() <= 1
        assert (bits[0] != bits[1]).float().mean() < 0.01


def test_bits_depend_on_neither_threads_nor_block_lengths() -> None:
    config = Config().replace(
        constrained_embedding=False, embedding=300, layers=(300,), batch_size=80, n_sample=5000,
        **HALF,
    )  # fmt: skip
    block = random_block(80, 5000, steps=4)
    block.rows[:] %= V
    threads = torch.get_num_threads()
    runs = []
    try:
        for n, blocks in ((1, [block]), (3, [block]), (1, steps_of(block))):
            torch.set_num_threads(n)
            runs.append(Training(config))
            for each in blocks:
                runs[-1].trainer.train_block(each)
    finally:
        torch.set_num_threads(threads)
    first, *others = [run.tensors() for run in runs]
    for other in others:
        for name, value in first.items():
            assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("rows", [1, 4, 70])
def test_scores_are_those_of_the_same_numbers_in_float32(rows: int, instruction_set: str) -> None:
    g = torch.Generator().manual_seed(rows)
    w = torch.randn(5000, 37, generator=g).bfloat16()
    w[7] = w[3]
    b = torch.randn(5000, 1, generator=g)
    features = torch.randn(rows, 37, generator=g)
    targets = torch.randint(0, 5000, (rows,), generator=g)
    targets[0] = 7
    items = torch.randint(0, 5000, (99,), generator=g)
    half, full = (ENGINES["cpu"].ranker(table, b) for table in (w, w.float()))
    for name, arguments in (("rank_counts", [targets]), ("top_k", [20]), ("scores", [items])):
        found, expected = (getattr(each, name)(features, *arguments) for each in (half, full))
        for one, other in zip(
            *((x if isinstance(x, tuple) else (x,)) for x in (found, expected)), strict=True
        ):
            assert torch.equal(one, other), name


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_the_forward_pass_is_that_of_the_same_numbers_in_float32(embedding: str) -> None:
    config = Config().replace(**EMBEDDINGS[embedding], layers=(20,), **HALF)
    network = Network(config, V)
    network.initialise()
    p = network.parameter_dict()
    items, offsets = torch.arange(30) * 3, torch.tensor([0, 4, 4, 30])
    states = [torch.zeros(3, 20)]
    full = {name: value.float() for name, value in p.items()}
    for engine in ("cpu", "reference"):
        found = [
            ENGINES[engine].forward(network.spec, q).advance(items, states, offsets)
            for q in (p, full)
        ]
        assert torch.equal(found[0][1], found[1][1])
        assert torch.equal(found[0][0][0], found[1][0][0])


def test_a_model_is_trained_saved_loaded_evaluated_and_updated(tmp_path: Path) -> None:
    log = random_log(n_sessions=300, n_items=60)
    options: dict[str, Any] = {"layers": [16], "batch_size": 20, "n_sample": 30, "device": "cpu"}
    gru = GRU4Rec(**options, **HALF, n_epochs=2, adapt="adagrad-rowwise").fit(log, progress=False)
    assert gru.engine_ == "cpu"
    path = tmp_path / "model.safetensors"
    gru.savemodel(path, training_state=True)
    loaded = GRU4Rec.loadmodel(path, device="cpu")
    assert loaded.table_dtype == "bfloat16"
    assert loaded.model.Wy.weight.dtype == torch.bfloat16
    found = [batch_eval(each, log, cutoff=[5]) for each in (gru, loaded)]
    assert found[0] == found[1]
    # The same numbers in float32 score alike.
    items = [7, 14]
    full = GRU4Rec(**options, n_epochs=1).fit(log, progress=False)
    full.model.load_state_dict(gru.model.state_dict())
    assert batch_eval(full, log, cutoff=[5]) == found[0]
    assert gru.recommend(items).equals(full.recommend(items))
    assert gru.item_vectors().equals(full.item_vectors())
    assert gru.similar_items(items, k=3).equals(full.similar_items(items, k=3))
    served, expected = (each.live().step(["a", "b"], items, k=5) for each in (gru, full))
    np.testing.assert_array_equal(served.ids, expected.ids)
    np.testing.assert_array_equal(served.scores, expected.scores)
    for number, each in enumerate((gru, full)):
        each.export_onnx(tmp_path / f"{number}.onnx")
    assert (tmp_path / "0.onnx").read_bytes() == (tmp_path / "1.onnx").read_bytes()
    newer = random_log(n_sessions=50, n_items=90, seed=3)
    for each in (gru, loaded):
        each.partial_fit(newer, 1, new_items="co-visited", progress=False)
    assert loaded.model.Wy.weight.shape[0] > full.model.Wy.weight.shape[0]
    for name, value in gru.model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name]), name


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    log = random_log(n_sessions=200)

    def fit(**arguments: Any) -> GRU4Rec:
        gru = GRU4Rec(layers=[8], batch_size=10, n_sample=20, n_epochs=2, device="cpu", **HALF)
        return gru.fit(log, progress=False, sample_cache_max_size=100, **arguments)

    folder = tmp_path / "states"
    fit(checkpoint=folder, checkpoint_every=7, on_block=lambda report: report.minibatches > 20)
    resumed = fit(checkpoint=folder, checkpoint_every=7, resume=True)
    for name, value in fit().model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_what_knows_no_such_tables_says_so() -> None:
    config = Config().replace(**HALF)
    network = Network(config, V)
    task = (network.spec, OPTIMISERS[config.adapt](config), config)
    reason = ENGINES["triton"].supports(*task, torch.device("cuda"), torch.float32)
    assert reason == "it does not know table_dtype='bfloat16'"
    assert not ENGINES["triton"].half_tables
    assert ENGINES["cpu"].supports(*task, torch.device("cpu"), torch.float32) is None


def test_one_table_alone_is_refused() -> None:
    config = Config().replace(constrained_embedding=False, embedding=8, layers=(8,))
    network = Network(config, V)
    network.initialise()
    p = network.parameter_dict()
    p["E.weight"] = p["E.weight"].bfloat16()
    with pytest.raises(ValueError, match="expected both of one type"):
        ENGINES["cpu"].forward(network.spec, p)


def test_the_estimate_of_memory_knows_them() -> None:
    config = Config().replace(
        layers=(32,), adapt="adagrad-rowwise", constrained_embedding=False, embedding=16
    )
    full, half = (
        needed_memory(config.replace(table_dtype=dtype), 10**6, 100)
        for dtype in ("float32", "bfloat16")
    )
    assert full["parameters"] - half["parameters"] == 2 * 10**6 * (32 + 16)
    assert full["optimiser state"] == half["optimiser state"]
