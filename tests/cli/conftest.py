"""Logs on disk, and a record of what the library is called with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gru4rec_fast import GRU4Rec
from gru4rec_fast.cli import evaluate, run
from tests.logs import OTHER_NAMES, random_log, write_log


@pytest.fixture
def logs(tmp_path: Path) -> tuple[str, str]:
    """Paths of a training and a test log."""
    train, test = (random_log(n_sessions=60, seed=seed) for seed in (0, 1))
    return write_log(train, tmp_path / "train.tsv"), write_log(test, tmp_path / "test.tsv")


@pytest.fixture
def renamed(tmp_path: Path) -> str:
    """Path of a log whose columns are OTHER_NAMES."""
    log = random_log(n_sessions=60).rename(columns=OTHER_NAMES)
    return write_log(log, tmp_path / "renamed.tsv")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What `fit` (which trains) and `batch_eval` (whose figures are made up) were last given."""
    calls: dict[str, dict[str, Any]] = {}
    fit = GRU4Rec.fit

    def spy_fit(gru: GRU4Rec, data: Any, **settings: Any) -> GRU4Rec:
        calls["fit"] = {"config": gru.config, **settings}
        return fit(gru, data, **settings)

    def spy_eval(
        gru: GRU4Rec, log: str, cutoff: list[int], **settings: Any
    ) -> tuple[dict[int, float], dict[int, float]]:
        calls["eval"] = {"cutoff": cutoff, **settings}
        recall = 0.75 if Path(log).name == "renamed.tsv" else 0.25
        return dict.fromkeys(cutoff, recall), dict.fromkeys(cutoff, recall / 2)

    monkeypatch.setattr(GRU4Rec, "fit", spy_fit)
    for module in (evaluate, run):
        monkeypatch.setattr(module, "batch_eval", spy_eval)
    return calls
