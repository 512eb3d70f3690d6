"""The search: what it tries, what it returns, how it goes on, in Python and on the command line."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from matplotlib.figure import Figure

from gru4rec_fast import DataError, GRU4Rec, ParameterError, evaluate, tune
from gru4rec_fast.cli import tune as command
from gru4rec_fast.presets import PRESETS
from gru4rec_fast.tuning import study as study_module
from gru4rec_fast.tuning.picture import draw
from gru4rec_fast.tuning.result import Found, Tuned
from gru4rec_fast.tuning.tune import seconds_of
from tests.cli.commands import error_of, run
from tests.logs import OTHER_NAMES, random_log, write_log

TRAIN, VALID, TEST = (random_log(n_sessions=60, seed=seed) for seed in (0, 1, 2))
SPACE: list[dict[str, Any]] = [
    {"name": "layers", "dtype": "int", "values": [4, 12], "step": 4},
    {"name": "learning_rate", "dtype": "float", "values": [0.01, 0.25], "log": True},
]
FIXED = {"batch_size": 8, "n_sample": 8, "n_epochs": 3}
pytestmark = pytest.mark.filterwarnings("ignore:.*single event", "ignore:.*equal times")


def searched(out: Path, **options: Any) -> Any:
    given: dict[str, Any] = {"fixed": FIXED, "n_trials": 4, "device": "cpu", "quiet": True}
    return tune(TRAIN, VALID, options.pop("space", SPACE), out=out, **{**given, **options})


def trials_of(out: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(
        study_name=study_module.NAME, storage=f"sqlite:///{out / 'study.db'}"
    ).trials


def a_trial_is_complete(out: Path) -> bool:
    """Without Optuna, which makes the tables that it does not find: the search makes them too."""
    try:
        with closing(sqlite3.connect(f"file:{out / 'study.db'}?mode=ro", uri=True)) as file:
            query = "SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'"
            return int(file.execute(query).fetchone()[0]) > 0
    except sqlite3.OperationalError:  # the file or its tables are not there yet, or locked
        return False


def test_the_best_settings_have_the_figure_that_is_told(tmp_path: Path) -> None:
    found = searched(tmp_path, metric="mrr", cutoff=5, final_cutoffs=[5, 10], pruning="none")
    assert found.measure == "mrr@5"
    assert found.trials["value"].max() == found.best.value
    # Each trial's figure is the best of its epochs, and each epoch's is that of such a training.
    for curve in found.curves.values():
        assert list(curve) == [1, 2, 3]
    curve = found.curves[found.best.number]
    assert found.best.value == curve[found.best.params["n_epochs"]] == max(curve.values())
    again = GRU4Rec(**found.best_params, device="cpu").fit(TRAIN, progress=False)
    expected = evaluate(again, VALID, [5, 10], n_bootstrap=0)
    assert expected.mrr[5] == found.best.value
    assert found.final["mrr@10"] == expected.mrr[10]
    assert evaluate(found.model, VALID, [5, 10], n_bootstrap=0) == expected
    assert sum(found.importance.values()) == pytest.approx(1)
    assert f"{found.best.value:.6f}" in str(found)
    assert pd.isna(found.trials["preset"]).all()


def test_published_settings_come_first_and_are_compared_on_the_test_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {
        name: PRESETS[name] | {"layers": (64,), "batch_size": 32} for name in ("rsc15", "coveo")
    }
    monkeypatch.setattr("gru4rec_fast.tuning.tune.PRESETS", small)
    fixed = {"n_sample": 8, "n_epochs": 2}
    # Nothing is better than the first one here, so that halving would stop the second.
    monkeypatch.setattr(study_module, "FIRST_EPOCH", 1)
    found = searched(tmp_path, space=None, fixed=fixed, n_trials=5, test=TEST, pruning="halving")
    presets = found.trials[found.trials["preset"].notna()]
    assert presets["preset"].tolist() == ["rsc15", "coveo"]
    assert presets["number"].tolist() == [0, 1]
    assert presets["state"].tolist() == ["complete"] * 2, "published settings were stopped"
    for row in presets.to_dict("records"):
        settings = small[row["preset"]]
        assert {k: row[k] for k in ("loss", "bpreg", "learning_rate")} == {
            k: settings[k] for k in ("loss", "bpreg", "learning_rate")
        }
    # The others are compared with them too.
    states = found.trials.set_index("number")["state"]
    assert set(states[2:]) <= {"complete", "pruned"}
    for n in (2, 3, 4):
        behind = found.curves[n][1] < best_third(found.curves, n, epoch=1)
        assert (states[n] == "pruned") == behind
    assert found.best_preset.value == presets["value"].max()
    assert found.best.value >= found.best_preset.value
    names = list(found.comparison.results)
    if found.best.preset:
        assert names == ["tuned"]
    else:
        assert names == [found.best_preset.preset, "tuned"]
        difference = found.comparison.differences["tuned"]
        assert f"{difference.values['recall'][20]:+.4f}" in found.verdict()
    expected = evaluate(found.model, TEST, [20])
    assert found.comparison.results["tuned"].recall == expected.recall


def test_halving_stops_all_but_the_better_third(tmp_path: Path) -> None:
    found = searched(
        tmp_path, n_trials=9, fixed={**FIXED, "n_epochs": 4}, pruning="halving", budget="10m"
    )
    curves = found.curves
    assert len(curves) == 9
    stopped = {n for n, curve in curves.items() if len(curve) < 4}
    states = found.trials.set_index("number")["state"]
    assert stopped == set(states[states == "pruned"].index)
    assert 2 <= len(stopped) <= 7
    for n in curves:
        assert (n in stopped) == (curves[n][3] < best_third(curves, n, epoch=3))


def best_third(curves: dict[int, dict[int, float]], n: int, epoch: int) -> float:
    """The figure that trial n needs at an epoch to go on, by those that have come so far."""
    so_far = sorted((curves[m][epoch] for m in range(n + 1)), reverse=True)
    return so_far[max(1, len(so_far) // 3) - 1]


def test_a_budget_ends_the_search_and_counts_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def is_late(task: Any) -> bool:
        nonlocal asked
        asked += 1
        assert task.deadline - time.time() < 600
        return asked > 40

    monkeypatch.setattr("gru4rec_fast.tuning.trial.Task.is_late", is_late)
    endless = {**FIXED, "n_epochs": 10**6}
    found = searched(tmp_path, n_trials=None, budget="10m", fixed=endless, pruning="none")
    assert found.trials["state"].tolist() == ["complete"]
    assert 1 <= found.best.params["n_epochs"] <= len(found.curves[0]) < 40
    assert found.best.value == max(found.curves[0].values())


def test_an_equal_seed_tries_equal_settings_and_a_resumed_study_goes_on(tmp_path: Path) -> None:
    whole = searched(tmp_path / "a")
    again = searched(tmp_path / "b")
    columns = ["layers", "learning_rate", "value"]
    pd.testing.assert_frame_equal(whole.trials[columns], again.trials[columns])
    with pytest.raises(ParameterError, match=r"holds a study already: pass resume=True"):
        searched(tmp_path / "b")
    more = searched(tmp_path / "b", resume=True, n_trials=6)
    pd.testing.assert_frame_equal(more.trials[columns][:4], again.trials[columns])
    assert len(more.trials) == 6
    # The seed of a restart is another: no point is drawn twice.
    assert more.trials["learning_rate"].is_unique
    for changed, message in (
        ({"fixed": FIXED | {"n_sample": 9}}, "fixed is .*'n_sample': 8.* there"),
        ({"cutoff": 10}, "measure is 'recall@20' there, 'recall@10' here"),
        ({"space": SPACE[:1]}, "space is "),
    ):
        with pytest.raises(ParameterError, match=f"study of other settings .*{message}"):
            searched(tmp_path / "b", resume=True, **changed)
    with pytest.raises(ParameterError, match=r"the log: .* there"):
        tune(TEST[:-9], VALID, SPACE, out=tmp_path / "b", resume=True, fixed=FIXED, quiet=True)


def test_settings_that_exclude_each_other_fail_alone(tmp_path: Path) -> None:
    space = [{"name": "embedding", "dtype": "categorical", "values": [0, 4]}]
    found = searched(tmp_path, space=space, fixed=FIXED | {"layers": 4}, n_trials=6)
    failed = found.trials[found.trials["state"] == "fail"]
    assert len(found.trials) == 6
    assert len(failed)
    assert set(failed["embedding"]) == {4}
    assert failed["error"].str.contains("exclude each other").all()
    with pytest.raises(ParameterError, match=r"none of the 2 trials has a figure.*exclude each"):
        searched(tmp_path / "none", space=[{**space[0], "values": [4]}], n_trials=2)


def test_wrong_arguments_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    for options, message in (
        ({"metric": "recal"}, "did you mean 'recall'"),
        ({"mode": "none"}, "mode is 'none'"),
        ({"budget": "soon"}, "budget is 'soon'; expected a time as '90s'"),
        ({"n_trials": 0}, "n_trials is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"fixed": {"layer": 3}}, "did you mean 'layers'"),
        ({"fixed": {"layers": 3}}, "layers is fixed and in the space"),
        ({"module": "no_such_module"}, "importable module"),
        ({"device": "cuda:77"}, "is not there"),
        ({"pruning": "some"}, "pruning is 'some'"),
    ):
        with pytest.raises(ParameterError, match=message):
            searched(tmp_path / "out", **options)
    with pytest.raises(DataError, match="no column 'sku'"):
        searched(tmp_path / "out", item_key="sku")
    assert not (tmp_path / "out").exists()
    assert (seconds_of("t", "1.5h"), seconds_of("t", "90s"), seconds_of("t", 3)) == (5400, 90, 3)


def test_ties_are_conservative_unless_asked() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert parser.parse_args(["train.tsv", "valid.tsv"]).eval_type == "conservative"


def test_the_legend_hides_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    save = Figure.savefig

    def keeping(self: Figure, *args: Any, **options: Any) -> None:
        figures.append(self)
        save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keeping)
    trials = pd.DataFrame(
        {"number": [0, 1], "state": "complete", "value": [0.5, 0.1], "preset": ["rsc15", None]}
    )
    curves = {0: {1: 0.4, 2: 0.5}, 1: {1: 0.05, 2: 0.1}}
    draw(Tuned("recall@20", Found(0, {}, 0.5), None, trials, curves, {}), tmp_path / "study.png")
    axes = figures[0].axes[0]
    legend = axes.get_legend()
    assert legend is not None
    drawn = legend.get_window_extent().shrunk(0.99, 0.99)
    assert not drawn.overlaps(axes.get_window_extent())
    assert figures[0].bbox.contains(drawn.x0, drawn.y1)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with logs of other names of columns and a space file."""
    for name, log in (("train", TRAIN), ("valid", VALID)):
        write_log(log.rename(columns=OTHER_NAMES), tmp_path / f"{name}.tsv")
    lines = "".join(json.dumps(entry) + "\n" for entry in SPACE)
    (tmp_path / "space.json").write_text(lines)
    monkeypatch.chdir(tmp_path)
    return tmp_path


