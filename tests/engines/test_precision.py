"""`precision` in the C++ engine: products of bfloat16 parts by every instruction set, whole steps
against the reference in the same precision, and which path runs."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gru4rec_fast import GRU4Rec, _core
from gru4rec_fast.config import Config
from gru4rec_fast.engines.choice import ENGINES
from tests.logs import random_log
from tests.options import CELLS, EMBEDDINGS, LOSSES
from tests.oracle import Run, random_block, truth_of
from tests.reference.test_products import BOUND

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS = {"medium": 1, "high": 2}
SLACK = 3.0
"""The engine sums in another order than the reference, and computes some single dot products in
float32; both are far below what a precision rounds."""


def factors(n: int, depth: int, m: int) -> list[NDArray[np.float32]]:
    """Matrices (n, depth), (depth, m), (n, m) with numbers of many magnitudes."""
    rng = np.random.default_rng(n * depth * m)
    shapes = ((n, depth), (depth, m), (n, m))
    return [
        (rng.normal(size=shape) * 10 ** rng.uniform(-3, 3, shape)).astype(np.float32)
        for shape in shapes
    ]


@pytest.mark.parametrize("precision", PARTS)
def test_a_product_is_within_the_bound_of_its_parts(
    precision: str, bf16_instruction_set: str
) -> None:
    """Sizes with and without whole tiles, and deeper than a strip of 256."""
    for n, depth, m in itertools.product((1, 16, 41), (1, 31, 64, 300), (1, 48, 70)):
        a, b, c = factors(n, depth, m)
        truth = a.astype(float) @ b.astype(float)
        magnitude = np.abs(a).astype(float) @ np.abs(b).astype(float)
        # In float32 a sum of 3 products a term goes through so many roundings at most.
        rounded = 2.0**-24 * (3 * depth + 2)
        found = _core.bf16_product(precision, a, b)
        assert (np.abs(found - truth) <= (BOUND[PARTS[precision]] + rounded) * magnitude).all()
        transposed = np.ascontiguousarray(a.T)
        assert np.array_equal(_core.bf16_product(precision, transposed, b, by_columns=True), found)
        added = _core.bf16_product(precision, a, b, c=c)
        magnitude += np.abs(c)
        most = (BOUND[PARTS[precision]] + rounded) * magnitude
        assert (np.abs(added - truth - c) <= most).all()


@pytest.mark.parametrize("precision", PARTS)
def test_an_element_has_the_same_bits_wherever_it_is(
    precision: str, bf16_instruction_set: str
) -> None:
    a, b, _ = factors(70, 90, 100)
    whole = _core.bf16_product(precision, a, b)
    for i, j in ((0, 0), (17, 33), (69, 99), (37, 50)):
        column = np.ascontiguousarray(b[:, j : j + 1])
        assert _core.bf16_product(precision, a[i : i + 1], column)[0, 0] == whole[i, j]


def test_the_instruction_sets_agree_on_exact_products() -> None:
    """Small integers are bfloat16 numbers, and so are their sums in float32."""
    rng = np.random.default_rng(0)
    a = rng.integers(-9, 10, (50, 70)).astype(np.float32)
    b = rng.integers(-9, 10, (70, 60)).astype(np.float32)
    for name in _core.bf16_instruction_sets():
        _core.use_bf16_instruction_set(name)
        for precision in PARTS:
            assert np.array_equal(_core.bf16_product(precision, a, b), a @ b), name
    _core.use_bf16_instruction_set("")


def test_numbers_that_are_not_normal(bf16_instruction_set: str) -> None:
    """Below 2^-126 they count as zero; NaN and infinity stay what they are."""
    tiny = np.array([[1e-39, 1.0]], np.float32)
    assert _core.bf16_product("high", tiny, np.array([[1e20], [0.0]], np.float32))[0, 0] == 0.0
    infinite = np.array([[np.inf, 1.0]], np.float32)
    assert _core.bf16_product("medium", infinite, np.ones((2, 1), np.float32))[0, 0] == np.inf
    for precision in PARTS:
        unknown = np.array([[np.nan, 1.0]], np.float32)
        assert np.isnan(_core.bf16_product(precision, unknown, np.ones((2, 1), np.float32))).all()


def require_parity(config: Config, lanes: int, samples: int, n_items: int, steps: int) -> None:
    """Of what training changed, by tensor: as far from float64 as the reference, times SLACK."""
    block = random_block(lanes, samples, n_items, steps)
    truth = truth_of(config.replace(precision="highest"), block, n_items)
    ours = Run(config, block, n_items=n_items)
    same = Run(config, block, "reference", n_items=n_items)
    for name, before in truth.initial.items():
        update = (truth.p[name] - before).norm()
        found, allowed = (
            float((run.p[name] - truth.p[name]).norm() / update) for run in (ours, same)
        )
        assert 0 < found <= SLACK * allowed, f"{name}: {found:.1e}, reference {allowed:.1e}"
    off, allowed = (float((run.losses - truth.losses).norm()) for run in (ours, same))
    assert 0 < off <= SLACK * allowed, f"losses: {off:.1e}, reference {allowed:.1e}"


STEPS: dict[str, dict[str, Any]] = {
    **{f"{cell}-{e}": {**CELLS[cell], **EMBEDDINGS[e]} for cell in CELLS for e in EMBEDDINGS},
    **{f"loss-{loss}": options for loss, options in LOSSES.items()},
    "stacked": {"layers": (40, 70), "feed_forward": (33,), "dropout_p_hidden": 0.2},
}


@pytest.mark.parametrize("precision", PARTS)
@pytest.mark.parametrize("case", STEPS)
def test_steps_are_as_precise_as_those_of_the_reference(
    case: str, precision: str, bf16_instruction_set: str
) -> None:
    options = {"layers": (50,), "momentum": 0.1, "learning_rate": 0.02, **STEPS[case]}
    config = Config().replace(**options, batch_size=21, n_sample=120, precision=precision)
    require_parity(config, 21, 120, 400, steps=3)


@pytest.mark.parametrize("precision", PARTS)
def test_large_states(precision: str, bf16_instruction_set: str) -> None:
    """Deeper than a strip, and lanes of several blocks."""
    config = Config().replace(layers=(300,), batch_size=70, n_sample=250, precision=precision)
    require_parity(config, 70, 250, 600, steps=2)


@pytest.mark.parametrize("precision", PARTS)
@pytest.mark.parametrize("cell", ["gru", "gru-reset-before"])
def test_equal_bits_for_any_number_of_threads(
    cell: str, precision: str, bf16_instruction_set: str
) -> None:
    # Large enough for every loop to be shared.
    config = Config().replace(
        **CELLS[cell], layers=(150, 130), feed_forward=(120,), batch_size=60, n_sample=700,
        dropout_p_hidden=0.3, precision=precision,
    )  # fmt: skip
    block = random_block(60, config.n_sample, n_items=2000, steps=2)
    before = torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            runs.append(Run(config, block, n_items=2000))
    finally:
        torch.set_num_threads(before)
    assert [run.differs_from(runs[0]) for run in runs] == [[]] * 3


def test_auto_is_float32_and_so_is_what_nothing_makes_faster() -> None:
    """Bit for bit; what is faster differs."""
    config = Config().replace(layers=(20,), batch_size=10, n_sample=40)
    block = random_block(10, 40, steps=3)
    auto = Run(config, block)
    for precision in ("highest", *PARTS):
        run = Run(config.replace(precision=precision), block)
        is_float32 = _core.instructions_of_products(precision) == "float32"
        assert (run.differs_from(auto) == []) == is_float32, precision


def test_a_choice_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'neon' is not available; expected one of .*emulated"):
        _core.use_bf16_instruction_set("neon")
    with pytest.raises(ValueError, match=r"precision 'low' is not available; expected .* medium"):
        _core.instructions_of_products("low")
    assert _core.instructions_of_products("highest") == "float32"
    one = np.ones((1, 1), np.float32)
    with pytest.raises(ValueError, match="'highest' is float32 here"):
        _core.bf16_product("highest", one, one)


def test_what_multiplies_is_named(caplog: pytest.LogCaptureFixture) -> None:
    engine, cpu = ENGINES["cpu"], torch.device("cpu")
    high = Config().replace(precision="high")
    assert engine.products(Config(), cpu) == "float32"
    _core.use_bf16_instruction_set("emulated_amx")
    named = engine.products(high, cpu)
    medium = engine.products(Config().replace(precision="medium"), cpu)
    _core.use_bf16_instruction_set("")
    assert named == "two bfloat16 numbers each, summed in float32 (emulated_amx)"
    assert medium == "bfloat16 numbers, summed in float32 (emulated_amx)"
    if _core.instructions_of_products("high") == "float32":
        assert engine.products(high, cpu) == "float32 (no AMX on this processor)"
    with caplog.at_level(logging.INFO):
        GRU4Rec(layers=(5,), batch_size=4, n_sample=3, n_epochs=1, precision="high").fit(
            random_log(), progress=False
        )
    assert f"precision 'high': {engine.products(high, cpu)}" in caplog.messages


def test_ranks_stay_float32(bf16_instruction_set: str) -> None:
    """Whatever the precision was in training, a model scores as one of precision 'highest'."""
    log = random_log()
    gru = GRU4Rec(layers=(20,), batch_size=8, n_sample=16, n_epochs=1, precision="medium")
    gru.fit(log, progress=False)
    other = GRU4Rec(layers=(20,), batch_size=8, n_sample=16, n_epochs=1)
    other.fit(log, progress=False)
    assert not torch.equal(gru.model.Wy.weight, other.model.Wy.weight)
    other.model.load_state_dict(gru.model.state_dict())
    session = log["ItemId"].head(5).tolist()
    ours, theirs = (model.recommend(session, 10) for model in (gru, other))
    assert ours.equals(theirs)
