"""The demo, small: what it prints, writes and refuses; the model nears the best reachable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from gru4rec_fast import DataError, GRU4Rec, ParameterError, batch_eval
from gru4rec_fast.cli import demo
from gru4rec_fast.cli.comparison import CUTOFFS
from gru4rec_fast.cli.output_folder import RECORD
from gru4rec_fast.presets import PRESETS
from tests.cli import commands
from tests.logs import OTHER_KEYS, OTHER_NAMES, pairs, random_log, write_log

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generated log that trains in seconds, and presets that do."""
    monkeypatch.setitem(demo.GENERATED, "n_sessions", 7000)
    monkeypatch.setitem(demo.GENERATED, "n_items", 100)
    tiny = {"layers": (8,), "batch_size": 8, "n_sample": 16, "n_epochs": 2}
    for name in ("retailrocket", "rsc15"):
        monkeypatch.setitem(PRESETS, name, PRESETS[name] | tiny)


def run(*arguments: str) -> int:
    return commands.run("demo", "--device", "cpu", *arguments)


def printed_rows(printed: str) -> dict[str, list[float]]:
    """The closing table, name -> figures."""
    closing = printed[printed.index("recall@1 ") :]
    found = re.findall(r"^(GRU4Rec|best reachable|popularity)((?: +\d\.\d{4}){5})$", closing, re.M)
    return {name: [float(cell) for cell in cells.split()] for name, cells in found}


def markov_recall(train: pd.DataFrame, test: pd.DataFrame, k: int) -> float:
    """recall@k of counting which item followed which."""
    learned, tested = pairs(train), pairs(test)
    counts = np.zeros((100, 100))
    np.add.at(counts, (learned.ItemId, learned.Next), 1)
    item, target = tested.ItemId.to_numpy(), tested.Next.to_numpy()
    rank = (counts[item] >= counts[item, target][:, None]).sum(axis=1)
    return float((rank <= k).mean())


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_generated_sessions_are_learned_nearly_as_well_as_can_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert run("--out", str(out)) == 0
    printed = capsys.readouterr().out
    rows = printed_rows(printed)
    assert list(rows) == ["GRU4Rec", "best reachable", "popularity"]
    model, best, popularity = (np.array(row) for row in rows.values())
    assert (popularity + 0.1 < model).all()
    assert (model < best + 0.01).all(), "better than the best: the bound or the test log is wrong"
    assert best[3] - model[3] < 0.04
    assert len(re.findall(r"^[1-6] +\d", printed, re.M)) == 6
    share = re.search(r"GRU4Rec reaches ([\d.]+)% of the best reachable recall@20", printed)
    assert share is not None
    assert float(share[1]) == pytest.approx(100 * model[3] / best[3], abs=0.1)

    train, test = (pd.read_csv(out / name, sep="\t") for name in demo.LOGS)
    assert model[1] > markov_recall(train, test, 5) + 0.01, "nothing but the last item is used"
    recall, mrr = batch_eval(
        GRU4Rec.loadmodel(out / "model.safetensors", "cpu"), test, cutoff=[1, 5, 10, 20]
    )
    assert [*recall.values(), mrr[20]] == pytest.approx(model, abs=1e-4)
    assert (out / "learning-curve.png").read_bytes().startswith(PNG)
    assert {path.name for path in out.iterdir()} == {
        "generated-train.tsv", "generated-test.tsv", "model.safetensors", "learning-curve.png",
        RECORD,
    }  # fmt: skip


