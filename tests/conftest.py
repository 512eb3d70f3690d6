"""Settings of all tests."""

from __future__ import annotations

import importlib.util
import threading

import pytest
import torch

# `make gpu-report` runs the tests of the kernels where Hypothesis may be absent.
HYPOTHESIS = importlib.util.find_spec("hypothesis") is not None

if HYPOTHESIS:
    from tests import properties

    properties.register_profiles()

# Two threads spin against each other when something else runs on a small machine; bit-equality
# over thread counts has tests of its own.
torch.set_num_threads(1)


def pytest_sessionstart() -> None:
    """After an option of pytest may have chosen another profile."""
    if HYPOTHESIS:
        properties.forget_constants()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A test that sets no seed has the same numbers whichever tests ran before it."""
    torch.manual_seed(0)


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
        join(thread, 60 if timeout is None else timeout)
        assert not thread.is_alive(), "the planning thread did not end"
        return None

    monkeypatch.setattr(threading.Thread, "join", bounded)
