"""`update`, and what `train` saves and draws for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gru4rec_fast import GRU4Rec
from gru4rec_fast.cli import learning_curve
from gru4rec_fast.training.history import History
from gru4rec_fast.training.report import EpochReport
from tests.cli.commands import TINY, error_of, run
from tests.logs import OTHER_KEYS
from tests.training.test_loop import same

pytestmark = pytest.mark.filterwarnings("ignore:.*single event", "ignore:.*does not know")


@pytest.fixture
def model(logs: tuple[str, str], tmp_path: Path) -> str:
    """A model with its training state."""
    path = str(tmp_path / "model")
    assert run("train", logs[0], "--save", path, "--set", TINY, "--device", "cpu",
               "--training-state", "--quiet") == 0  # fmt: skip
    return path


def test_an_update_is_a_partial_fit_and_can_be_updated_again(
    logs: tuple[str, str], model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags: dict[str, Any] = {"support": 0.5, "forget": 300.0, "new_items": "co-visited"}
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    command = ["update", model, logs[1], "-o", one, "--epochs", "3", "--set", "learning_rate=0.2",
               "--support", "0.5", "--forget", "300", "--new-items", "co-visited",
               "--device", "cpu"]  # fmt: skip
    assert run(*command, "--test", logs[1]) == 0
    printed = capsys.readouterr().out
    assert "Epoch5 --> loss" in printed
    assert "Recall@20" in printed
    expected = GRU4Rec.loadmodel(model, "cpu")
    expected.set_params(learning_rate=0.2)
    expected.partial_fit(logs[1], 3, progress=False, **flags)
    assert same(GRU4Rec.loadmodel(one, "cpu"), expected)
    assert run("update", one, logs[0], "-o", two, "--epochs", "1", "--quiet") == 0
    expected.partial_fit(logs[0], 1, progress=False)
    assert same(GRU4Rec.loadmodel(two, "cpu"), expected)


def test_a_model_can_be_updated_in_its_place(logs: tuple[str, str], model: str) -> None:
    assert run("update", model, logs[1], "-o", model, "--epochs", "1", "--quiet") == 0
    assert len(GRU4Rec.loadmodel(model).history) == 3


def test_the_models_columns_are_the_default(renamed: str, tmp_path: Path) -> None:
    keys = [f"--{key.replace('_', '-')}={name}" for key, name in OTHER_KEYS.items()]
    model, new = str(tmp_path / "model"), str(tmp_path / "new")
    train = ["train", renamed, "--save", model, "--set", TINY, "--training-state", "--quiet"]
    assert run(*train, *keys) == 0
    assert run("update", model, renamed, "-o", new, "--quiet", "--test", renamed) == 0


def test_what_an_update_refuses(
    logs: tuple[str, str], model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = str(tmp_path / "new")
    update = ["update", model, logs[1]]
    assert "is the log" in error_of(capsys, *update, "-o", logs[1])
    assert "support is 'old'; expected" in error_of(capsys, *update, "-o", new, "--support", "old")
    assert "forget is 'all'; expected" in error_of(capsys, *update, "-o", new, "--forget", "all")
    plain = str(tmp_path / "plain")
    assert run("train", logs[0], "--save", plain, "--set", TINY, "--quiet") == 0
    error = error_of(capsys, "update", plain, logs[1], "-o", new, "--forget", "3")
    assert "or save with train --training-state" in error
    assert not Path(new).exists()


def test_validation_patience_and_the_best_model(
    logs: tuple[str, str], tmp_path: Path, calls: dict[str, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    model = str(tmp_path / "model")
    train = ["train", logs[0], "--save", model, "--set", TINY, "learning_rate=0.5", "--device",
             "cpu", "--metric", "mrr@5", "--patience", "1"]  # fmt: skip
    assert run(*train, "--validation", logs[1], "--set", "n_epochs=9") == 2  # given twice
    train[5] = TINY.replace("n_epochs=2", "n_epochs=30")
    for validation, expected in ((logs[1], logs[1]), ("0.25", 0.25)):
        assert run(*train, "--validation", validation) == 0
        given = {"validation": expected, "metric": "mrr@5", "patience": 1}
        assert calls["fit"].items() >= given.items()
        assert "mrr@5 0." in capsys.readouterr().out
        saved = GRU4Rec.loadmodel(model, "cpu")
        figures = [report.validation["mrr@5"] for report in saved.history]
        assert len(figures) == int(np.argmax(figures)) + 2 < 30
        best = GRU4Rec(**saved.config.to_dict(), device="cpu")
        best.set_params(n_epochs=int(np.argmax(figures)) + 1)
        best.fit(logs[0], progress=False, validation=expected, restore_best=False)
        assert same(saved, best)
    assert "--metric mrr@5 compares epochs: add --validation" in error_of(
        capsys, "train", logs[0], "--save", model, "--metric", "mrr@5"
    )


def test_the_learning_curve_and_scalars(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    curve, board = tmp_path / "curve.png", tmp_path / "board"
    train = ["train", logs[0], "--save", str(tmp_path / "model"), "--set", TINY, "--quiet"]
    assert run(*train, "--validation", "0.3", "--learning-curve", str(curve),
               "--tensorboard", str(board)) == 0  # fmt: skip
    assert curve.read_bytes().startswith(b"\x89PNG")
    assert list(board.glob("events.out.tfevents.*"))
    picture = ["--learning-curve", str(tmp_path / "curve.txt")]
    assert "expected a file .png, .svg, .pdf" in error_of(capsys, *train, *picture)
    picture[1] = str(tmp_path / "none" / "curve.png")
    assert "there is no folder" in error_of(capsys, *train, *picture)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "needs matplotlib" in error_of(capsys, *train, "--learning-curve", str(curve))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert "gru4rec-fast[tensorboard]" in error_of(capsys, *train, "--tensorboard", str(board))


def test_the_axes_show_the_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 0 on, a curve from 0.50 to 0.53 would look flat."""
    drawn: list[Any] = []
    panels = learning_curve._panels

    def spy(n: int) -> Any:
        drawn.append(panels(n))
        return drawn[-1]

    monkeypatch.setattr(learning_curve, "_panels", spy)
    figures = [0.50, 0.52, 0.53, 0.525]
    history = History(
        EpochReport(e + 1, 7 - 0.1 * e, 1.0, 1, 1, {"recall@20": figures[e]}) for e in range(4)
    )
    learning_curve.draw_history(tmp_path / "curve.svg", history, "recall@20")
    for axes, values in zip(drawn[0][1], (figures, [7.0, 6.9, 6.8, 6.7]), strict=True):
        low, high = axes.get_ylim()
        assert low < min(values) < max(values) < high
        assert max(values) - min(values) > 0.5 * (high - low)
    assert "best: epoch 3, 0.5300" in (tmp_path / "curve.svg").read_text() or any(
        "best: epoch 3, 0.5300" in text.get_text() for text in drawn[0][1][0].get_legend().texts
    )
