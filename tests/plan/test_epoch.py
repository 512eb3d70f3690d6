"""Planning ahead: what is planned, and that its thread ends whatever happens."""

from __future__ import annotations

import dataclasses
import gc
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gru4rec_fast._core import merge_rows
from gru4rec_fast.plan.epoch import BLOCKS_AHEAD, EpochPlan, plan_epoch
from gru4rec_fast.plan.lanes import lane_blocks
from gru4rec_fast.plan.negatives import FixedNegatives, negative_sampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gru4rec_fast._core import Int32, Int64

V = 500


@dataclass(frozen=True)
class Log:
    items: Int32
    offsets: Int64
    order: Int64


def random_log(n_sessions: int = 300, seed: int = 0) -> Log:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, n_sessions)
    lengths[0] = 40  # taken last, so that the epoch ends with it alone
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = rng.integers(0, V, offsets[-1]).astype(np.int32)
    return Log(items, offsets, np.append(1 + rng.permutation(n_sessions - 1), 0))


LOG = random_log()
SAMPLER = negative_sampler(np.arange(1, V + 1), 0.5)


def plan(log: Log = LOG, sampler: Any = SAMPLER, **change: Any) -> EpochPlan:
    settings = {
        "batch_size": 16,
        "n_sample": 32,
        "seed": 42,
        "first_step": 1000,
        "block_steps": 10,
    }
    return plan_epoch(log, sampler, **(settings | change))


def steps_of(blocks: EpochPlan) -> list[dict[str, Any]]:
    """Every step by itself, without the padding that depends on its block."""
    steps = []
    for block in blocks:
        for t in range(len(block)):
            step = {
                f.name: getattr(block, f.name)[t]
                for f in dataclasses.fields(block)
                if f.name != "first_step"
            }
            for name in ("rows", "target_count", "sample_count"):
                step[name] = step[name][: block.touched[t]]
            steps.append(step | {"number": block.first_step + t})
    return steps


def assert_same(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    gc.collect()
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("n_sample", [0, 32])
def test_a_plan_is_its_parts(n_sample: int) -> None:
    step = 1000
    lanes = lane_blocks(LOG, 16, min_live=1 if n_sample else 2, block_steps=10)
    with plan(n_sample=n_sample) as blocks:
        for block, expected in zip(blocks, lanes, strict=True):
            assert block.first_step == step
            assert len(block) == len(expected.live)
            for name in ("inputs", "targets", "restarts", "source", "events", "live"):
                np.testing.assert_array_equal(getattr(block, name), getattr(expected, name))
            negatives = SAMPLER.draw(42, step, len(block), n_sample)
            np.testing.assert_array_equal(block.negatives, negatives)
            merged = merge_rows(block.inputs, block.targets, block.live, negatives)
            for name in (
                "rows",
                "target_count",
                "sample_count",
                "target_row",
                "input_row",
                "scored",
                "touched",
            ):
                np.testing.assert_array_equal(getattr(block, name), getattr(merged, name))
            step += len(block)
    assert step > 1000 + 50


def test_without_samples_no_step_has_a_lone_lane() -> None:
    alone, together = steps_of(plan(n_sample=1)), steps_of(plan(n_sample=0))
    assert alone[-1]["live"] == 1
    assert together[-1]["live"] >= 2
    assert len(together) < len(alone)


@pytest.mark.parametrize("block_steps", [1, 7, 128, 10_000])
def test_the_block_size_does_not_change_the_plan(block_steps: int) -> None:
    assert_same(steps_of(plan(block_steps=block_steps)), steps_of(plan()))


@pytest.mark.parametrize("skip", [0, 1, 9, 10, 25])
def test_a_resumed_plan_goes_on_identically(skip: int) -> None:
    resumed = steps_of(plan(skip_steps=skip))
    assert resumed[0]["number"] == 1000 + skip
    assert_same(resumed, steps_of(plan())[skip:])


def test_skipping_the_whole_epoch_leaves_nothing() -> None:
    assert steps_of(plan(skip_steps=10**6)) == []


def test_an_order_of_its_own() -> None:
    order = LOG.order[::-1].copy()
    reordered = Log(LOG.items, LOG.offsets, order)
    assert_same(steps_of(plan(order=order)), steps_of(plan(reordered)))


def test_given_negatives_go_round_through_all_epochs() -> None:
    given_rows = np.random.default_rng(3).integers(0, V, (37, 4))
    fixed = FixedNegatives(given_rows, n_items=V)
    step = 0
    for _epoch in range(2):
        with plan(sampler=fixed, n_sample=4, first_step=step) as blocks:
            for block in blocks:
                for negatives in block.negatives:
                    np.testing.assert_array_equal(negatives, given_rows[step % 37])
                    step += 1
    assert step > 2 * 37


def test_it_plans_ahead_but_not_far() -> None:
    calls: list[int] = []

    class Counted:
        def draw(self, seed: int, first_step: int, steps: int, n: int) -> Int32:
            calls.append(first_step)
            return SAMPLER.draw(seed, first_step, steps, n)

    with plan(sampler=Counted(), block_steps=1) as blocks:
        deadline = time.monotonic() + 5
        while len(calls) < BLOCKS_AHEAD + 1 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert calls == list(range(1000, 1000 + BLOCKS_AHEAD + 1))  # the last one waits for room
        next(blocks)


def test_the_thread_ends_on_an_early_stop() -> None:
    with plan(block_steps=1) as blocks:
        next(blocks)
    assert list(blocks) == []
    blocks.close()


def test_the_thread_ends_when_the_plan_is_dropped() -> None:
    for block in plan(block_steps=1):
        assert len(block) == 1
        break


def test_the_thread_ends_when_the_consumer_raises() -> None:
    blocks = plan(block_steps=1)

    def consume() -> None:
        with blocks:
            next(blocks)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        consume()
    assert list(blocks) == []


def test_the_thread_ends_when_nothing_is_consumed() -> None:
    with plan(block_steps=1):
        pass


@dataclass
class Failing:
    """Draws until step `at`, then raises."""

    at: int
    error: BaseException

    def draw(self, seed: int, first_step: int, steps: int, n: int) -> Int32:
        if first_step >= self.at:
            raise self.error
        return SAMPLER.draw(seed, first_step, steps, n)


@pytest.mark.parametrize("at", [1000, 1005])
@pytest.mark.parametrize("error", [RuntimeError("it broke"), KeyboardInterrupt("it broke")])
def test_an_error_of_the_planner_surfaces_after_the_blocks_before_it(
    at: int, error: BaseException
) -> None:
    seen: list[int] = []
    with plan(sampler=Failing(at, error), block_steps=1) as blocks:
        with pytest.raises(type(error), match="it broke"):  # noqa: PT012 - blocks come before it
            while True:
                seen.append(next(blocks).first_step)
        assert seen == list(range(1000, at))
        assert list(blocks) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "lanes is 0"),
        ({"n_sample": -1}, "n_sample is -1"),
        ({"block_steps": 0}, "block_steps is 0"),
        ({"skip_steps": -1}, "skip_steps is -1"),
        ({"order": np.array([300])}, "session 300 at position 0"),
    ],
)
def test_errors_come_at_the_call(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(**change)


def test_a_bad_seed_surfaces_in_the_consumer() -> None:
    with plan(seed=-1) as blocks, pytest.raises(ValueError, match="seed is -1"):
        next(blocks)
