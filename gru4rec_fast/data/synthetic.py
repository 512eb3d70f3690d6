"""Generated session logs whose best reachable recall is known (`bayes_optimal`).

Each session has a hidden taste, one of K. A taste likes some items more than others, starts its
sessions with an item that it likes, and sends each item to a few successors of its own, with Zipf
weights. With probability `noise` the next item is drawn by popularity, whatever came before:

    P(first | taste)         = liking_taste(first)
    P(next | current, taste) = noise * popularity(next)
                             + (1 - noise) * sum_j weight_j [next = successor_j(taste, current)]

With noise = 1 sessions hold no structure, and nothing is better than popularity.

Letters: V items, K tastes, J successors. Successors are hashed from (seed, taste, item, j), not
stored, so that a catalogue of 10^6 items costs a few arrays of K * V numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gru4rec_fast.errors import ParameterError

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

START_OF_LOG = 1_577_836_800  # 2020-01-01 00:00:00 UTC, in unix seconds
SECONDS_OF_STARTS = 30 * 86_400
MEAN_SECONDS_BETWEEN_EVENTS = 30


@dataclass(frozen=True, eq=False)
class Generator:
    """The distribution of sessions; item ids are 0..V-1, in descending popularity."""

    n_items: int
    """V."""
    tastes: int
    """K, equally likely."""
    noise: float
    """Share of next items that are drawn by popularity alone, 0..1."""
    seed: int
    """Chooses the successors."""
    popularity: Float64
    """(V,) probabilities of next items that are noise."""
    liking: Float64
    """(K, V) probabilities of each taste's first items; successors are hashed by them."""
    weights: Float64
    """(J,) probabilities of an item's successors under one taste."""

    def successor(self, taste: Int64, item: Int64, j: Int64) -> Int64:
        """Successor number `j` (0..J-1) of `item` under `taste`; shapes broadcast.

        Two of the J may coincide; their weights then add up.
        """
        counter = (taste * self.n_items + item) * len(self.weights) + j
        # The seed is hashed first: if it were added as it is, seeds 0 and 1 would share successors.
        seed = _mix(np.full(1, self.seed, dtype=np.uint64))
        word = _mix(np.asarray(counter, dtype=np.uint64) + seed)
        return self.liked(taste, np.asarray((word >> np.uint64(11)) * 2.0**-53))

    def liked(self, taste: Int64, uniform: Float64) -> Int64:
        """Items drawn by `liking` from numbers uniform in [0, 1) (shapes broadcast)."""
        # Taste k's cumulative probabilities fill (k, k + 1], so one sorted array holds all tastes.
        found = np.searchsorted(self._cumulative_liking, taste + uniform, side="right")
        item: Int64 = np.clip(found - taste * self.n_items, 0, self.n_items - 1)
        return item

    def popular(self, uniform: Float64) -> Int64:
        """Items drawn by `popularity` from numbers uniform in [0, 1), same shape."""
        found = np.searchsorted(self._cumulative_popularity, uniform, side="right")
        return np.minimum(found, self.n_items - 1)

    @cached_property
    def _cumulative_liking(self) -> Float64:
        return (_cumulative(self.liking) + np.arange(self.tastes)[:, None]).ravel()

    @cached_property
    def _cumulative_popularity(self) -> Float64:
        return _cumulative(self.popularity)


@dataclass(frozen=True, eq=False)
class SyntheticLog:
    """A generated log and the distribution behind it."""

    log: pd.DataFrame
    """SessionId, ItemId (from 0) and Time (unix seconds), all int64, a row for each event in order
    of time: concurrent sessions interleave. Events of one session are a second or more apart."""
    generator: Generator
    """What the sessions were drawn from."""
    taste: Int64
    """(n_sessions,) hidden taste of each session, for tests; a model may not see it."""


