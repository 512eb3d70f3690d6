"""Serving in a process that was forked from one with threads, as gunicorn and joblib make them."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.serving.models import small_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast import GRU4Rec

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def in_child(work: Callable[[], object], seconds: float = 120) -> int:
    """Exit status of a forked process that does some work, -SIGKILL if it hangs."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGKILL


def serve_all(gru: GRU4Rec, live: Any) -> None:
    """Every way to be served, with more numbers than PyTorch computes on one thread."""
    ids = gru.data_iterator.itemidmap.index
    live.step(list(range(3000)), [ids[0]] * 3000, 3, exclude_seen=True)
    live.step(["x"], [ids[1]], 3)
    gru.recommend([ids[0]], 3)
    gru.recommend_batch([ids[:3].tolist()] * 3000, 3, exclude_seen=True)
    gru.refresh()
    gru.recommend_batch([ids[:3].tolist()] * 3000, 3, candidates=ids[:5])


def test_a_child_of_a_process_that_used_its_threads() -> None:
    gru = small_model(layers=(64,))
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        torch.ones(4_000_000).exp().sum()  # PyTorch starts its threads
        live = gru.live()
        serve_all(gru, live)
        assert in_child(lambda: serve_all(gru, live)) == 0
    finally:
        torch.set_num_threads(before)


def test_forks_while_other_threads_serve() -> None:
    gru = small_model()
    ids = gru.data_iterator.itemidmap.index
    live = gru.live(capacity=50)
    stop = threading.Event()

    def serve(thread: int) -> None:
        rng = np.random.default_rng(thread)
        while not stop.is_set():
            sessions = rng.integers(0, 90, 20).tolist()
            live.step(sessions, ids[rng.integers(0, len(ids), 20)].tolist(), 3)

    def check() -> None:
        # The copy is whole: every session's events are those of its items.
        assert len(live) <= 50
        table = live._table
        for session, slot in zip(list(table.ids()), table.slots(), strict=True):
            assert (table.items[slot] >= 0).sum() == min(table.events[slot], table.last)
            past = live.items(session)
            if table.events[slot] <= table.last:
                expected = gru.recommend(past, 3)
                assert live.recommend([session], 3).ids[0].tolist() == expected.ItemId.tolist()
        live.step(["child"], [ids[0]], 3)

    threads = [threading.Thread(target=serve, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [in_child(check) for _ in range(8)] == [0] * 8
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert "child" not in live
    live.step(["parent"], [ids[0]], 3)
