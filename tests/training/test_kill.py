"""Trainings that get SIGKILL at random moments and within a save end with the same bits."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.training import killed_run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*single event")


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "kills"), [("cpu", 20), ("reference", 5)])
def test_a_killed_training_resumes_with_the_same_bits(
    tmp_path: Path, engine: str, kills: int
) -> None:
    expected = killed_run.train(tmp_path / "whole", engine)
    models, after_a_save = killed_run.kill_often(tmp_path, engine, kills)
    assert after_a_save >= kills // 3
    for model in models:
        assert killed_run.differing(model, expected) == []


@pytest.mark.slow
def test_a_kill_within_a_save(tmp_path: Path) -> None:
    expected = killed_run.train(tmp_path / "whole", "cpu")
    for place in ("half-written", "not-renamed", "old-not-deleted"):
        folder = tmp_path / place
        running = killed_run.process(folder, "cpu", place)
        running.join(300)
        assert running.exitcode == -signal.SIGKILL
        files = {path.name for path in folder.iterdir()} - {"lock"}
        assert len(files) == 3, files
        killed_run.train_and_save(folder, "cpu")
        assert killed_run.differing(folder.with_suffix(".model"), expected) == []
        assert len({path.name for path in folder.iterdir()} - {"lock"}) == 2
