"""The C++ training step: every option against the float64 reference, for every instruction set;
the same bits for any number of threads; and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from gru4rec_fast import _core
from gru4rec_fast.config import Config
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.engines import contract, cpu
from gru4rec_fast.engines.cpu import CpuTrainer
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler
from gru4rec_fast.reference import Adagrad
from tests.logs import random_log
from tests.options import (
    ACTIVATED,
    ACTIVATIONS,
    CELLS,
    EMBEDDINGS,
    EVERY_OPTION,
    LOSSES,
    OPTIMISERS,
    SCHEDULE,
)
from tests.oracle import Run, V, random_block, truth_of

if TYPE_CHECKING:
    from gru4rec_fast.plan.block import StepBlock


def require_parity(config: Config, block: StepBlock, n_items: int = V) -> Run:
    """Losses within 1e-5, every tensor within 1e-4 of its own scale; returns the truth.

    Some losses and optimisers amplify what float32 rounds, by the sign of a gradient that is nearly
    zero for example. There the errors may be 4 times the largest ones of the reference in float32.
    """
    truth = truth_of(config, block, n_items)
    errors = Run(config, block, n_items=n_items).error(truth)
    loss, tensors = errors.pop("loss"), max(errors.values())
    if not (loss <= 1e-5 and tensors <= 1e-4):
        own = Run(config, block, "reference", n_items=n_items).error(truth)
        assert loss <= max(1e-5, 4 * own.pop("loss"))
        assert tensors <= max(1e-4, 4 * max(own.values())), errors
    return truth


@pytest.mark.parametrize("options", EVERY_OPTION)
def test_every_option(options: dict[str, Any], instruction_set: str) -> None:
    config = Config().replace(**options, batch_size=10)
    truth = require_parity(config, random_block(config.batch_size, config.n_sample))
    for name, value in truth.p.items():
        assert not torch.equal(value, truth.initial[name]), f"{name} was not trained"


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("lanes", [2, 7, 16, 17, 80])
def test_any_number_of_lanes(loss: str, lanes: int) -> None:
    config = Config().replace(
        **LOSSES[loss], layers=(50,), batch_size=lanes, n_sample=300, momentum=0.1
    )
    require_parity(config, random_block(lanes, 300, steps=6))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("units", "lanes"), [(203, 85), (293, 70)])
def test_large_states(loss: str, units: int, lanes: int, instruction_set: str) -> None:
    """Of over 16,384 numbers: their item rows are packed, in larger tiles."""
    config = Config().replace(
        **LOSSES[loss], layers=(units,), batch_size=lanes, n_sample=400, momentum=0.1
    )
    require_parity(config, random_block(lanes, 400, n_items=900, steps=3), 900)


@pytest.mark.parametrize("options", [{"cell": "lstm"}, {"feed_forward": (210,)}], ids=str)
def test_large_states_of_other_networks(options: dict[str, Any], instruction_set: str) -> None:
    config = Config().replace(
        **options, layers=(203,), batch_size=85, n_sample=400, momentum=0.1, dropout_p_hidden=0.2
    )
    require_parity(config, random_block(85, 400, n_items=900, steps=3), 900)


@pytest.mark.parametrize("cap", [0.0, 0.5])
@pytest.mark.parametrize("momentum", [0.0, 0.3])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_learning_rates_of_a_schedule(
    optimiser: str, momentum: float, cap: float, instruction_set: str
) -> None:
    options = {**OPTIMISERS[optimiser], "momentum": momentum, "grad_cap": cap, "layers": (20,)}
    config = Config().replace(**options, **SCHEDULE, batch_size=10, n_sample=40)
    block = random_block(10, 40, steps=10)
    truth = require_parity(config, block)
    constant = truth_of(Config().replace(**options, batch_size=10, n_sample=40), block)
    assert max(truth.error(constant).values()) > 1e-2


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("cell", ["gru-reset-before", "rnn"])
def test_hidden_activations(cell: str, act: str, embedding: str) -> None:
    config = Config().replace(
        **CELLS[cell],
        **EMBEDDINGS[embedding],
        hidden_act=act,
        layers=(37,),
        batch_size=10,
        n_sample=40,
        learning_rate=0.01,
    )
    require_parity(config, random_block(10, 40, steps=10))


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_lanes_beyond_the_last_one_do_not_count(cell: str, embedding: str) -> None:
    """A one-hot input's products are overwritten by the cell, also in the rest of a vector.

    They would grow there from step to step, were they not read anew.
    """
    act = {"hidden_act": "leaky-2"} if cell == "rnn" else {}
    config = Config().replace(
        **CELLS[cell],
        **EMBEDDINGS[embedding],
        **act,
        layers=(20,),
        batch_size=3,
        n_sample=20,
        learning_rate=0.001,
    )
    block = random_block(3, 20, steps=200)
    errors = Run(config, block).error(truth_of(config, block))
    del errors["loss"]
    assert max(errors.values()) <= 1e-4, errors


THREADED = {
    **{
        f"{embedding}-{loss}": {**EMBEDDINGS[embedding], **LOSSES[loss], "momentum": 0.2}
        for embedding in EMBEDDINGS
        for loss in ("cross-entropy-logq", "bpr-max")
    },
    **{
        f"{embedding}-{cell}-ff": {
            **EMBEDDINGS[embedding],
            **CELLS[cell],
            "feed_forward": (140, 120),
            "n_sample": 200,
        }
        for embedding in EMBEDDINGS
        for cell in CELLS
    },
    **{loss: options for loss, options in LOSSES.items() if options["loss"] != "bpr-max"},
    **OPTIMISERS,
    **{f"{name}-cap": {**o, "momentum": 0.2, "grad_cap": 0.5} for name, o in OPTIMISERS.items()},
}


@pytest.mark.parametrize("case", THREADED)
def test_equal_bits_for_any_number_of_threads(case: str) -> None:
    # Large enough for every loop to be shared.
    config = Config().replace(
        **{"layers": (150, 130), "n_sample": 1500, "dropout_p_hidden": 0.3, **THREADED[case]},
        batch_size=60,
    )
    block = random_block(60, config.n_sample, n_items=4000, steps=6)
    before = torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            runs.append(Run(config, block, n_items=4000))
    finally:
        torch.set_num_threads(before)
    assert [run.differs_from(runs[0]) for run in runs] == [[]] * 4


def test_steps_that_try_without_help_have_equal_bits() -> None:
    """Short steps: after some of them, some run on one thread, to see which way is faster."""
    config = Config().replace(
        layers=(100,), batch_size=50, n_sample=0, constrained_embedding=False, momentum=0.1
    )
    block = random_block(50, 0, n_items=400, steps=100)
    before = torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            runs.append(Run(config, block, n_items=400))
    finally:
        torch.set_num_threads(before)
    assert [run.differs_from(runs[0]) for run in runs] == [[]] * 3


def test_all_tables_are_advised_to_lie_on_huge_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of a row lies side by side, so its tables are not contiguous."""
    advised: list[tuple[int, int]] = []
    monkeypatch.setattr(
        _core,
        "advise_huge_pages",
        lambda array: advised.append((array.ctypes.data, array.ctypes.data + array.nbytes)),
    )
    run = Run(Config().replace(layers=(20,), batch_size=4, momentum=0.2), random_block(4, 10))
    for table in (run.p, *run.trainer.optimiser_state.values()):
        for name, value in table.items():
            last = value[(-1,) * value.dim()]
            assert any(
                begin <= value.data_ptr() and last.data_ptr() < end for begin, end in advised
            ), name


