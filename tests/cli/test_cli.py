"""The command line, in its own process where that matters."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gru4rec_fast import GRU4Rec, cli, run_command
from gru4rec_fast.config import PRESETS, Config
from tests.logs import random_log

TINY = "layers=8,batch_size=8,n_sample=16,n_epochs=2"
KEYS = {"item_key": "sku", "session_key": "visit", "time_key": "at"}


@pytest.fixture
def logs(tmp_path: Path) -> tuple[str, str]:
    """Paths of a training and a test log."""
    paths = [tmp_path / "train.tsv", tmp_path / "test.tsv"]
    for seed, path in enumerate(paths):
        random_log(n_sessions=60, seed=seed).to_csv(path, sep="\t", index=False)
    return str(paths[0]), str(paths[1])


@pytest.fixture
def renamed(tmp_path: Path) -> str:
    """Path of a log whose columns are those of KEYS."""
    names = {"ItemId": "sku", "SessionId": "visit", "Time": "at"}
    path = tmp_path / "renamed.tsv"
    random_log(n_sessions=60).rename(columns=names).to_csv(path, sep="\t", index=False)
    return str(path)


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
    for module in (cli, run_command):
        monkeypatch.setattr(module, "batch_eval", spy_eval)
    return calls


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.err


def test_the_originals_command_line(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = logs
    model = str(tmp_path / "model.pt")
    assert run(train, "-ps", TINY, "-t", test, "-m", "1", "5", "-e", "conservative", "-s", model,
               "-ss", "1000", "-d", "cpu", "-pm", "mrr@5", "-lpm", "-ik", "ItemId", "-sk",
               "SessionId", "-tk", "Time") == 0  # fmt: skip
    printed = capsys.readouterr().out
    epochs = re.findall(
        r"^Epoch(\d+) --> loss: ([\d.]+)\s+\(([\d.]+)s\)\s+\[([\d.]+) mb/s \| (\d+) e/s\]$",
        printed,
        re.MULTILINE,
    )
    assert [epoch[0] for epoch in epochs] == ["1", "2"]
    measured = dict(re.findall(r"(Recall@\d+|MRR@\d+): ([\d.]+)", printed))
    assert set(measured) == {"Recall@1", "Recall@5", "MRR@1", "MRR@5"}
    primary = re.search(r"^PRIMARY METRIC: ([\d.]+)$", printed, re.MULTILINE)
    assert primary is not None
    assert float(primary[1]) == pytest.approx(float(measured["MRR@5"]), abs=1e-6)

    assert run(model, "-l", "-t", test, test, "-m", "1", "5", "-e", "conservative") == 0
    again = re.findall(r"(Recall@\d+|MRR@\d+): ([\d.]+)", capsys.readouterr().out)
    assert len(again) == 8
    assert dict(again) == measured


def test_every_flag_of_run_arrives(
    renamed: str,
    calls: dict[str, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = Path(renamed).with_name("other.tsv")
    other.write_bytes(Path(renamed).read_bytes())
    assert run(renamed, "-ps", TINY, "-t", str(other), renamed, "-m", "3", "-e", "median", "-ss",
               "777", "-ik", "sku", "-sk", "visit", "-tk", "at", "-lpm", "-pm",
               "mrr@3") == 0  # fmt: skip
    assert calls["fit"].items() >= {**KEYS, "sample_cache_max_size": 777}.items()
    assert calls["eval"].items() >= {**KEYS, "cutoff": [3], "mode": "median"}.items()
    # Of the last log.
    assert "PRIMARY METRIC: 0.375\n" in capsys.readouterr().out


def test_the_defaults_of_run_are_the_originals(
    logs: tuple[str, str],
    calls: dict[str, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(logs[0], "-ps", TINY, "-t", logs[1], "-lpm") == 0
    keys = {"item_key": "ItemId", "session_key": "SessionId", "time_key": "Time"}
    assert calls["fit"].items() >= {**keys, "sample_cache_max_size": 10_000_000}.items()
    assert calls["eval"].items() >= {**keys, "cutoff": [20], "mode": "standard"}.items()
    assert "PRIMARY METRIC: 0.25\n" in capsys.readouterr().out


def test_parameter_file_and_other_module(
    logs: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "params.py").write_text(
        "from collections import OrderedDict\n"
        "gru4rec_params = OrderedDict([('layers', [8]), ('batch_size', 8), ('n_sample', 16),\n"
        "                              ('n_epochs', 1), ('loss', 'bpr-max')])\n"
    )
    (tmp_path / "my_model.py").write_text(
        "import gru4rec_fast\n"
        "class GRU4Rec(gru4rec_fast.GRU4Rec):\n"
        "    def fit(self, *args, **kwargs):\n"
        "        print('my fit', self.loss)\n"
        "        return super().fit(*args, **kwargs)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(logs[0], "-pf", str(tmp_path / "params.py"), "-g", "my_model", "-t", logs[1]) == 0
    printed = capsys.readouterr().out
    assert "my fit bpr-max" in printed
    assert "Recall@20: " in printed


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
    evaluated = {**KEYS, "cutoff": [3], "mode": "median"}
    assert run("train", renamed, "--save", model, "--preset", "coveo", "--set", "layers=4",
               "n_epochs=1", "n_sample=4", "--test", renamed, *flags) == 0  # fmt: skip
    changed = {"layers": 4, "n_epochs": 1, "n_sample": 4}
    assert calls["fit"]["config"] == Config().replace(**PRESETS["coveo"] | changed)
    assert calls["fit"].items() >= KEYS.items()
    assert calls.pop("eval") == evaluated
    assert run("evaluate", model, renamed, *flags) == 0
    assert calls["eval"] == evaluated


def test_recommend_can_leave_out_what_was_seen(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model")
    assert run(logs[0], "-ps", TINY, "-s", model) == 0
    items = [str(item) for item in pd.read_csv(logs[0], sep="\t").ItemId.unique()]
    capsys.readouterr()
    assert run("recommend", model, *items[:3], "-k", "1000", "--exclude-seen") == 0
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert sorted(shown) == sorted(items[3:])


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
