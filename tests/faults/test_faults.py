"""Faults of the machine: what is refused, what is kept, and that the message names it."""

from __future__ import annotations

import errno
import logging
import resource
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch

from gru4rec_fast import CheckpointError, DataError, GRU4Rec, prepare
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.data.store import verify
from gru4rec_fast.engines.cpu import CpuTrainer
from gru4rec_fast.model import checkpoint
from gru4rec_fast.plan.block import StepBlock
from tests.data.test_prepare import a_log
from tests.logs import random_log
from tests.training.test_loop import SMALL

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*single event", "ignore:.*the time of the event before them"
)
CORPUS = Path(__file__).resolve().parents[1] / "fuzz" / "corpus"
BLOCK: dict[str, Any] = {"sample_cache_max_size": 3 * 16, "progress": False}


def test_a_disk_that_fills_up_while_training_keeps_the_last_state(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the third state fail."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    blocks: list[object] = []

    def fill(report: object) -> None:
        blocks.append(report)
        if len(blocks) == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    try:
        with pytest.raises(CheckpointError) as raised:
            GRU4Rec(**SMALL, device="cpu").fit(
                random_log(), checkpoint=tmp_path, on_block=fill, checkpoint_every=3, **BLOCK
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    names = sorted(path.name for path in tmp_path.iterdir())
    states = [name for name in names if name.startswith("state-")]
    assert names == ["lock", *states]
    assert len(states) == 2
    assert "on a disk with room" in str(raised.value)
    assert f"the last good state is {tmp_path / states[-1]}: resume=True" in str(raised.value)
    whole = GRU4Rec(**SMALL, device="cpu").fit(random_log(), **BLOCK)
    resumed = GRU4Rec(**SMALL, device="cpu")
    resumed.fit(random_log(), checkpoint=tmp_path, resume=True, **BLOCK)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value)


def refusing(code: int, *_: Any, **__: Any) -> Any:
    raise OSError(code, "Read-only file system" if code == errno.EROFS else "Input/output error")


def test_a_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the error itself: the permissions of a folder do not hold for root."""
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: refusing(errno.EROFS))
    with pytest.raises(DataError, match=r"store: the store cannot be written \(Read-only file"):
        prepare(a_log(50), tmp_path / "store")
    with pytest.raises(CheckpointError, match=r"cannot be used \(Read-only file system\)"):
        GRU4Rec(**SMALL, device="cpu").fit(random_log(), checkpoint=tmp_path / "saved", **BLOCK)
    assert not list(tmp_path.iterdir())


def test_a_rename_that_fails_leaves_the_old_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(a_log(50), tmp_path / "store")
    rename = Path.rename

    def failing(path: Path, target: Path) -> Any:
        return refusing(errno.EIO) if path.name == "result" else rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(DataError, match="nothing was changed"):
        prepare(a_log(80), tmp_path / "store", overwrite=True)
    assert verify(tmp_path / "store").n_events == 50
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_store_that_was_about_to_be_replaced_comes_back(tmp_path: Path) -> None:
    """As after a kill between the two renames."""
    prepare(a_log(50), tmp_path / "store")
    work = tmp_path / ".store.preparing" / "work"
    work.mkdir(parents=True)
    (tmp_path / "store").rename(work / "replaced")
    with pytest.raises(DataError, match="there is a store already"):
        prepare(a_log(80), tmp_path / "store")
    assert verify(tmp_path / "store").n_events == 50


def test_a_rename_that_fails_leaves_the_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, calls = Path.replace, []

    def failing(path: Path, target: Path) -> Any:
        calls.append(target)
        return refusing(errno.EIO) if len(calls) == 3 else replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(CheckpointError, match=r"the last good state is .*state-000002"):
        GRU4Rec(**SMALL, device="cpu").fit(
            random_log(), checkpoint=tmp_path, checkpoint_every=3, **BLOCK
        )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["lock", "state-000001.safetensors", "state-000002.safetensors"]


def test_a_diverged_training_keeps_its_last_finite_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gru = GRU4Rec(**SMALL, device="cpu")
    weights: list[torch.Tensor] = []

    def break_weights(report: Any) -> None:
        if report.step >= 9:
            gru.model.Wy.weight.data[3, 1] = float("inf")

    with caplog.at_level(logging.ERROR, logger="gru4rec_fast"):
        gru.fit(
            random_log(), checkpoint=tmp_path, checkpoint_every=3, on_block=break_weights, **BLOCK
        )
    assert gru.error_during_train
    message = caplog.records[-1].message
    assert "this state was not saved; the last good state is" in message
    assert "Wy.weight" in message
    assert "1 that are NaN or infinite" in message
    states = sorted(tmp_path.glob("state-*"))
    assert states
    for state in states:
        weights += checkpoint.load(state).model_tensors.values()
    assert all(torch.isfinite(each).all() for each in weights)


def test_a_loss_that_is_not_finite_names_step_lanes_and_parameters(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    train_block = CpuTrainer.train_block

    def broken(self: CpuTrainer, block: StepBlock) -> torch.Tensor:
        losses = train_block(self, block)
        if block.first_step == 6:
            losses[1] = float("nan")
        return losses

    monkeypatch.setattr(CpuTrainer, "train_block", broken)
    gru = GRU4Rec(**SMALL, device="cpu")
    with caplog.at_level(logging.ERROR, logger="gru4rec_fast"):
        gru.fit(random_log(), **BLOCK)
    message = caplog.records[-1].message
    assert "the loss is nan at mini-batch 8 of epoch 1 (step 8 of all, 8 live lanes)" in message
    largest = max(gru.model.parameter_dict().items(), key=lambda item: float(item[1].abs().max()))
    assert f"The largest parameters after it: {largest[0]} {largest[1].abs().max():.3g}" in message


@pytest.mark.parametrize("threads", [1, 2])
def test_a_planning_thread_that_dies_ends_the_run_with_its_error(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CpuTrainer, "planning_threads", threads)
    merge = StepBlock.merge

    def failing(step: int, *arrays: Any) -> StepBlock:
        if step >= 12:
            raise RuntimeError("a block went wrong")
        return merge(step, *arrays)

    monkeypatch.setattr(StepBlock, "merge", failing)
    gru = GRU4Rec(**SMALL, device="cpu")
    with pytest.raises(RuntimeError, match="a block went wrong"):
        gru.fit(random_log(), checkpoint=tmp_path, checkpoint_every=3, **BLOCK)
    assert not [thread for thread in threading.enumerate() if thread.name == "plan_epoch"]
    assert list(tmp_path.glob("state-*"))


DAMAGED = sorted(path.name for path in (CORPUS / "parquet").glob("panic-*"))


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_parquet_file_is_named_without_a_backtrace(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Polars panics at these, and its batches end as if the file did."""
    path = tmp_path / f"{name}.parquet"
    path.write_bytes((CORPUS / "parquet" / name).read_bytes())
    calls: tuple[Callable[[], Any], ...] = (
        lambda: load_sessions(path),
        lambda: prepare(path, tmp_path / "store"),
    )
    for call in calls:
        with pytest.raises(DataError, match=rf"{name}\.parquet.*expected an intact file"):
            call()
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("column", ["ItemId", "SessionId"])
def test_a_lone_surrogate_is_refused_by_prepare(column: str, tmp_path: Path) -> None:
    log = random_log()
    ids = [f"a{value}" for value in log[column]]
    log[column] = pd.Series([*ids[:7], "a\ud800", *ids[8:]], dtype=object)
    with pytest.raises(DataError, match=rf"column '{column}', row 7 .*lone surrogate"):
        prepare(log, tmp_path / "store")


def test_scores_of_both_readers_agree_on_an_intact_file(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    random_log().to_parquet(path)
    prepare(path, tmp_path / "store")
    np.testing.assert_array_equal(load_sessions(path).items, verify(tmp_path / "store").items)