KEYS = ("-ik", "sku", "-sk", "visit", "-tk", "at")
FLAGS = (
    "tune", "train.tsv", "valid.tsv", "-opf", "space.json", "-g", "gru4rec_fast", "-d", "cpu",
    *KEYS,
    "-fp", "batch_size=8,n_sample=8,n_epochs=3,feed_forward=6/5", "-m", "10", "-fm", "5", "10",
    "-pm", "mrr", "-e", "median",
)  # fmt: skip


@pytest.mark.usefixtures("files")
def test_every_flag_of_the_users_script_and_train_reads_the_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(*FLAGS, "-nt", "3", "--save", "model") == 0
    printed = capsys.readouterr().out
    assert printed.count("Trial ") == 3
    assert "mrr@10" in printed
    assert "recall@5" in printed
    out = Path("tune-output")
    assert {file.name for file in out.iterdir()} == {
        "study.db", "lock", "ask.lock", "best.json", "trials.csv", "report.txt", "study.png"
    }  # fmt: skip
    assert (out / "study.png").read_bytes().startswith(b"\x89PNG")
    best = json.loads((out / "best.json").read_text())
    assert len(pd.read_csv(out / "trials.csv")) == 3
    names = ("--item-key", "sku", "--session-key", "visit", "--time-key", "at")
    assert run("train", "train.tsv", "--params", str(out / "best.json"), "--save", "m", *names) == 0
    tuned, trained = (GRU4Rec.loadmodel(name, device="cpu") for name in ("model", "m"))
    assert tuned.config == trained.config == GRU4Rec(**best["params"]).config
    assert tuned.feed_forward == (6, 5)
    valid = pd.read_csv("valid.tsv", sep="\t")
    assert evaluate(trained, valid, [10], mode="median", n_bootstrap=0).mrr[10] == best["value"]
    assert "holds a study already: pass resume=True (--resume)" in error_of(capsys, *FLAGS)
    assert "no column 'skus': did you mean 'sku'" in error_of(capsys, *FLAGS, "-ik", "skus")


