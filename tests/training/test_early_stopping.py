"""Validation between epochs, the best weights, patience, callbacks that stop, and the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gru4rec_fast import DataError, GRU4Rec, ParameterError, batch_eval
from gru4rec_fast.data import sessions
from gru4rec_fast.data.files import read_log
from gru4rec_fast.data.splitting import hold_out_latest
from gru4rec_fast.training.history import History
from gru4rec_fast.training.report import BlockReport, EpochReport, StopTraining
from tests.logs import random_log
from tests.training.test_loop import same, trained, weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*single event")

LOG, OTHER = random_log(n_sessions=80), random_log(seed=1)


def fitted(figures: list[float], monkeypatch: pytest.MonkeyPatch, **fit: Any) -> GRU4Rec:
    """Trained for 6 epochs with made-up recalls."""
    made_up = iter(figures)
    monkeypatch.setattr(
        "gru4rec_fast.evaluation.validation.figures",
        lambda *_: {"recall@20": next(made_up), "mrr@5": 0.5},
    )
    return trained(LOG, n_epochs=6, fit={"validation": OTHER, **fit})


def test_a_share_holds_out_the_latest_sessions() -> None:
    earlier, latest = hold_out_latest(LOG, 0.2)
    gru = trained(LOG, fit={"validation": 0.2, "restore_best": False})
    assert same(gru, trained(earlier))
    recall, mrr = batch_eval(gru, latest, cutoff=[20])
    assert gru.history[-1].validation["recall@20"] == recall[20]
    assert gru.history[-1].validation["mrr@20"] == mrr[20]


def test_a_share_of_a_file_reads_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """So a warning of its times comes once too."""
    read: list[Path] = []

    def spy(path: Path, *others: Any) -> Any:
        read.append(path)
        return read_log(path, *others)

    monkeypatch.setattr(sessions, "read_log", spy)
    tied = LOG.assign(Time=LOG.Time // 50).sample(frac=1, random_state=1)
    tied.to_csv(tmp_path / "log.tsv", sep="\t", index=False)
    trained(tmp_path / "log.tsv", fit={"validation": 0.2})
    assert read == [tmp_path / "log.tsv"]
    assert len([w for w in recwarn if "order of its rows" in str(w.message)]) == 1


def test_with_time_sort_off_the_last_to_appear_are_held_out() -> None:
    params: dict[str, Any] = {"time_sort": False}
    earlier, _ = hold_out_latest(LOG, 0.2, time_sort=False)
    gru = trained(LOG, **params, fit={"validation": 0.2, "restore_best": False})
    assert same(gru, trained(earlier, **params))


def test_a_share_of_a_file_in_order_with_its_own_separator(tmp_path: Path) -> None:
    log = LOG.sort_values("Time")
    expected = trained(log, fit={"validation": 0.2})
    log.drop(columns="Time").to_csv(tmp_path / "log.csv", sep="|", index=False)
    keys: dict[str, Any] = {"sep": "|", "time_key": None}
    gru = trained(tmp_path / "log.csv", fit={"validation": 0.2, **keys})
    assert same(gru, expected)
    assert gru.history[-1].validation == expected.history[-1].validation
    assert gru.data_iterator.columns["time_key"] is None


def test_patience_ends_training_and_the_best_weights_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gru = fitted([0.1, 0.3, 0.3, 0.2, 0.4, 0.5], monkeypatch, patience=2)
    assert [report.validation["recall@20"] for report in gru.history] == [0.1, 0.3, 0.3, 0.2]
    assert same(gru, trained(LOG, n_epochs=2))
    last = fitted([0.1, 0.3, 0.3, 0.2], monkeypatch, patience=2, restore_best=False)
    assert same(last, trained(LOG, n_epochs=4))


def test_without_patience_all_epochs_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    gru = fitted([0.1, 0.3, 0.3, 0.2, 0.1, 0.0], monkeypatch)
    assert len(gru.history) == 6
    assert same(gru, trained(LOG, n_epochs=2))


def test_the_training_loss_can_be_the_figure() -> None:
    gru = trained(LOG, n_epochs=60, learning_rate=0.5, fit={"metric": "loss", "patience": 1})
    losses = [report.loss for report in gru.history]
    assert len(losses) < 60
    assert losses[-1] >= losses[-2] == min(losses)
    assert same(gru, trained(LOG, n_epochs=len(losses) - 1, learning_rate=0.5))


def raises(_: object) -> None:
    raise StopTraining


@pytest.mark.parametrize("callback", [lambda _: True, lambda _: np.True_, raises])
def test_a_callback_stops_training(callback: Callable[[Any], object]) -> None:
    assert same(trained(LOG, n_epochs=9, fit={"on_epoch": callback}), trained(LOG, n_epochs=1))
    gru = trained(LOG, fit={"on_block": callback, "sample_cache_max_size": 16})
    assert list(gru.history) == []
    # The block after the reported one has been trained too.
    blocks: list[BlockReport] = []
    trained(
        LOG,
        fit={"on_block": lambda b: blocks.append(b) or True, "sample_cache_max_size": 16},  # type: ignore[func-returns-value]
    )
    assert [block.minibatches for block in blocks] == [1, 2]


def test_other_answers_of_a_callback_mean_nothing() -> None:
    assert same(trained(LOG, fit={"on_epoch": lambda _: 1, "on_block": lambda _: "no"}),
                trained(LOG))  # fmt: skip


def test_blocks_report_the_epoch_so_far() -> None:
    blocks: list[BlockReport] = []
    gru = trained(LOG, fit={"on_block": blocks.append, "sample_cache_max_size": 5 * 16})
    for epoch, report in enumerate(gru.history, 1):
        steps = [block.minibatches for block in blocks if block.epoch == epoch]
        assert steps == [*range(5, report.minibatches, 5), report.minibatches]
        last = [block for block in blocks if block.epoch == epoch][-1]
        assert (last.loss, last.events) == (report.loss, report.events)
        assert 0 < last.seconds <= report.seconds


def test_the_history_is_a_table_and_is_saved_with_the_model(tmp_path: Path) -> None:
    reports: list[EpochReport] = []
    gru = trained(LOG, fit={"validation": OTHER, "on_epoch": reports.append, "metric": "mrr@5"})
    assert list(gru.history) == reports
    gru.savemodel(tmp_path / "m")
    assert GRU4Rec.loadmodel(tmp_path / "m").history == gru.history
    without_figures = History().to_frame()
    assert len(without_figures) == 0
    table = gru.history.to_frame()
    assert without_figures.columns.tolist() == table.columns[:8].tolist()
    assert table.columns.tolist() == [
        "epoch", "loss", "seconds", "steps", "events", "steps_per_second", "events_per_second",
        "learning_rate", "recall@5", "mrr@5", "ndcg@5", "map@5", "precision@5",
    ]  # fmt: skip
    assert table.epoch.tolist() == [1, 2]
    assert table.steps_per_second[0] == reports[0].minibatches / reports[0].seconds
    assert GRU4Rec().history == []


def test_the_best_weights_come_back_after_a_loss_that_is_not_finite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gru = GRU4Rec(layers=(10,), batch_size=8, n_sample=16, n_epochs=3, device="cpu")

    def spoil(report: EpochReport) -> None:
        if report.epoch == 2:
            gru.model.Wy.weight.fill_(float("nan"))

    gru.fit(LOG, validation=OTHER, on_epoch=spoil, progress=False)
    assert gru.error_during_train
    assert all(torch.isfinite(value).all() for value in weights(gru).values())


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ({"patience": 0}, "patience is 0; expected a whole number"),
        ({"patience": 2}, "needs sessions to validate on: pass validation="),
        ({"metric": "recal@20"}, r"metric is 'recal@20': did you mean 'recall@20'\?"),
        ({"metric": "recall"}, "with a cut-off, as 'recall@20'"),
        ({"metric": 20}, "metric is 20"),
        ({"validation": 1.0}, "validation is 1.0; expected a share"),
        ({"validation": True}, "validation is True; expected a share"),
        ({"on_block": 3}, "on_block is 3; expected a function of a BlockReport"),
    ],
)
def test_bad_arguments(fit: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        trained(LOG, fit=fit)


def test_a_validation_log_of_unknown_items_is_named() -> None:
    with pytest.raises(DataError, match=r"validation: .*is known to the model"):
        trained(LOG, fit={"validation": OTHER.assign(ItemId=OTHER.ItemId + 1)})