def planned_blocks(config: Config, block_steps: int) -> tuple[list[StepBlock], int]:
    """An epoch of sessions, in which lanes die, and V."""
    sessions = load_sessions(random_log())
    with plan_epoch(
        sessions,
        negative_sampler(sessions.support, config.sample_alpha),
        batch_size=config.batch_size,
        n_sample=config.n_sample,
        seed=config.seed,
        first_step=0,
        block_steps=block_steps,
    ) as blocks:
        return list(blocks), sessions.n_items


def test_the_length_of_blocks_changes_nothing() -> None:
    config = Config().replace(
        layers=(20,), batch_size=8, n_sample=16, dropout_p_hidden=0.3, momentum=0.2
    )
    runs = []
    for block_steps in (1, 3, 1000):
        blocks, n_items = planned_blocks(config, block_steps)
        runs.append(Run(config, blocks, n_items=n_items))
    assert [run.differs_from(runs[0]) for run in runs] == [[]] * 3


def test_only_touched_rows_move() -> None:
    config = Config().replace(layers=(20,), batch_size=4, n_sample=10, momentum=0.5)
    block = random_block(4, 10, steps=3)
    run = Run(config, block)
    scored = {int(i) for t in range(3) for i in block.rows[t, : block.scored[t]]}
    touched = {int(i) for t in range(3) for i in block.rows[t, : block.touched[t]]}
    assert scored < touched
    for name, expected in (("Wy.weight", touched), ("By.weight", scored)):
        moved = (run.p[name] != run.initial[name]).any(dim=1).nonzero()[:, 0].tolist()
        assert set(moved) == expected, name


@pytest.mark.parametrize("loss", LOSSES | ACTIVATED)
def test_extreme_scores_stay_finite(loss: str, instruction_set: str) -> None:
    options = (LOSSES | ACTIVATED)[loss]
    config = Config().replace(**options, layers=(20,), batch_size=4, n_sample=10)
    network = Network(config, V)
    network.initialise()
    network.By.weight[::2] = 3000.0
    network.By.weight[1::2] = -3000.0
    p = network.parameter_dict()
    support = torch.ones(V, dtype=torch.int64)
    trainer = CpuTrainer(network.spec, p, Adagrad(config), config, support)
    assert torch.isfinite(trainer.train_block(random_block(4, 10, steps=2))).all()
    assert all(torch.isfinite(value).all() for value in p.values())


def test_a_cap_binds_in_some_steps_only(instruction_set: str) -> None:
    """Before the first step whose norm reaches the cap, the bits are those without a cap."""
    config = Config().replace(layers=(20,), batch_size=10, n_sample=64, momentum=0.2)
    block = random_block(10, 64)
    free = Run(config, block)
    capped = config.replace(grad_cap=0.6)
    cut = Run(capped, block)
    first = int((cut.losses != free.losses).nonzero()[0])
    assert 1 <= first < len(block) - 1
    require_parity(capped, block)
    assert Run(config.replace(grad_cap=1e6), block).differs_from(free) == []


@pytest.mark.parametrize("momentum", [0.0, 0.2])
def test_where_the_state_lies_changes_nothing(
    momentum: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config().replace(layers=(20,), batch_size=4, n_sample=10, momentum=momentum)
    block = random_block(4, 10, steps=5)
    together = Run(config, block)
    monkeypatch.setattr(
        cpu, "new_state", lambda optimiser, p, **_: contract.new_state(optimiser, p)
    )
    apart = Run(config, block)
    assert together.differs_from(apart) == []
    tables = [
        [state["Wy.weight"] for state in run.trainer.optimiser_state.values()]
        for run in (together, apart)
    ]
    assert all(table.is_contiguous() for table in tables[1])
    if momentum > 0:
        a, m = (table[7] for table in tables[0])
        assert m.data_ptr() == a.data_ptr() + 20 * a.element_size()


@pytest.mark.parametrize(
    ("options", "widths"),
    [({}, (12, 9)), ({"cell": "lstm", "feed_forward": (7,), "dropout_p_hidden": 0.2}, (24, 18))],
    ids=["gru", "lstm"],
)
def test_states_are_kept_between_blocks_and_can_be_restored(
    options: dict[str, Any], widths: tuple[int, int]
) -> None:
    """A feed-forward layer carries none."""
    config = Config().replace(**options, layers=(12, 9), batch_size=8, n_sample=10)
    (first, second, *_), n_items = planned_blocks(config, block_steps=4)
    run = Run(config, [first, second], n_items=n_items)
    other = Run(config, first, n_items=n_items)
    kept = [state.clone() for state in other.trainer.states]
    assert [tuple(state.shape) for state in kept] == [(8, width) for width in widths]
    other.trainer.start_epoch()
    assert not any(state.any() for state in other.trainer.states)
    other.trainer.states = kept
    other.losses = torch.cat([other.losses, other.trainer.train_block(second)])
    assert run.differs_from(other) == []


def test_what_does_not_fit_is_refused() -> None:
    config = Config().replace(layers=(20,), batch_size=4, n_sample=10)
    with pytest.raises(ValueError, match=r"does not exist; expected .* of 200 items"):
        Run(config, random_block(4, 10, n_items=1000))
    network = Network(config, V)
    support = torch.ones(V, dtype=torch.int64)
    p = network.parameter_dict()
    for name, shape in (("Wy.weight", (V, 21)), ("G.0.bias_ih", (61,))):
        wrong = p | {name: torch.zeros(shape)}
        with pytest.raises(ValueError, match=rf"{name} is float32 of shape .*; expected "):
            CpuTrainer(network.spec, wrong, Adagrad(config), config, support)
    with pytest.raises(ValueError, match=r"support is int64 of shape \(7,\); expected "):
        CpuTrainer(network.spec, p, Adagrad(config), config, support[:7])
