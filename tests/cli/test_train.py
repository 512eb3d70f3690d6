"""`train`, and `evaluate` on the model that it saves."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pandas as pd

from gru4rec_fast import GRU4Rec, evaluate
from gru4rec_fast.config import Config
from gru4rec_fast.presets import PRESETS
from tests.cli.commands import TINY, error_of, run
from tests.logs import OTHER_KEYS, random_log

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_train_evaluate_recommend(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = logs
    model = str(tmp_path / "model.safetensors")
    assert run("train", train, "--save", model, "--preset", "rsc15", "--set", *TINY.split(","),
               "--test", test, "--device", "cpu") == 0  # fmt: skip
    trained = re.findall(r"^Recall@.*$", capsys.readouterr().out, re.MULTILINE)
    assert run("evaluate", model, test) == 0
    assert re.findall(r"^Recall@.*$", capsys.readouterr().out, re.MULTILINE) == trained
    assert len(trained) == 4
    item = str(pd.read_csv(train, sep="\t").ItemId[0])
    assert run("recommend", model, item, "-k", "3") == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert "integers" in error_of(capsys, "recommend", model, "shoe")


def test_every_flag_of_train_and_evaluate_arrives(
    renamed: str, calls: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    model = str(tmp_path / "model")
    keys = ["--item-key", "sku", "--session-key", "visit", "--time-key", "at"]
    flags = [*keys, "--cutoffs", "3", "--ties", "median"]
    evaluated = {**OTHER_KEYS, "cutoff": [3], "mode": "median"}
    assert run("train", renamed, "--save", model, "--preset", "coveo", "--set", "layers=4",
               "n_epochs=1", "n_sample=4", "--test", renamed, *flags) == 0  # fmt: skip
    changed = {"layers": 4, "n_epochs": 1, "n_sample": 4}
    assert calls["fit"]["config"] == Config().replace(**PRESETS["coveo"] | changed)
    assert calls["fit"].items() >= OTHER_KEYS.items()
    assert calls.pop("eval") == evaluated
    assert run("evaluate", model, renamed, *flags) == 0
    assert calls["eval"] == evaluated


def test_the_training_logs_columns_are_the_default_of_an_evaluation(
    renamed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model")
    keys = ["--item-key", "sku", "--session-key", "visit", "--time-key", "at"]
    train = ["train", renamed, "--save", model, "--set", TINY, "--test", renamed, "--quiet"]
    assert run(*train, *keys) == 0
    trained = re.findall(r"^Recall@.*$", capsys.readouterr().out, re.MULTILINE)
    assert run("evaluate", model, renamed) == 0
    assert re.findall(r"^Recall@.*$", capsys.readouterr().out, re.MULTILINE) == trained
    assert run(model, "-l", "-t", renamed, "-m", "20", "-e", "conservative") == 0
    assert re.findall(r"^Recall@.*$", capsys.readouterr().out, re.MULTILINE) == trained[-1:]
    assert "no column 'ItemId'" in error_of(
        capsys, "evaluate", model, renamed, "--item-key", "ItemId"
    )


def test_separators_of_text_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], calls: dict[str, dict[str, Any]]
) -> None:
    log, model = tmp_path / "log.csv", str(tmp_path / "model")
    random_log(n_sessions=60).to_csv(log, sep=";", index=False)
    train = ["train", str(log), "--save", model, "--test", str(log), "--set", TINY]
    for text, sep in (([], None), ([";"], ";"), (["semicolon"], ";")):
        given = ["--sep", *text] if text else []
        assert run(*train, *given) == 0
        assert calls["fit"].get("sep") == calls["eval"].get("sep") == sep
        assert run("evaluate", model, str(log), *given) == 0
        assert run(str(log), "-ps", TINY, "-t", str(log), *given) == 0
        assert calls["fit"].get("sep") == calls["eval"].get("sep") == sep
    for tab in ("tab", "\\t"):
        assert "has no '\\t' in its header line" in error_of(capsys, *train, "--sep", tab)


def test_rows_in_order(
    tmp_path: Path,
    calls: dict[str, dict[str, Any]],
) -> None:
    log, model = tmp_path / "log.csv", str(tmp_path / "model")
    random_log(n_sessions=60).assign(Time=0).to_csv(log, index=False)
    train = ["train", str(log), "--save", model, "--set", TINY]
    command = [sys.executable, "-m", "gru4rec_fast", *train, "--test", str(log)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    (line,) = re.findall(".*order of its rows.*", printed)
    assert line.startswith(f"gru4rec-fast: warning: {log}: ")
    assert "or pass --rows-in-order where all rows are in order" in line
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*order of its rows")
        for arguments in (train, [str(log), "-ps", TINY]):
            assert run(*arguments, "--rows-in-order") == 0
            assert calls["fit"]["time_key"] is None


def test_epochs_given_twice_are_refused(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", logs[0], "--save", str(tmp_path / "model")]
    error = error_of(capsys, *train, "--set", "layers=4", "n_epochs=1", "--epochs", "3")
    assert "given twice, by --set n_epochs=1 and --epochs 3: leave one out" in error


def test_evaluate_prints_and_writes_all_figures(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(tmp_path / "model.safetensors"), str(tmp_path / "figures.csv")
    settings = ("--set", "layers=4", "n_sample=4", "n_epochs=1", "batch_size=8")
    assert run("train", logs[0], "--save", model, *settings) == 0
    capsys.readouterr()
    command = ("evaluate", model, logs[1], "--cutoffs", "5")
    assert run(*command, "--full", "--unknown", "miss", "--out", out) == 0
    printed = capsys.readouterr().out
    found = evaluate(GRU4Rec.loadmodel(model), logs[1], [5], unknown="miss")
    assert printed.startswith(str(found))
    pd.testing.assert_frame_equal(pd.read_csv(out), found.to_frame(), check_dtype=False)
    for flags, message in (
        (("--unknown", "miss"), "--unknown miss belongs to --full; add it"),
        (("--out", out), "--out FILE belongs to --full; add it"),
        (("--full", "--out", "figures.png"), "--out figures.png: unknown kind of file"),
    ):
        assert run(*command, *flags) == 2
        assert message in capsys.readouterr().err
