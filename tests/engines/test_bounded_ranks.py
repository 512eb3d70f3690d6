"""Ranks and best items by bounds are those of the float32 scores, to the last bit.

Every weight here is chosen so that a bound which is too small, or a wrong integer product, gives
another count. Each test runs for every instruction set that this processor has, and for AMX
written in plain C++.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from gru4rec_fast import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Problem = tuple[Floats, Floats, Floats, NDArray[np.int64]]


def bound_sets() -> list[tuple[str, str]]:
    """Each instruction set with each set of ranks by bounds that goes with it."""
    before = _core.instruction_set()
    pairs = []
    for name in _core.instruction_sets():
        _core.use_instruction_set(name)
        pairs += [(name, bounds) for bounds in _core.bound_instruction_sets()]
    _core.use_instruction_set(before)
    return pairs


@pytest.fixture(params=bound_sets(), ids=lambda pair: pair[1], autouse=True)
def bound_set(request: pytest.FixtureRequest) -> Iterator[str]:
    before, bounds_before = _core.instruction_set(), _core.bound_instruction_set()
    name, bounds = request.param
    _core.use_instruction_set(name)
    _core.use_bound_instruction_set(bounds)
    yield bounds
    _core.use_instruction_set(before)
    _core.use_bound_instruction_set(bounds_before)


def largest_feature_integer(bound_set: str) -> int:
    """To what the largest number of a feature row is rounded: 7 bits where VPMADDUBSW is used."""
    return 64 if bound_set in ("avx2", "avx512") else 127


def same(problem: Problem, k: int = 20, threads: int = 1, bound_factor: float = 1.0) -> bool:
    """Whether counts and best items are those without bounds."""
    features, w, b, targets = problem
    items = _core.BoundedItems(w, b, bound_factor=bound_factor, threads=threads)
    counts = _core.rank_counts(features, w, b, targets, threads)
    best = _core.top_k(features, w, b, k, threads)
    bounded = items.rank_counts(features, targets, threads)
    bounded_best = items.top_k(features, k, threads)
    expected = [x.tobytes() for x in (*counts, *best)]
    return expected == [x.tobytes() for x in (*bounded[:2], *bounded_best[:2])]


def undecided(problem: Problem) -> float:
    """The share of pairs that the bounds do not place."""
    features, w, b, targets = problem
    *_, counts = _core.BoundedItems(w, b, threads=1).rank_counts(features, targets, 1)
    return counts[0] / counts[2]


def random_problem(rows: int, n_items: int, units: int, seed: int = 0) -> Problem:
    """Features near the rows of their targets, as those of a trained model are."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((n_items, units), dtype=np.float32)
    b = rng.standard_normal((n_items, 1), dtype=np.float32)
    targets = rng.integers(0, n_items, rows)
    noise = rng.standard_normal((rows, units), dtype=np.float32)
    return w[targets] + noise, w, b, targets


SIZES = [(1, 1, 1), (3, 47, 5), (4, 9000, 64), (5, 1000, 33), (33, 4900, 8), (70, 5003, 100)]


@pytest.mark.rounding
@pytest.mark.parametrize(("rows", "n_items", "units"), [*SIZES, (16, 2000, 300), (40, 62_000, 16)])
def test_random_weights(rows: int, n_items: int, units: int) -> None:
    problem = random_problem(rows, n_items, units)
    for k in (1, min(20, n_items)):
        assert same(problem, k=k)
    assert same(problem, k=min(n_items, 9000), threads=3)


@pytest.mark.parametrize("units", [16, 100])
def test_most_pairs_are_decided(units: int) -> None:
    assert undecided(random_problem(40, 5000, units)) < 0.2


def scaled(problem: Problem, w: float, features: float, b: float | None = None) -> Problem:
    """The problem with all numbers multiplied."""
    b = w * features if b is None else b
    factors = np.float32(features), np.float32(w), np.float32(b)
    f, items, biases = (x * y for x, y in zip(problem[:3], factors, strict=True))
    return f, items, biases, problem[3]


