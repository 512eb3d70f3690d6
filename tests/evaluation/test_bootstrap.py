"""Bootstrap intervals on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from gru4rec_fast import ParameterError
from gru4rec_fast.evaluation.bootstrap import SessionSums, check_bootstrap

TRIALS = 300
TRUTH = 0.3


def simulated(rng: np.random.Generator, n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Session and hit (0 or 1) of each prediction; a session's own rate makes its hits alike."""
    lengths = rng.integers(1, 12, n)
    rate = np.where(rng.random(n) < TRUTH, 0.9, 0.3 * 0.1 / 0.7)
    session = np.repeat(np.arange(n), lengths)
    return session, (rng.random(len(session)) < rate[session]).astype(float)


def sums(session: np.ndarray, hits: np.ndarray) -> SessionSums:
    counts = np.bincount(session).astype(float)
    return SessionSums(counts, np.bincount(session, weights=hits).astype(float)[:, None])


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = {"sessions": 0, "predictions": 0}
    for _ in range(TRIALS):
        session, hits = simulated(rng)
        alone = np.arange(len(session))
        for unit, of in (("sessions", session), ("predictions", alone)):
            ends = sums(of, hits).intervals(300, 0.95, seed=1)
            assert ends is not None
            covered[unit] += ends[0, 0] <= TRUTH <= ends[1, 0]
    deviation = (0.95 * 0.05 / TRIALS) ** 0.5
    assert abs(covered["sessions"] / TRIALS - 0.95) < 3 * deviation
    # Drawing predictions one by one would take them for independent.
    assert covered["predictions"] / TRIALS < 0.95 - 5 * deviation


def test_an_interval_is_that_of_resampled_rows() -> None:
    session, hits = simulated(np.random.default_rng(2), n=40)
    ends = sums(session, hits).intervals(20, 0.9, seed=5)
    assert ends is not None
    rng = np.random.default_rng(5)
    means = []
    for _ in range(20):
        drawn = rng.integers(40, size=40)
        rows = np.concatenate([hits[session == s] for s in drawn])
        means.append(rows.mean())
    assert ends[:, 0] == pytest.approx(np.quantile(means, [0.05, 0.95]))


def test_a_paired_interval_is_narrower_where_results_are_alike() -> None:
    rng = np.random.default_rng(1)
    session, hits = simulated(rng)
    other = np.where(rng.random(len(hits)) < 0.05, 1 - hits, hits)
    a, b = sums(session, hits), sums(session, other)
    ends = [x.intervals(1000, 0.95, seed=1) for x in (a.minus(b), a, b)]
    paired, one, two = (np.diff(e, axis=0)[0, 0] for e in ends if e is not None)
    assert paired < 0.5 * np.hypot(one, two)


def test_seeds_and_chunks() -> None:
    a = sums(*simulated(np.random.default_rng(4)))
    first, again, other = (a.intervals(100, 0.95, seed=s) for s in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    wide, narrow = a.intervals(1000, 0.99, seed=1), a.intervals(1000, 0.8, seed=1)
    assert wide is not None
    assert narrow is not None
    assert wide[0] < narrow[0] < a.means() < narrow[1] < wide[1]


def test_no_interval_without_resamples_or_of_one_session() -> None:
    a = sums(*simulated(np.random.default_rng(4)))
    assert a.intervals(0, 0.95, seed=1) is None
    assert SessionSums(np.array([2.0]), np.array([[1.0]])).intervals(100, 0.95, seed=1) is None


def test_bad_requests() -> None:
    with pytest.raises(ParameterError, match=r"n_bootstrap is -1; expected a whole number"):
        check_bootstrap(-1, 0.95)
    for confidence in (0.0, 1.0, 95, True):
        with pytest.raises(
            ParameterError, match=r"confidence is .*; expected a number in \(0, 1\)"
        ):
            check_bootstrap(100, confidence)