@pytest.mark.slow
@pytest.mark.usefixtures("files")
def test_a_killed_study_is_resumed() -> None:
    """SIGKILL while a trial runs: the trials before it stay, that one is tried again."""
    arguments = [*FLAGS, "--resume", "--quiet", "--pruning", "none"]
    arguments[arguments.index("-fp") + 1] = "batch_size=8,n_sample=8,n_epochs=40"
    out = Path("tune-output")
    running: list[optuna.trial.FrozenTrial] = []
    deadline = time.monotonic() + 300
    # On a busy machine the trial that was seen may end before the signal.
    while not (running and running[0].intermediate_values):
        assert time.monotonic() < deadline
        process = subprocess.Popen([sys.executable, "-m", "gru4rec_fast", *arguments, "-nt", "9"])
        while process.poll() is None and time.monotonic() < deadline:
            if a_trial_is_complete(out):
                trials = trials_of(out)
                if len(trials) >= 2 and trials[-1].intermediate_values:
                    break
            time.sleep(0.1)
        assert process.poll() is None, "the search ended before it was killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        killed = trials_of(out)
        running = [t for t in killed if t.state == optuna.trial.TrialState.RUNNING]
    assert len(running) == 1
    before = [t for t in killed if t.state == optuna.trial.TrialState.COMPLETE]
    assert before
    assert run(*arguments, "-nt", str(len(before) + 2)) == 0
    after = trials_of(out)
    complete = [t for t in after if t.state == optuna.trial.TrialState.COMPLETE]
    assert len(complete) == len(before) + 2
    assert [(t.params, t.value) for t in complete[: len(before)]] == [
        (t.params, t.value) for t in before
    ]
    assert complete[len(before)].params == running[0].params
    assert complete[-1].params != running[0].params


@pytest.mark.slow
def test_workers_share_a_study(tmp_path: Path) -> None:
    log = [write_log(log, tmp_path / f"{n}.tsv") for n, log in enumerate((TRAIN, VALID))]
    found = tune(
        log[0], log[1], SPACE, out=tmp_path / "out", fixed=FIXED, n_trials=5, workers=2,
        pruning="none", device="cpu", quiet=True,
    )  # fmt: skip
    assert found.trials["number"].tolist() == list(range(5))
    assert set(found.trials["state"]) == {"complete"}
    model = GRU4Rec(**found.best_params, device="cpu").fit(log[0], progress=False)
    assert evaluate(model, log[1], n_bootstrap=0).recall[20] == found.best.value