def tied(problem: Problem) -> Problem:
    """Every item three times, without biases, as before training."""
    f, w, b, targets = problem
    third = len(w) // 3
    w[third : 2 * third] = w[:third]
    w[-third:] = w[:third]
    return f, w, np.zeros_like(b), targets


def of_whole_numbers(problem: Problem) -> Problem:
    """Scores that often tie although the rows differ."""
    f, w, b, targets = problem
    return np.round(f), np.round(w), np.round(b), targets


def of_unequal_rows(problem: Problem) -> Problem:
    """Rows, and numbers of a row, of all sizes."""
    f, w, b, targets = problem
    rng = np.random.default_rng(5)
    rows, cells = rng.uniform(-30, 0, (len(w), 1)), rng.integers(-20, 1, w.shape)
    w = (w * 2.0**rows * 2.0**cells).astype(np.float32)
    return f, w, b * np.float32(0.001), targets


def nearly_equal(problem: Problem) -> Problem:
    """All rows within rounding errors of one: no bound separates them."""
    f, w, b, targets = problem
    one = w[:1] + w * np.float32(1e-7)
    return f, one, b * np.float32(1e-6), targets


def with_zeros(problem: Problem) -> Problem:
    """Zero features, as those of padding, zero rows, and signed zeros."""
    f, w, b, targets = problem
    f[::3], w[::5], w[::7] = 0, 0, -0.0
    b[::2] = 0
    return f, w, b, targets


def with_one_huge(problem: Problem) -> Problem:
    """One number that dwarfs all others of its row."""
    f, w, b, targets = problem
    w[::3, 1], f[::2, 2], b[5] = 1e6, -1e6, 1e9
    return f, w, b, targets


WEIGHTS: dict[str, Callable[[Problem], Problem]] = {
    "tied": tied,
    "whole": of_whole_numbers,
    "unequal": of_unequal_rows,
    "nearly equal": nearly_equal,
    "zeros": with_zeros,
    "one huge": with_one_huge,
    "large": lambda p: scaled(p, 1e12, 1e12),
    "overflowing": lambda p: scaled(p, 1e25, 1e8, 1e30),
    "infinite scores": lambda p: (np.abs(p[0]) * np.float32(1e19), np.abs(p[1]) * np.float32(1e19),
                                  p[2], p[3]),
    "small": lambda p: scaled(p, 1e-15, 1e-15),
    "products below the normal numbers": lambda p: scaled(p, 1e-20, 1e-20),
    "rows below the normal numbers": lambda p: scaled(p, 1e-41, 1.0),
    "small and large": lambda p: scaled(p, 1e-41, 1e30, 1e-9),
    "features below the normal numbers": lambda p: scaled(p, 1e30, 1e-41, 1e-9),
    "large biases": lambda p: scaled(p, 1.0, 1.0, 1e20),
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("rows", [2, 37])
def test_other_weights(name: str, rows: int) -> None:
    assert same(WEIGHTS[name](random_problem(rows, 1500, 24, seed=rows)))


@pytest.mark.parametrize("name", ["small and large", "products below the normal numbers"])
def test_where_the_processor_takes_small_numbers_as_zero(name: str) -> None:
    problem = WEIGHTS[name](random_problem(37, 1500, 24))
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor has no such mode")
    try:
        assert same(problem)
    finally:
        torch.set_flush_denormal(False)


def test_weights_that_are_not_finite_are_ranked_without_bounds() -> None:
    features, w, b, targets = random_problem(5, 1500, 24)
    w[3, 3] = np.inf
    features[:, 3] = np.abs(features[:, 3])
    assert same((features, w, b, targets))
    assert undecided((features, w, b, targets)) == 1


# ---- Weights at the bound: a bound of four fifths gives other counts ----

TOO_SMALL = 0.8


def at_the_bound_of_the_items(rows: int, bound_set: str) -> Problem:
    """What is lost by rounding the items has the direction of the features."""
    rng = np.random.default_rng(0)
    units, n_items = 64, 600
    integers = rng.permuted(np.tile(rng.integers(-100, 100, units), (n_items, 1)), axis=1)
    integers[:, 0] = 127
    integers[:, 1] = integers[0].sum() - (integers.sum(axis=1) - integers[:, 1])
    w = (integers + 0.49) / 128
    w[:, 0] = 127 / 128
    # The true scores are 0.49 * 63 / 128 above those of the integers; the target is 27 / 128 above.
    w[0] = integers[0] / 128
    b = np.zeros((n_items, 1), np.float32)
    b[0] = 27 / 128
    return (np.ones((rows, units), np.float32), w.astype(np.float32), b,
            np.zeros(rows, np.int64))  # fmt: skip


def at_the_bound_of_the_features(rows: int, bound_set: str) -> Problem:
    """What is lost by rounding the features has the direction of the items."""
    rng = np.random.default_rng(0)
    units, n_items = 64, 600
    most = largest_feature_integer(bound_set)
    sign = rng.choice([-1.0, 1.0], units)
    integers = rng.integers(-most + 1, most, units).astype(float)
    features = integers + 0.49 * sign
    features[0] = most
    integers[0] = most
    w = np.tile(sign, (n_items, 1))
    b = np.zeros((n_items, 1))
    b[0] = 27  # of the 0.49 * 63 that rounding takes from the others
    w[0] = sign * 0
    w[0, 0] = (integers @ sign) / most  # the same score as that of the integers
    return (np.tile(features, (rows, 1)).astype(np.float32), w.astype(np.float32),
            b.astype(np.float32), np.zeros(rows, np.int64))  # fmt: skip


@pytest.mark.parametrize("problem", [at_the_bound_of_the_items, at_the_bound_of_the_features])
@pytest.mark.parametrize("rows", [1, 40])
def test_a_bound_that_is_too_small_is_noticed(
    problem: Callable[[int, str], Problem], rows: int, bound_set: str
) -> None:
    assert same(problem(rows, bound_set))
    assert not same(problem(rows, bound_set), bound_factor=TOO_SMALL)


def test_the_rounding_of_the_scores_themselves_is_in_the_bound() -> None:
    """Whole numbers, rounded without loss; sums beyond 2^24 are not exact in float32."""
    rng = np.random.default_rng(0)
    units, n_items = 4096, 300
    w = rng.permuted(np.tile(rng.integers(100, 127, units), (n_items, 1)), axis=1)
    w[:, -1] = 127
    w[np.arange(n_items), rng.integers(0, units - 1, n_items)] += rng.integers(-1, 2, n_items)
    problem = (np.full((37, units), 127, np.float32), w.astype(np.float32),
               np.zeros((n_items, 1), np.float32), np.arange(37))  # fmt: skip
    assert same(problem)
    assert not same(problem, bound_factor=0.0)


def test_bad_arguments_are_refused() -> None:
    features, w, b, targets = random_problem(3, 47, 5)
    items = _core.BoundedItems(w, b, threads=1)
    with pytest.raises(ValueError, match=r"a target is outside the catalogue; .*0\.\.46"):
        items.rank_counts(features, targets + 47, 1)
    with pytest.raises(ValueError, match=r"features is float32 .* expected \(3, 5\)"):
        items.top_k(features[:, :4].copy(), 3, 1)
    with pytest.raises(ValueError, match="threads is 0; expected at least 1"):
        items.top_k(features, 3, 0)
    with pytest.raises(ValueError, match="w has 32769 columns; expected at most 32768"):
        _core.BoundedItems(np.zeros((1, 32769), np.float32), b[:1], threads=1)
    with pytest.raises(ValueError, match="set of ranks by bounds 'mmx' is not available"):
        _core.use_bound_instruction_set("mmx")
