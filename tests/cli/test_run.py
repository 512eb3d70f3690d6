"""`run`, the command line of the original: its flags, defaults and output."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import TINY, run
from tests.logs import OTHER_KEYS


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
    assert calls["fit"].items() >= {**OTHER_KEYS, "sample_cache_max_size": 777}.items()
    assert calls["eval"].items() >= {**OTHER_KEYS, "cutoff": [3], "mode": "median"}.items()
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