def generate(
    n_sessions: int,
    n_items: int,
    *,
    tastes: int = 4,
    successors: int = 4,
    noise: float = 0.1,
    loyalty: float = 20.0,
    popularity_exponent: float = 0.6,
    zipf_exponent: float = 1.0,
    mean_length: float = 8.0,
    max_length: int = 50,
    single_share: float = 0.05,
    seed: int = 0,
) -> SyntheticLog:
    """Draw `n_sessions` sessions over `n_items` items; equal arguments give equal logs.

    Args:
        n_sessions: sessions, those of a single event included.
        n_items: V, items that can occur; a short log leaves some out.
        tastes: K, hidden tastes.
        successors: J, successors of an item under one taste, weighted 1 / rank^zipf_exponent.
        noise: share of next items drawn by popularity alone; 1 leaves nothing to learn.
        loyalty: item i belongs to taste i mod K, which likes it by this factor more than its
            popularity; 1 leaves only transitions to tell the taste by, which is hard to learn.
        popularity_exponent: item i has popularity 1 / (i + 1)^popularity_exponent; 0 is uniform.
        zipf_exponent: see `successors`.
        mean_length: mean of the geometric lengths of sessions of two events and more, before
            `max_length` cuts them.
        max_length: events of the longest session.
        single_share: share of sessions of a single event.
        seed: of the successors and of the sessions.

    Raises:
        ParameterError: a value out of its range.
    """
    for name, value, low, high in (
        ("n_sessions", n_sessions, 1, np.inf),
        ("n_items", n_items, 2, np.inf),
        ("tastes", tastes, 1, np.inf),
        ("successors", successors, 1, np.inf),
        ("noise", noise, 0, 1),
        ("loyalty", loyalty, 1, np.inf),
        ("popularity_exponent", popularity_exponent, 0, np.inf),
        ("zipf_exponent", zipf_exponent, 0, np.inf),
        ("mean_length", mean_length, 2, np.inf),
        ("max_length", max_length, 2, np.inf),
        ("single_share", single_share, 0, 1),
        ("seed", seed, 0, 2**63 - 1),
    ):
        if not low <= value <= high:
            upper = "or more" if high == np.inf else f"to {high}"
            raise ParameterError(f"{name}={value}: expected {low} {upper}")

    popularity = _zipf(n_items, popularity_exponent)
    own = np.arange(n_items) % tastes == np.arange(tastes)[:, None]
    liking = np.where(own, loyalty, 1.0) * popularity
    generator = Generator(
        n_items=n_items,
        tastes=tastes,
        noise=noise,
        seed=seed,
        popularity=popularity,
        liking=liking / liking.sum(axis=1, keepdims=True),
        weights=_zipf(successors, zipf_exponent),
    )
    random = np.random.default_rng(seed)
    length = np.minimum(1 + random.geometric(1 / (mean_length - 1), n_sessions), max_length)
    length[random.random(n_sessions) < single_share] = 1
    taste = random.integers(0, tastes, n_sessions)
    items = _draw_items(generator, taste, length, random)

    session = np.repeat(np.arange(n_sessions), length)
    start = START_OF_LOG + np.sort(random.integers(0, SECONDS_OF_STARTS, n_sessions))
    elapsed = np.cumsum(random.geometric(1 / MEAN_SECONDS_BETWEEN_EVENTS, len(session)))
    first_event = np.cumsum(length) - length
    time = elapsed + np.repeat(start - elapsed[first_event], length)
    order = np.argsort(time, kind="stable")
    log = pd.DataFrame(
        {"SessionId": session[order], "ItemId": items[order], "Time": time[order]}, dtype="int64"
    )
    return SyntheticLog(log=log, generator=generator, taste=taste)


def _zipf(n: int, exponent: float) -> Float64:
    weights = np.arange(1, n + 1) ** -float(exponent)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _cumulative(probabilities: Float64) -> Float64:
    """Cumulative probabilities along the last axis, the last of them exactly 1."""
    total = np.cumsum(probabilities, axis=-1)
    return np.asarray(total / total[..., -1:], dtype=np.float64)


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64 (Steele, Lea & Flood 2014): turns a counter into well-mixed bits."""
    word = word + np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = word ^ (word >> np.uint64(31))
    return mixed


def _draw_items(
    generator: Generator, taste: Int64, length: Int64, random: np.random.Generator
) -> Int64:
    """Items, session after session; all sessions advance together, an event at a time."""
    first_event = np.cumsum(length) - length
    items = np.empty(int(length.sum()), dtype=np.int64)
    alive = np.arange(len(length))
    current = generator.liked(taste, random.random(len(length)))
    items[first_event] = current
    cumulative_weights = _cumulative(generator.weights)
    for position in range(1, int(length.max())):
        goes_on = length[alive] > position
        alive, current = alive[goes_on], current[goes_on]
        j = np.searchsorted(cumulative_weights, random.random(len(alive)), side="right")
        current = generator.successor(taste[alive], current, j)
        stray = random.random(len(alive)) < generator.noise
        current[stray] = generator.popular(random.random(int(stray.sum())))
        items[first_event[alive] + position] = current
    return items
