"""Settings of all tests."""

from __future__ import annotations

import threading

import pytest
import torch

# Two threads spin against each other when something else runs on a small machine; bit-equality
# over thread counts has tests of its own.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first, so that the processes of a parallel run end together."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def planning_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planning thread that does not end fails its test, instead of hanging the run."""
    join = threading.Thread.join

    def bounded(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name != "plan_epoch":
            return join(thread, timeout)
        join(thread, 10 if timeout is None else timeout)
        assert not thread.is_alive(), "the planning thread did not end"
        return None

    monkeypatch.setattr(threading.Thread, "join", bounded)
