"""The command line as a whole: how it starts, and how errors end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gru4rec_fast import GRU4Rec
from gru4rec_fast.__main__ import READER_ENDED
from gru4rec_fast.cli.main import COMMANDS
from tests.cli.commands import TINY, error_of, run


def test_module_and_script_start_and_describe_themselves() -> None:
    script = str(Path(sys.executable).parent / "gru4rec-fast")
    for command in ([sys.executable, "-m", "gru4rec_fast"], [script]):
        printed = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
        assert "train" in printed.stdout
    printed = subprocess.run(
        [sys.executable, "-m", "gru4rec_fast", "train", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "dropout_p_hidden=0.0" in printed.stdout


def test_users_errors_take_one_line(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = logs
    cases = {
        "no such file": ("nowhere.tsv", "-ps", TINY),
        "did you mean 'layers'": (train, "-ps", "layer=8"),
        "expected name=value": (train, "-ps", "layers"),
        "given twice": (train, "-ps", "layers=8,layers=9"),
        "no parameter file": (train, "-pf", str(tmp_path / "none.py")),
        "gru4rec_params": (train, "-pf", __file__),
        "importable module": (train, "-ps", TINY, "-g", "no_such_module"),
        "expected recall@K or mrr@K": (train, "-ps", TINY, "-t", test, "-lpm", "-pm", "ndcg@20"),
        "add -m 10": (train, "-ps", TINY, "-t", test, "-lpm", "-pm", "recall@10"),
        "cutoff is 0": (train, "-ps", TINY, "-m", "0"),
        "is not there": (train, "-ps", TINY, "-d", "cuda:77"),
        "no column 'sku'": (train, "-ps", TINY, "-ik", "sku"),
        "required": (train,),
        "not allowed with": (train, "-ps", TINY, "-l"),
        "safetensors": (train, "-l"),
    }
    for message, arguments in cases.items():
        assert message in error_of(capsys, *arguments), message


def test_a_mistyped_command_is_told_the_command_that_was_meant(
    logs: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = error_of(capsys, "evalute", "model", logs[1])
    assert "'evalute' is no command: did you mean 'evaluate'? Expected one of prepare, " in error
    assert "nowhere.tsv: no such file" in error_of(capsys, "nowhere.tsv", "-ps", TINY)
    error = error_of(capsys, "serve", "--port", "80")
    assert "'serve' is no command, and no file has this name. Expected one of prepare," in error
    # A file of such a name is a log.
    monkeypatch.chdir(tmp_path)
    Path("trains").write_bytes(Path(logs[0]).read_bytes())
    assert "trains: unknown kind of file" in error_of(capsys, "trains", "-ps", TINY)


def test_a_mistyped_flag_or_choice_is_told_the_one_that_was_meant(
    logs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    train = ("train", logs[0], "--save", "model")
    for arguments, message in (
        ((*train, "--epohcs", "3"), "unrecognized arguments: --epohcs 3: did you mean '--epochs'?"),
        ((*train, "--epohcs=3"), "did you mean '--epochs'?"),
        ((*train, "--preset", "rcs15"), "did you mean 'rsc15'?"),
        ((*train, "--set", "layer=8"), "did you mean 'layers'?"),
        ((logs[0], "-ps", TINY, "--mesure", "3"), "did you mean '--measure'?"),
        ((*train, "extra"), "unrecognized arguments: extra\n"),
    ):
        assert message in error_of(capsys, *arguments), message


@pytest.mark.parametrize("rows", [1, 5000])
def test_a_reader_that_takes_the_first_line_alone_ends_the_command_quietly(
    rows: int, tmp_path: Path
) -> None:
    # As long as the buffer of a pipe, or written only when Python ends.
    gru = GRU4Rec(layers=[4], n_sample=4, n_epochs=1)
    n = max(rows, 50)
    table = {"SessionId": np.arange(n) // 2, "ItemId": np.arange(n), "Time": np.arange(n)}
    model = str(tmp_path / "model.safetensors")
    gru.fit(pd.DataFrame(table), progress=False).savemodel(model)
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "gru4rec_fast", "recommend", model, "3", "-k", str(rows)]
    with os.fdopen(write, "wb") as pipe:
        ended = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (READER_ENDED, "")


def test_help_lists_every_command_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    printed = capsys.readouterr().out
    for name, summary in COMMANDS.items():
        assert re.search(rf"^ +{name} +{re.escape(summary)}$", printed, re.MULTILINE), name


def test_the_device_reaches_every_command(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model")
    assert run(logs[0], "-ps", TINY, "-s", model) == 0
    for arguments in (
        (logs[0], "-ps", TINY, "-d"),
        (model, "-l", "-d"),
        ("train", logs[0], "--save", model, "--set", *TINY.split(","), "--device"),
        ("evaluate", model, logs[1], "--device"),
        ("recommend", model, "0", "--device"),
        ("demo", "--data", logs[0], "--out", str(tmp_path / "demo"), "--device"),
    ):
        assert "device 'cuda:77' is not there" in error_of(capsys, *arguments, "cuda:77")


def test_a_diverging_training_fails_and_saves_nothing(
    logs: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tmp_path / "model.pt"
    diverging = f"{TINY},loss=bpr-max,elu_param=0,learning_rate=1e20"
    for arguments in (
        (logs[0], "-ps", diverging, "-s", str(model)),
        ("train", logs[0], "--save", str(model), "--set", *diverging.split(",")),
    ):
        caplog.clear()
        assert run(*arguments) == 1
        assert "at mini-batch" in caplog.text
        assert not model.exists()


def test_an_unwritable_model_path_is_found_before_training(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "no" / "such" / "folder" / "model.pt")
    for arguments in (
        (logs[0], "-ps", TINY, "-s", target),
        ("train", logs[0], "--save", target, "--set", *TINY.split(",")),
    ):
        assert run(*arguments) == 2
        printed = capsys.readouterr()
        assert "no/such/folder" in printed.err
        assert "Epoch1" not in printed.out
