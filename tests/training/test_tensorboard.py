"""TensorBoard scalars: the event files are read back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from gru4rec_fast import GRU4Rec
from tests.logs import random_log
from tests.training.test_loop import SMALL
from tests.training.test_resume import after, fit

if TYPE_CHECKING:
    from pathlib import Path

    from gru4rec_fast.training.report import BlockReport

pytestmark = pytest.mark.filterwarnings("ignore:.*single event", "ignore::DeprecationWarning")

LOG = random_log()


def scalars(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """Tag -> (step, value) of each scalar."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(folder)).Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}


def test_scalars_of_blocks_and_epochs(tmp_path: Path) -> None:
    blocks: list[BlockReport] = []
    gru = GRU4Rec(**SMALL, lr_decay=0.5, device="cpu")
    gru.fit(LOG, validation=0.2, tensorboard=tmp_path, on_block=blocks.append, progress=False,
            sample_cache_max_size=3 * 16)  # fmt: skip
    found = scalars(tmp_path)
    assert found["train/loss"] == [(b.step, pytest.approx(b.loss)) for b in blocks]
    rates = [(b.step, pytest.approx(b.learning_rate)) for b in blocks]
    assert found["train/learning_rate"] == rates
    ends = [r.minibatches for r in gru.history]
    steps = [ends[0], sum(ends)]
    expected = [(s, pytest.approx(r.loss)) for s, r in zip(steps, gru.history, strict=True)]
    assert found["epoch/loss"] == expected
    assert found["epoch/number"] == [(steps[0], 1), (steps[1], 2)]
    assert found["validation/mrr@20"] == [
        (s, pytest.approx(r.validation["mrr@20"])) for s, r in zip(steps, gru.history, strict=True)
    ]
    assert {"train/events_per_second", "validation/recall@20"} <= found.keys()


def test_a_resumed_training_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    """No step twice: what an interrupted run wrote beyond its checkpoint is hidden."""
    settings = {"tensorboard": tmp_path / "board"}
    fit({}, tmp_path / "saved", **settings, on_block=after(4, error=False))
    fit({}, tmp_path / "saved", **settings)
    fit({}, tensorboard=tmp_path / "whole")
    found, whole = scalars(tmp_path / "board"), scalars(tmp_path / "whole")
    assert found["train/loss"] == whole["train/loss"]
    assert found["epoch/loss"] == whole["epoch/loss"]


def test_an_update_writes_too(tmp_path: Path) -> None:
    gru = GRU4Rec(**SMALL, device="cpu").fit(LOG, progress=False)
    gru.partial_fit(LOG, 1, tensorboard=tmp_path, progress=False)
    assert scalars(tmp_path)["epoch/number"] == [(sum(r.minibatches for r in gru.history), 3)]


def test_a_callback_still_ends_the_training(tmp_path: Path) -> None:
    gru = fit({}, tensorboard=tmp_path, on_epoch=lambda _: True)
    assert len(gru.history) == 1


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    gru = fit({})
    before = gru.model
    with pytest.raises(ImportError, match=r"pip install 'gru4rec-fast\[tensorboard\]'"):
        gru.partial_fit(LOG, tensorboard=tmp_path, progress=False)
    assert gru.model is before
