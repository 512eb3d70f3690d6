"""Planning ahead: what is planned, and that its threads end whatever happens."""

from __future__ import annotations

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
    from collections.abc import Iterable, Iterator

    from gru4rec_fast._core import Int32, Int64
    from gru4rec_fast.plan.block import StepBlock

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


def steps_of(blocks: Iterable[StepBlock]) -> list[dict[str, Any]]:
    """Every step by itself, without the padding that depends on its block."""
    steps = []
    for block in blocks:
        for t in range(len(block)):
            step = {k: v[t] for k, v in vars(block).items() if isinstance(v, np.ndarray)}
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
    deadline = time.monotonic() + 60
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


@pytest.mark.parametrize("n_sample", [0, 32])
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("block_steps", [1, 10, 33])
def test_threads_do_not_change_the_plan(threads: int, block_steps: int, n_sample: int) -> None:
    several = steps_of(plan(threads=threads, block_steps=block_steps, n_sample=n_sample))
    assert_same(several, steps_of(plan(block_steps=block_steps, n_sample=n_sample)))


class Waiting:
    """Draws; the draw of the first block waits until that of the second has ended."""

    def __init__(self) -> None:
        self.second = threading.Event()

    def draw(self, seed: int, first_step: int, steps: int, n: int) -> Int32:
        if first_step == 1000:
            assert self.second.wait(60), "no other thread draws"
        drawn = SAMPLER.draw(seed, first_step, steps, n)
        if first_step == 1010:
            self.second.set()
        return drawn


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_work_at_once_and_blocks_come_in_order(threads: int) -> None:
    assert_same(steps_of(plan(sampler=Waiting(), threads=threads)), steps_of(plan()))


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


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_it_plans_ahead_but_not_far(threads: int) -> None:
    calls: list[int] = []

    class Counted:
        def draw(self, seed: int, first_step: int, steps: int, n: int) -> Int32:
            calls.append(first_step)
            return SAMPLER.draw(seed, first_step, steps, n)

    with plan(sampler=Counted(), block_steps=1, threads=threads) as blocks:
        deadline = time.monotonic() + 60
        while len(calls) < BLOCKS_AHEAD and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert sorted(calls) == list(range(1000, 1000 + BLOCKS_AHEAD))
        next(blocks)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_end_on_an_early_stop(threads: int) -> None:
    with plan(block_steps=1, threads=threads) as blocks:
        next(blocks)
    assert list(blocks) == []
    blocks.close()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_end_when_the_plan_is_dropped(threads: int) -> None:
    for block in plan(block_steps=1, threads=threads):
        assert len(block) == 1
        break


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_end_when_the_consumer_raises(threads: int) -> None:
    blocks = plan(block_steps=1, threads=threads)

    def consume() -> None:
        with blocks:
            next(blocks)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        consume()
    assert list(blocks) == []


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_end_when_nothing_is_consumed(threads: int) -> None:
    with plan(block_steps=1, threads=threads):
        pass


def test_threads_end_when_another_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def limited(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        plan(threads=2)
    assert not started[0].is_alive()


@dataclass
class Failing:
    """Draws until step `at`, then raises."""

    at: int
    error: BaseException

    def draw(self, seed: int, first_step: int, steps: int, n: int) -> Int32:
        if first_step >= self.at:
            raise self.error
        return SAMPLER.draw(seed, first_step, steps, n)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("at", [1000, 1005])
@pytest.mark.parametrize("error", [RuntimeError("it broke"), KeyboardInterrupt("it broke")])
def test_an_error_of_the_planner_surfaces_after_the_blocks_before_it(
    at: int, error: BaseException, threads: int
) -> None:
    seen: list[int] = []
    with plan(sampler=Failing(at, error), block_steps=1, threads=threads) as blocks:
        with pytest.raises(type(error), match="it broke"):  # noqa: PT012 - blocks come before it
            while True:
                seen.append(next(blocks).first_step)
        assert seen == list(range(1000, at))
        assert list(blocks) == []


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_error_in_the_lanes_surfaces_after_the_blocks_before_it(threads: int) -> None:
    order = np.append(LOG.order[:200], 300)  # read 64 sessions before its turn
    log = Log(LOG.items, LOG.offsets, order)
    expected = steps_of(plan(block_steps=1))
    seen = 0
    with plan(log, block_steps=1, threads=threads) as blocks:
        with pytest.raises(ValueError, match="session 300 at position 200"):  # noqa: PT012
            for block in blocks:
                assert block.first_step == expected[seen]["number"]
                np.testing.assert_array_equal(block.negatives[0], expected[seen]["negatives"])
                seen += 1
        assert list(blocks) == []
    assert seen > 10


def test_an_error_of_one_thread_waits_for_the_block_of_another() -> None:
    class Late:
        """The second block fails; only then the first can be made."""

        def __init__(self) -> None:
            self.failed = threading.Event()

        def draw(self, seed: int, first_step: int, steps: int, n: int) -> Int32:
            if first_step == 1010:
                self.failed.set()
                raise MemoryError("no room")
            assert self.failed.wait(60), "no other thread draws"
            return SAMPLER.draw(seed, first_step, steps, n)

    with plan(sampler=Late(), threads=2) as blocks:
        assert_same(steps_of([next(blocks)]), steps_of(plan())[:10])
        with pytest.raises(MemoryError, match="no room"):
            next(blocks)
        assert list(blocks) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "lanes is 0"),
        ({"n_sample": -1}, "n_sample is -1"),
        ({"block_steps": 0}, "block_steps is 0"),
        ({"skip_steps": -1}, "skip_steps is -1"),
        ({"threads": 0}, "threads is 0"),
        ({"order": np.array([300])}, "session 300 at position 0"),
    ],
)
def test_errors_come_at_the_call(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(**change)


def test_a_bad_seed_surfaces_in_the_consumer() -> None:
    with plan(seed=-1) as blocks, pytest.raises(ValueError, match="seed is -1"):
        next(blocks)
