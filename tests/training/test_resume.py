"""Resuming: the same bits as without the interruption, and what is refused."""

from __future__ import annotations

import contextlib
import threading
import warnings
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gru4rec_fast import CheckpointError, GRU4Rec, ParameterError
from gru4rec_fast.training import identity
from tests.logs import random_log
from tests.training.test_loop import SMALL, same

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gru4rec_fast.training.report import EpochReport

pytestmark = pytest.mark.filterwarnings("ignore:.*single event")

LOG = random_log()
BLOCK: dict[str, Any] = {"sample_cache_max_size": 3 * 16, "progress": False}  # blocks of 3 steps
NEGATIVES = np.random.default_rng(0).integers(0, 5, (7, 16))
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "random": (
        {
            "train_random_order": True,
            "dropout_p_embed": 0.2,
            "dropout_p_hidden": 0.3,
            "momentum": 0.4,
            "layers": (8, 6),
        },
        {},
    ),
    "negatives": ({"embedding": 5, "constrained_embedding": False}, {"negatives": NEGATIVES}),
    "one-hot": ({"constrained_embedding": False, "loss": "bpr-max"}, {}),
    "medium": ({"precision": "medium"}, {}),
    "validation": ({"n_epochs": 4, "learning_rate": 0.5}, {"validation": 0.2, "patience": 3}),
}


def after(blocks: int, error: bool) -> Callable[[object], bool]:
    """A callback that stops, or raises, at the end of that many blocks."""
    number = count(1)

    def callback(_: object) -> bool:
        if next(number) < blocks:
            return False
        if error:
            raise InterruptedError
        return True

    return callback


def fit(params: dict[str, Any], folder: Path | None = None, **settings: Any) -> GRU4Rec:
    gru = GRU4Rec(**{**SMALL, **params}, device="cpu")
    saved = {} if folder is None else {"checkpoint": folder, "checkpoint_every": 4, "resume": True}
    return gru.fit(settings.pop("log", LOG), **{**BLOCK, **saved, **settings})


def without_seconds(gru: GRU4Rec) -> list[EpochReport]:
    return [replace(report, seconds=0) for report in gru.history]


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("error", [False, True], ids=["stopped", "raised"])
def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(
    tmp_path: Path, engine: str, case: str, error: bool
) -> None:
    params, settings = CASES[case]
    params = {**params, "engine": engine}
    expected = fit(params, **settings)
    for blocks in (1, 2, 5, 9):
        folder = tmp_path / str(blocks)
        for _ in range(2):  # twice: a resumed training is interrupted again
            with contextlib.suppress(InterruptedError):
                fit(params, folder, **settings, on_block=after(blocks, error))
        gru = fit(params, folder, **settings)
        assert same(gru, expected)
        assert without_seconds(gru) == without_seconds(expected)


def test_a_training_stopped_at_the_end_of_an_epoch_goes_on(tmp_path: Path) -> None:
    fit({}, tmp_path, on_epoch=lambda _: True)
    reports: list[EpochReport] = []
    assert same(fit({}, tmp_path, on_epoch=reports.append), fit({}))
    assert [report.epoch for report in reports] == [2]


def test_a_finished_training_is_just_loaded(tmp_path: Path) -> None:
    first = fit({}, tmp_path, validation=0.2)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} | {"lock": 0}
    reports: list[EpochReport] = []
    again = fit({}, tmp_path, validation=0.2, on_epoch=reports.append)
    assert reports == []
    assert same(first, again)
    assert again.history == first.history
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} | {"lock": 0}
    assert after == before


def test_two_states_are_kept_and_each_is_a_model(tmp_path: Path) -> None:
    fit({}, tmp_path)
    states = sorted(tmp_path.glob("state-*"))
    assert len(states) == 2
    model = GRU4Rec.loadmodel(states[-1])
    assert same(model, fit({}))
    assert model.data_iterator.columns == fit({}).data_iterator.columns


def test_only_a_training_that_starts_anew_warns_of_the_model_it_replaces(tmp_path: Path) -> None:
    gru = fit({}, tmp_path, on_epoch=lambda _: True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*starts anew")
        gru.fit(LOG, **BLOCK, checkpoint=tmp_path, resume=True)
    with pytest.warns(UserWarning, match="starts anew"):
        gru.fit(LOG, **BLOCK, checkpoint=tmp_path / "new", resume=True)


def test_a_flipped_bit_is_named_and_the_state_before_is_used(tmp_path: Path) -> None:
    fit({}, tmp_path, on_block=after(6, False))
    older, newest = sorted(tmp_path.glob("state-*"))
    content = newest.read_bytes()
    rng = np.random.default_rng(0)
    # Everywhere: the header's length, the header, the tensors.
    for place in [0, 9, 60, *rng.integers(8, len(content), 30)]:
        bad = bytearray(content)
        bad[place] ^= 1 << int(rng.integers(8))
        newest.write_bytes(bad)
        with pytest.warns(
            UserWarning, match=rf"{newest.name}: .*; training goes on from {older.name}"
        ):
            _only_restore(tmp_path)
    assert same(fit({}, tmp_path), fit({}))


def _only_restore(folder: Path) -> None:
    with pytest.raises(InterruptedError):
        fit({}, folder, on_block=after(1, True), checkpoint_every=10**6)


def test_without_an_intact_state_training_is_refused(tmp_path: Path) -> None:
    fit({}, tmp_path)
    for state in tmp_path.glob("state-*"):
        state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"No other state in .* is intact: delete the folder"):
        fit({}, tmp_path)


@pytest.mark.parametrize(
    ("params", "settings", "message"),
    [
        ({"n_epochs": 3}, {}, "n_epochs is 2 there, 3 here"),
        ({"layers": (12,)}, {}, r"layers is \[10\] there, \[12\] here"),
        ({"precision": "high"}, {}, "precision is 'auto' there, 'high' here"),
        ({"engine": "reference"}, {}, "engine is 'cpu' there, 'reference' here"),
        ({}, {"compatibility_mode": False}, "compatibility_mode is True there, False here"),
        ({}, {"negatives": NEGATIVES}, "negatives: none there, 7 rows here"),
        ({}, {"log": LOG[:-9]}, r"the log: \d+ events, 40 sessions, .* there, \d+ events"),
        ({}, {"log": LOG.assign(ItemId=LOG.ItemId + 1)}, "the log has other content of the same"),
        ({}, {"validation": LOG}, "the validation log: none there, "),
    ],
)
def test_another_training_is_refused(
    tmp_path: Path, params: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    fit({}, tmp_path)
    with pytest.raises(CheckpointError, match=f"holds another training: .*{message}"):
        fit(params, tmp_path, **settings)


def test_a_state_from_before_a_parameter_existed_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it was trained as the default does now."""

    identity_of, calls = identity.identity_of, []

    def older(*arguments: Any, **keywords: Any) -> dict[str, Any]:
        calls.append(keywords)
        known = identity_of(*arguments, **keywords)
        return {name: value for name, value in known.items() if name != "precision"}

    with monkeypatch.context() as patch:
        patch.setattr(identity, "identity_of", older)
        fit({}, tmp_path, on_block=after(2, error=False))
    assert calls
    with pytest.raises(CheckpointError, match="precision is 'auto' there, 'medium' here"):
        fit({"precision": "medium"}, tmp_path)
    assert same(fit({}, tmp_path), fit({}))


def test_a_second_training_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    def second(_: object) -> None:
        with pytest.raises(CheckpointError, match="is used by another training"):
            fit({}, tmp_path)

    fit({}, tmp_path, on_epoch=second)


def test_arguments_that_cannot_be(tmp_path: Path) -> None:
    fit({}, tmp_path)
    with pytest.raises(CheckpointError, match="holds a training already: pass resume=True"):
        fit({}, tmp_path, resume=False)
    with pytest.raises(CheckpointError, match="needs a folder: pass checkpoint="):
        fit({}, resume=True)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(CheckpointError, match="cannot be used"):
        fit({}, file)
    for every in ("5 minutes", "0m", "x", "0"):
        with pytest.raises(ParameterError, match="expected a time as '30s', '5m' or '1h'"):
            fit({}, tmp_path, checkpoint_every=every)
    with pytest.raises(ParameterError, match="checkpoint_every is 0"):
        fit({}, tmp_path, checkpoint_every=0)


def test_a_time_as_the_interval(tmp_path: Path) -> None:
    """Each block takes longer than a microsecond, and none an hour."""
    for every, expected in (("0.000001s", 15), ("1h", 1)):
        folder = tmp_path / every
        fit({}, folder, checkpoint_every=every)
        newest = max(path.name for path in folder.glob("state-*"))
        assert (int(newest[6:12]) >= expected) if expected > 1 else (newest[6:12] == "000001")


def test_no_planning_thread_stays(tmp_path: Path) -> None:
    for error in (False, True):
        with contextlib.suppress(InterruptedError):
            fit({}, tmp_path, on_block=after(2, error))
        assert "plan_epoch" not in {thread.name for thread in threading.enumerate()}