@pytest.mark.usefixtures("small")
def test_ones_own_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(("train.csv", "test.csv")):
        # Five items of the test log are unknown to the training log.
        log = random_log(n_sessions=60, n_items=30 + 5 * seed, seed=seed)
        write_log(log.rename(columns=OTHER_NAMES), tmp_path / name)
    data = ["--data", str(tmp_path / "train.csv"), "--test", str(tmp_path / "test.csv")]
    keys = ["--item-key", "sku", "--session-key", "visit", "--time-key", "at"]
    assert run(*data, *keys, "--preset", "rsc15", "--epochs", "1", "--out", str(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert re.search(r"Left out \d+ test events of items not trained on", printed)
    rows = printed_rows(printed)
    assert list(rows) == ["GRU4Rec", "popularity"]
    gru = GRU4Rec.loadmodel(tmp_path / "model.safetensors", "cpu")
    assert (gru.loss, gru.layers, gru.n_epochs) == ("cross-entropy", (8,), 1)
    recall, _ = batch_eval(gru, tmp_path / "test.csv", **OTHER_KEYS)
    assert rows["GRU4Rec"][3] == pytest.approx(recall[20], abs=1e-4)


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore:.*single event")
def test_parameters_are_set_over_those_of_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_log(random_log(), tmp_path / "log.tsv")
    more = ["--set", "layers=5", "loss=cross-entropy,batch_size=4", "--epochs", "1"]
    assert run("--data", path, "--out", str(tmp_path), *more) == 0
    gru = GRU4Rec.loadmodel(tmp_path / "model.safetensors", "cpu")
    assert (gru.layers, gru.loss, gru.batch_size, gru.n_epochs) == ((5,), "cross-entropy", 4, 1)
    assert gru.n_sample == PRESETS["retailrocket"]["n_sample"]
    out = ["demo", "--out", str(tmp_path / "other")]
    assert "did you mean 'layers'" in commands.error_of(capsys, *out, "--set", "layer=5")
    error = commands.error_of(capsys, *out, "--set", "n_epochs=1", "--epochs", "3")
    assert "given twice, by --set n_epochs=1 and --epochs 3" in error


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore:.*single event")
def test_popularity_is_that_of_the_training_log(tmp_path: Path) -> None:
    """What is popular in training is rare in the test log, and the other way round."""
    train = random_log()
    items = sorted(train.ItemId.unique())
    test = train.assign(ItemId=train.ItemId.map(dict(zip(items, items[::-1], strict=True))))
    result = demo.run_demo(train, test, tmp_path, "cpu", params={"n_epochs": 1})
    support = train.ItemId.value_counts()
    later = test.sort_values(["SessionId", "Time"], kind="stable").duplicated("SessionId")
    ranks = [(support >= support[item]).sum() for item in test.ItemId[later.sort_index()]]
    recall = {k: float(np.mean(np.array(ranks) <= k)) for k in CUTOFFS}
    assert result.rows["popularity"].recall == pytest.approx(recall)


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore:.*single event")
def test_without_a_test_log_the_latest_sessions_are_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = random_log(n_sessions=60)
    before = log.copy()
    result = demo.run_demo(log, out=tmp_path, device="cpu")
    pd.testing.assert_frame_equal(log, before)
    assert "54 sessions" in capsys.readouterr().out
    assert [report.epoch for report, _ in result.epochs] == [1, 2]
    assert result.rows["GRU4Rec"] == result.epochs[-1][1]


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore:.*single event")
def test_without_matplotlib_only_the_picture_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    result = demo.run_demo(random_log(), out=tmp_path, device="cpu")
    assert result.picture is None
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", RECORD}
    assert "pip install 'gru4rec-fast[plot]'" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_bad_input_is_refused_before_anything_is_trained_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GRU4Rec, "fit", None)
    log = random_log()
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ParameterError, match=r"file' cannot be written .* choose another"):
        demo.run_demo(log, out=tmp_path / "file")
    with pytest.raises(ParameterError, match=r"test='t\.tsv' needs a training log"):
        demo.run_demo(test="t.tsv", out=tmp_path)
    with pytest.raises(ParameterError, match="preset='rsc15' needs a training log"):
        demo.run_demo(preset="rsc15", out=tmp_path)
    with pytest.raises(
        ParameterError, match=r"preset is 'rsc'; expected one of .*: did you mean 'rsc15'"
    ):
        demo.run_demo(log, preset="rsc", out=tmp_path)
    with pytest.raises(ParameterError, match="n_epochs=0"):
        demo.run_demo(params={"n_epochs": 0}, out=tmp_path)
    with pytest.raises(DataError, match="no column 'ItemId'"):
        demo.run_demo(log, log.drop(columns="ItemId"), out=tmp_path)
    with pytest.raises(DataError, match="no such file"):
        demo.run_demo(tmp_path / "none.tsv", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore:.*single event")
def test_a_loss_that_is_not_finite_leaves_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = PRESETS["retailrocket"] | {"learning_rate": 1e20, "elu_param": 0.0}
    monkeypatch.setitem(PRESETS, "retailrocket", wild)
    with pytest.raises(ArithmeticError, match="lower learning_rate"):
        demo.run_demo(random_log(), out=tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []
