"""Negative samples: the distribution, the documented function of the seed, and given ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from gru4rec_fast._core import NegativeSampler, philox4x32
from gru4rec_fast.plan.negatives import FixedNegatives, negative_sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


ONES = 2**32 - 1


# The known answers of the Random123 paper's reference implementation.
@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        (0, (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (2**64 - 1, (ONES,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            0x299F31D0_A4093822,
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(
    key: int, counter: tuple[int, int, int, int], expected: tuple[int, ...]
) -> None:
    assert philox4x32(key, counter) == expected


def weights_of(size: int, alpha: float) -> NDArray[np.float64]:
    """Zipf-like weights, shuffled, as supports of a real catalogue are."""
    support = np.ceil(1e5 / np.arange(1, size + 1))
    return np.asarray(np.random.default_rng(1).permutation(support) ** alpha, dtype=np.float64)


@given(
    st.lists(
        st.floats(0, 1e9) | st.just(0.0) | st.sampled_from([1e-300, 1e300]), min_size=1, max_size=50
    ).filter(lambda weights: sum(weights) > 0)
)
@example([0.0, 0.0, 1e300, 1e300, 1e300])
def test_probabilities_are_exact_to_the_last_unit(weights: list[float]) -> None:
    weight = np.array(weights)
    p = NegativeSampler(weight).probabilities
    total = len(weights) * 2**32
    mass = np.rint(p * total)
    np.testing.assert_allclose(p * total, mass, rtol=1e-15)
    assert sum(map(int, mass)) == total
    np.testing.assert_array_equal(p > 0, weight > 0)
    # An item of hardly any weight takes one unit, which the heaviest gives.
    assert np.abs(p - weight / weight.sum()).max() * total <= 1 + np.sum(mass == 1) + 1e-4


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.5, 1.0])
def test_negative_sampler_follows_support_to_the_alpha(alpha: float) -> None:
    support = np.array([1, 5, 1000, 3, 8, 1], dtype=np.int64)
    expected = support.astype(float) ** alpha
    p = negative_sampler(support, alpha).probabilities
    np.testing.assert_allclose(p, expected / expected.sum(), rtol=1e-8)


def test_an_alpha_above_one_favours_the_popular_more_still() -> None:
    p = negative_sampler(np.array([1, 3]), 2.0).probabilities
    np.testing.assert_allclose(p, [0.1, 0.9], rtol=1e-8)


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.5, 1.0])
def test_draws_follow_the_probabilities(alpha: float) -> None:
    sampler = NegativeSampler(weights_of(1000, alpha))
    drawn = sampler.draw(seed=7, first_step=0, steps=500, n=2048)
    expected = sampler.probabilities * drawn.size
    assert expected.min() > 5, "the chi-square test needs enough draws of each item"
    assert stats.chisquare(np.bincount(drawn.ravel(), minlength=1000), expected).pvalue > 1e-4


@pytest.mark.parametrize("position", [0, 1, 2, 63, 64, 510])
def test_each_position_alone_follows_the_probabilities(position: int) -> None:
    sampler = NegativeSampler(weights_of(50, 0.5))
    drawn = sampler.draw(seed=3, first_step=0, steps=20_000, n=511)[:, position]
    expected = sampler.probabilities * len(drawn)
    assert stats.chisquare(np.bincount(drawn, minlength=50), expected).pvalue > 1e-4


def test_neighbours_are_independent() -> None:
    drawn = NegativeSampler(np.ones(8)).draw(seed=5, first_step=0, steps=2000, n=64)
    for pairs in (drawn[:, ::2] * 8 + drawn[:, 1::2], drawn[:-1] * 8 + drawn[1:]):
        assert stats.chisquare(np.bincount(pairs.ravel(), minlength=64)).pvalue > 1e-4


def test_ten_million_items_where_a_float32_table_fails() -> None:
    size = 10_000_000
    support = np.ones(size)
    support[: size // 100] = 1e5  # a popular head, then a long tail of single purchases
    weight = support**0.5

    # The usual sampler searches a float32 cumulative table with a uniform number. An item whose
    # entry equals the one before it has no number that finds it.
    table = np.cumsum(weight / weight.sum()).astype(np.float32)
    out_of_reach = np.count_nonzero(np.diff(table) == 0)
    assert out_of_reach > size // 4

    sampler = NegativeSampler(weight)
    p = sampler.probabilities
    assert p.min() > 0
    np.testing.assert_allclose(p, weight / weight.sum(), rtol=1e-8)

    drawn = sampler.draw(seed=11, first_step=0, steps=1000, n=2048).ravel()
    edges = np.linspace(0, size, 1001).astype(np.int64)
    observed = np.histogram(drawn, edges)[0]
    expected = np.add.reduceat(p, edges[:-1]) * drawn.size
    assert stats.chisquare(observed, expected).pvalue > 1e-4
    # The items that the table cannot find are drawn as often as they should be.
    lost = np.concatenate([[False], np.diff(table) == 0])
    expected_lost = p[lost].sum() * drawn.size
    assert abs(np.count_nonzero(lost[drawn]) - expected_lost) < 5 * np.sqrt(expected_lost)


def test_one_item_and_items_without_weight() -> None:
    assert np.all(NegativeSampler(np.array([0.3])).draw(1, 0, 3, 5) == 0)
    drawn = NegativeSampler(np.array([0.0, 2.0, 0.0, 1.0])).draw(1, 0, 100, 100)
    assert set(np.unique(drawn)) == {1, 3}


def test_the_draw_is_the_documented_function_of_seed_step_and_position() -> None:
    """Uniform weights need no alias, so the item is the slot u * V >> 64."""
    size, seed, step, n = 1_000_003, 2**63 + 12345, 2**35 + 9, 131
    drawn = NegativeSampler(np.ones(size)).draw(seed, step, 1, n)[0]
    for position in range(n):
        words = philox4x32(seed, (position // 2, step % 2**32, step >> 32, 0))
        high, low = words[2 * (position % 2) :][:2]
        assert drawn[position] == ((high << 32 | low) * size) >> 64


def test_slot_and_coin_are_bits_of_one_product() -> None:
    """Half of every slot belongs to its own item, the rest to item 0, which has all of its own."""
    size, seed, n = 1_000_003, 5, 50_000  # no power of two, where the lowest bits play no part
    weights = np.ones(size)
    weights[0] = size + 1
    drawn = NegativeSampler(weights).draw(seed, 1, 1, n)[0]
    words = [word for block in range(n // 2) for word in philox4x32(seed, (block, 1, 0, 0))]
    for item, high, low in zip(drawn, words[::2], words[1::2], strict=True):
        product = (high << 32 | low) * size
        slot, coin = product >> 64, (product >> 32) % 2**32
        assert item == (slot if coin < 2**31 else 0)


@given(st.integers(0, 300), st.lists(st.integers(1, 7), min_size=1, max_size=6), st.integers(0, 70))
def test_blocks_do_not_change_the_draw(first: int, blocks: list[int], n: int) -> None:
    sampler = NegativeSampler(weights_of(97, 0.5))
    whole = sampler.draw(42, first, sum(blocks), n)
    starts = first + np.concatenate([[0], np.cumsum(blocks)[:-1]])
    parts = [sampler.draw(42, int(s), b, n) for s, b in zip(starts, blocks, strict=True)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    # Nor do more samples change the first ones.
    np.testing.assert_array_equal(sampler.draw(42, first, sum(blocks), n + 5)[:, :n], whole)


def test_threads_do_not_change_the_draw() -> None:
    sampler = NegativeSampler(weights_of(10_000, 0.5))
    whole = sampler.draw(1, 0, 64, 512)
    with ThreadPoolExecutor(8) as pool:
        rows = pool.map(lambda t: sampler.draw(1, t, 1, 512), range(64))
    np.testing.assert_array_equal(np.concatenate(list(rows)), whole)


def test_each_seed_and_each_step_draws_anew() -> None:
    sampler = NegativeSampler(np.ones(1_000_000))
    seeds = [0, 1, 2, 2**32, 2**63]
    draws = [sampler.draw(seed, 0, 1, 1000)[0] for seed in seeds]
    draws += [sampler.draw(0, step, 1, 1000)[0] for step in (1, 2, 2**32, 2**63)]
    for i, a in enumerate(draws):
        for b in draws[:i]:
            assert np.mean(a == b) < 0.01


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([], "there are 0 weights"),
        ([1.0, -0.5], r"weight of item 1 is -0\.5"),
        ([1.0, np.nan], "weight of item 1 is nan"),
        ([np.inf, 1.0], "weight of item 0 is inf"),
        ([0.0, 0.0], r"weights sum to 0\.0+; expected a positive"),
        ([1.7e308, 1.7e308], "expected a positive finite sum"),
    ],
)
def test_sampler_errors(weights: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NegativeSampler(np.array(weights, dtype=np.float64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, r"seed is -1; expected an integer of 0\.\.2\^64-1"),
        ({"first_step": 2**64}, "first_step is 18446744073709551616"),
        ({"steps": -1}, "steps is -1"),
        ({"n": -2}, "n is -2"),
        ({"steps": 2**40, "n": 2**40}, "draw fewer steps"),
    ],
)
def test_draw_errors(change: dict[str, int], message: str) -> None:
    sampler = NegativeSampler(np.ones(3))
    with pytest.raises(ValueError, match=message):
        sampler.draw(**({"seed": 1, "first_step": 0, "steps": 1, "n": 1} | change))


@pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
def test_alpha_must_be_finite(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha is"):
        negative_sampler(np.ones(3), alpha)


def test_given_negatives_repeat_and_are_not_the_callers_array() -> None:
    given_rows = np.arange(6).reshape(3, 2)
    fixed = FixedNegatives(given_rows, n_items=6)
    given_rows[:] = 0
    assert fixed.draw(seed=99, first_step=2, steps=4, n=2).tolist() == [
        [4, 5],
        [0, 1],
        [2, 3],
        [4, 5],
    ]
    assert fixed.draw(0, 0, 0, 2).shape == (0, 2)
    assert fixed.draw(0, 0, 1, 2).dtype == np.int32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedNegatives(np.zeros(3, dtype=int)), r"int64 of shape \(3,\)"),
        (lambda: FixedNegatives(np.zeros((0, 3), dtype=int)), "T >= 1"),
        (lambda: FixedNegatives(np.zeros((2, 3))), "negatives are float64"),
        (lambda: FixedNegatives(np.array([[0, 5]]), n_items=5), r"item index 5; expected 0\.\.4"),
        (lambda: FixedNegatives(np.array([[0, -1]])), "item index -1"),
        (lambda: FixedNegatives(np.array([[2**31]])), "item index 2147483648"),
        (lambda: FixedNegatives(np.array([[1, 2]])).draw(0, 0, 1, 3), "set n_sample=2"),
        (lambda: FixedNegatives(np.array([[1, 2]])).draw(0, -1, 1, 2), "first_step is -1"),
    ],
)
def test_given_negatives_errors(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
